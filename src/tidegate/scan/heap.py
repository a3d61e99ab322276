"""The heap of a Java virtual machine and the memory of its container, as options and Compose files write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: Of the container's memory, what may be heap. The rest is for threads, classes, code, buffers and native libraries:
#: XGBoost inside H2O takes all of it.
SHARE: Final = 0.7

_HEAP: Final = re.compile(r"(?<!\S)[\"']?-(?:Xmx|XX:MaxHeapSize=)(\d{1,15})([kKmMgGtT]?)(?![\w.])")
_PERCENT: Final = re.compile(r"(?<!\S)[\"']?-XX:MaxRAMPercentage=(\d{1,3}(?:\.\d{1,6})?)(?![\w.])")
_MEMORY: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)i?b?", re.I)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Heap:
    """A heap that an option asks for: in bytes, or in percent of the memory that Java sees. One of the two is None."""

    option: str
    size: int | None
    percent: float | None

    def within(self, limit: int) -> int:
        """Return the bytes that it comes to in a container of `limit` bytes."""
        return self.size if self.size is not None else int(limit * (self.percent or 0) / 100)


def heap_in(text: str) -> Heap | None:
    """Return the heap that the options in a text ask for; of several the last counts, as it does for Java."""
    sizes = list(_HEAP.finditer(text))
    if sizes:
        last = sizes[-1]
        return Heap(last[0].strip("\"' "), int(last[1]) * _UNITS[last[2].lower()], None)
    percents = list(_PERCENT.finditer(text))
    if percents:
        return Heap(percents[-1][0].strip("\"' "), None, float(percents[-1][1]))
    return None


def memory(text: str) -> int | None:
    """Return the bytes of `512m`, `1.5gb` or `1073741824`, or None for what is no amount; units are powers of 1024."""
    match = _MEMORY.fullmatch(text.strip())
    return int(float(match[1]) * _UNITS[match[2].lower()]) if match else None


def shown(size: int) -> str:
    """Return an amount in MiB for people."""
    return f"{size / MIB:,.0f} MiB"
