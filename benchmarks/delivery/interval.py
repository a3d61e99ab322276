"""An interval for a median that asks nothing of the distribution. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the order statistics between which the median lies with at least that confidence.

    None where there are too few values for it: six, for 95 %.
    """
    ordered, count = sorted(values), len(values)
    below, rank = 0.0, 0
    # Of `count` independent values fewer than `rank` + 1 lie below the median with probability `below`.
    while (reached := below + math.comb(count, rank) * 0.5**count) <= (1.0 - confidence) / 2.0:
        below, rank = reached, rank + 1
    return (ordered[rank - 1], ordered[count - rank]) if rank else None
