"""Counters begin at zero with each process of the gateway: what a look remembers of them, and compares with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

#: Counters by the epoch of the process that counted, and by revision.
Known = Mapping[str, Mapping[int, T]]

#: Processes that are remembered, those of the last reading among them.
MOST = 8


def remembered(known: Known[T], now: Known[T]) -> dict[str, Mapping[int, T]]:
    """Return what the next look compares with: the counters of now, and of the processes that were seen last.

    A process that is in no reading may be back in the next one; if it had been forgotten, all that it ever counted
    would pass for growth.
    """
    merged = {**{epoch: counts for epoch, counts in known.items() if epoch not in now}, **now}
    return dict(list(merged.items())[-MOST:])
