"""Answers kept in Redis (or Valkey), for all replicas that serve the same bundle.

Redis is asked with the request waiting, so it gets `TIMEOUT_SECONDS` and not more. When it does not answer in that time
it is left aside at once, and a thread of its own asks from time to time whether it is back. Answers are written by that
thread, too: what does not fit into its queue is not kept.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Sequence
from queue import Empty, Full, Queue
from typing import Any

import numpy as np
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tidegate.contract.errors import InvalidInput
from tidegate.server.cache.base import Outputs

#: Time for one exchange with Redis. Reading and connecting are bounded by it each; together they stay below 50 ms.
TIMEOUT_SECONDS = 0.02
#: Between two questions whether Redis is back.
_ASK_SECONDS = 1.0
_QUEUED = 1000
#: An answer beyond this size costs more to fetch than most models to ask.
_LARGEST_BYTES = 1 << 20

log = logging.getLogger("tidegate.server")


class RedisStore:
    """A `CacheStore` in Redis.

    Args:
        url: redis://, rediss:// or unix://; never logged, for it may hold a password.
        prefix: of every key, so that other users of the same Redis are not disturbed.
        ttl_seconds: how long Redis keeps an answer.

    Raises:
        InvalidInput: the URL is none.
    """

    name = "redis"

    def __init__(self, url: str, prefix: bytes, ttl_seconds: float) -> None:
        try:
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise InvalidInput(
                "The URL of the cache is none of Redis.", expected="redis://HOST:PORT/DB, rediss://… or unix://…"
            ) from error
        self._prefix = prefix
        self._ttl_ms = max(1, round(ttl_seconds * 1000))
        self._is_up = True
        self._ends = False
        self._queue: Queue[tuple[bytes, Outputs]] = Queue(_QUEUED)
        #: What waits to be written, so that it is found in the meantime.
        self._unwritten: dict[bytes, Outputs] = {}
        self._thread = threading.Thread(target=self._keep_up, name="cache", daemon=True)
        self._thread.start()

    @property
    def is_up(self) -> bool:
        """Whether Redis answered the last time that it was asked."""
        return self._is_up

    def get_many(self, keys: Sequence[bytes]) -> list[Outputs | None] | None:
        if not self._is_up:
            return None
        unwritten = [self._unwritten.get(key) for key in keys]
        try:
            kept: Any = self._client.mget([self._prefix + key for key in keys])
        except redis.RedisError as error:
            self._leave_aside(error)
            return None
        return [
            outputs if outputs is not None else None if value is None else outputs_of(value)
            for outputs, value in zip(unwritten, kept, strict=True)
        ]

    def put_many(self, entries: Sequence[tuple[bytes, Outputs]]) -> None:
        if not self._is_up:
            return
        for key, outputs in entries:
            if sum(array.nbytes for array in outputs.values()) > _LARGEST_BYTES:
                continue
            kept = {name: array.copy() for name, array in outputs.items()}
            with contextlib.suppress(Full):
                self._unwritten[key] = kept
                self._queue.put_nowait((key, kept))
                continue
            self._unwritten.pop(key, None)

    def close(self) -> None:
        self._ends = True  # the thread sees it within a second, or ends with the process

    def _leave_aside(self, error: Exception) -> None:
        if self._is_up:
            self._is_up = False
            log.warning("the cache does not answer (%s); requests go on without it", type(error).__name__)

    def _keep_up(self) -> None:
        """Write what is to be kept, and ask whether Redis is back when it is not there."""
        while not self._ends:
            try:
                entries = [self._queue.get(timeout=_ASK_SECONDS)]
            except Empty:
                entries = []
            with contextlib.suppress(Empty):
                while len(entries) < _QUEUED:
                    entries.append(self._queue.get_nowait())
            try:
                if entries and self._is_up:
                    self._write(entries)
                elif not self._is_up:
                    self._client.ping()
                    self._is_up = True
                    log.info("the cache answers again")
            except redis.RedisError as error:
                self._leave_aside(error)
            except Exception:  # this thread alone brings Redis back
                log.exception("answers could not be written to the cache")
            for key, _ in entries:
                self._unwritten.pop(key, None)
        self._client.close()

    def _write(self, entries: list[tuple[bytes, Outputs]]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, outputs in entries:
            value = bytes_of(outputs)
            if len(value) <= _LARGEST_BYTES:
                pipeline.set(self._prefix + key, value, px=self._ttl_ms)
        pipeline.execute()


def bytes_of(outputs: Outputs) -> bytes:
    """Return outputs as bytes: a line of JSON that names dtypes and shapes, then the values; texts are in the JSON."""
    heads: list[list[Any]] = []
    parts: list[bytes] = []
    for name, array in outputs.items():
        if array.dtype.kind == "O":
            heads.append([name, "O", array.shape, array.reshape(-1).tolist()])
        else:
            heads.append([name, array.dtype.str, array.shape, None])
            parts.append(np.ascontiguousarray(array).tobytes())
    return json.dumps(heads).encode() + b"\n" + b"".join(parts)


def outputs_of(value: bytes) -> Outputs | None:
    """Return what `bytes_of` wrote down; None when these bytes are something else."""
    head, _, rest = value.partition(b"\n")
    outputs, start = {}, 0
    try:
        for name, dtype, shape, texts in json.loads(head):
            if dtype == "O":
                array = np.array(texts, dtype=object).reshape(shape)
            else:
                kind = np.dtype(dtype)
                count = int(np.prod(shape, dtype=np.int64))
                array = np.frombuffer(rest, kind, count, start).reshape(shape)
                start += count * kind.itemsize
            outputs[name] = array
    except (ValueError, TypeError, OverflowError):
        return None
    return outputs
