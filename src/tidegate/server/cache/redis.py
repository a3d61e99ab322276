"""Answers kept in Redis (or Valkey), for all replicas that serve the same bundle.

Redis is asked with the request waiting, so it gets `TIMEOUT_SECONDS` and not more, for everything: finding its address,
connecting, each part of what it says. No library bounds all of these together, therefore threads of their own ask, and
the request stops waiting for them. When there is no answer in that time Redis is left aside at once, and another thread
asks from time to time whether it is back. Answers are written by that one, too: what does not fit into its queue is not
kept.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, Full, Queue, SimpleQueue
from typing import Any

import numpy as np
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tidegate.contract.errors import InvalidInput
from tidegate.server.cache.base import Outputs

#: Time that a request waits for Redis. Where nobody waits, it bounds connecting and reading once, each.
TIMEOUT_SECONDS = 0.02
#: Threads that ask, one for each request that does so at the same time. More of them are more than Redis is slow for.
_MOST_ASKERS = 32
#: Between two questions whether Redis is back.
_ASK_SECONDS = 1.0
_QUEUED = 1000
#: An answer beyond this size costs more to fetch than most models to ask.
_LARGEST_BYTES = 1 << 20

log = logging.getLogger("tidegate.server")


_Kept = list[Outputs | None]
_Ask = Callable[[Sequence[bytes]], _Kept]


class _Asker:
    """A thread that asks one question after another, each of which may be given up while it is at it."""

    def __init__(self, ask: _Ask, idle: list[_Asker]) -> None:
        """`idle` is where it is put whenever it has nothing to do, other than right now."""
        self._ask = ask
        self._idle = idle
        self._questions: SimpleQueue[tuple[Sequence[bytes], SimpleQueue[_Kept | Exception]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="cache-asker", daemon=True).start()

    def ask(self, keys: Sequence[bytes], seconds: float) -> _Kept | Exception:
        """Return what Redis has under these keys, or why that is not known."""
        answer: SimpleQueue[_Kept | Exception] = SimpleQueue()
        self._questions.put((keys, answer))
        try:
            return answer.get(timeout=seconds)
        except Empty:
            return redis.TimeoutError()

    def end(self) -> None:
        self._questions.put(None)

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            keys, answer = question
            try:
                found: _Kept | Exception = self._ask(keys)
            except Exception as error:  # noqa: BLE001 -- whatever came for an answer, the request goes on without it
                found = error
            self._idle.append(self)
            answer.put(found)


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
        self._idle: list[_Asker] = []
        self._askers: list[_Asker] = []
        self._prefix = prefix
        self._ttl_ms = max(1, round(ttl_seconds * 1000))
        self._is_up = True
        self._keeps = True
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
        asker = self._free_asker()
        if asker is None:
            return None
        kept = asker.ask(keys, TIMEOUT_SECONDS)
        if isinstance(kept, Exception):
            self._leave_aside(kept)
            return None
        return [waiting if waiting is not None else written for waiting, written in zip(unwritten, kept, strict=True)]

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
        for asker in self._askers:
            asker.end()

    def _free_asker(self) -> _Asker | None:
        """Return one that does nothing; None when all are still at questions that were given up."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        if len(self._askers) >= _MOST_ASKERS:
            return None
        asker = _Asker(self._kept_under, self._idle)
        self._askers.append(asker)
        return asker

    def _kept_under(self, keys: Sequence[bytes]) -> _Kept:
        values: Any = self._client.mget([self._prefix + key for key in keys])
        if len(values) != len(keys):
            raise redis.InvalidResponse(f"{len(values)} values for {len(keys)} keys")
        return [None if value is None else outputs_of(value) for value in values]

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
                    self._kept_under([b""])  # what requests will ask, and not whether somebody is there
                    self._is_up = True
                    log.info("the cache answers again")
            except Exception as error:  # noqa: BLE001 -- this thread alone brings Redis back
                self._leave_aside(error)
            for key, _ in entries:
                self._unwritten.pop(key, None)
        self._client.close()

    def _write(self, entries: list[tuple[bytes, Outputs]]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, outputs in entries:
            with contextlib.suppress(TypeError, ValueError):  # what JSON does not have: it is not kept, the others are
                value = bytes_of(outputs)
                if len(value) <= _LARGEST_BYTES:
                    pipeline.set(self._prefix + key, value, px=self._ttl_ms)
        said = pipeline.execute(raise_on_error=False)
        refusal = next((one for one in said if isinstance(one, Exception)), None)
        if refusal is not None and self._keeps:  # as when it is full: what it holds already is still given out
            log.warning("the cache keeps no answers: %s", refusal)
        self._keeps = refusal is None


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
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    return outputs
