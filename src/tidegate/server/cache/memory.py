"""Answers kept in this process: the least recently used go first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from tidegate.runtime.base import Array
from tidegate.server.cache.base import Outputs

#: What an entry takes beside its values: key, mapping, array headers.
_ENTRY_BYTES = 400
#: What a Python string takes beside its characters.
_TEXT_BYTES = 56


class MemoryStore:
    """A bounded mapping in memory.

    Args:
        limit_bytes: estimate of what all entries may take.
        ttl_seconds: how long an entry is given out.
        clock: seconds, monotonic.
    """

    name = "memory"

    def __init__(self, limit_bytes: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_bytes
        self._ttl = ttl_seconds
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, int, Outputs]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Estimate of what the entries take."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get_many(self, keys: Sequence[bytes]) -> list[Outputs | None]:
        now = self._clock()
        with self._lock:
            return [self._get(key, now) for key in keys]

    def put_many(self, entries: Sequence[tuple[bytes, Outputs]]) -> None:
        expires = self._clock() + self._ttl
        with self._lock:
            for key, outputs in entries:
                self._put(key, expires, outputs)

    def close(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _get(self, key: bytes, now: float) -> Outputs | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, size, outputs = entry
        if expires <= now:
            del self._entries[key]
            self._bytes -= size
            return None
        self._entries.move_to_end(key)
        return outputs

    def _put(self, key: bytes, expires: float, outputs: Outputs) -> None:
        # Copies: a view would keep the outputs of its whole batch alive.
        kept = {name: array.copy() for name, array in outputs.items()}
        size = _ENTRY_BYTES + sum(map(_size_of, kept.values()))
        if size > self._limit:
            return
        before = self._entries.pop(key, None)
        if before is not None:
            self._bytes -= before[1]
        self._entries[key] = (expires, size, kept)
        self._bytes += size
        while self._bytes > self._limit:
            _, (_, dropped, _) = self._entries.popitem(last=False)
            self._bytes -= dropped


def _size_of(array: Array) -> int:
    if array.dtype.kind != "O":
        return int(array.nbytes)
    texts = sum(len(text) + _TEXT_BYTES for text in array.reshape(-1).tolist() if isinstance(text, str))
    return int(array.nbytes) + texts
