"""Which place of a one-hot input a level takes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel


@kernel
def slot_of(value: float, begin: int, end: int, first_level: int) -> int:
    """Return the place that a categorical's value makes hot; -1 for none.

    Args:
        begin, end: the places of the categorical; the last one is that of missing values, and of levels beyond.
        first_level: 1 where the first level has no place, else 0.
    """
    if math.isnan(value) or value >= 2147483647.0:
        return end - 1
    if value <= -1.0:
        return -1
    slot = begin + int(value) - first_level
    if slot < begin:
        return -1
    return slot if slot < end else end - 1


@kernel
def hot_slots(
    rows: NDArray[np.float64], column: int, offsets: NDArray[np.int64], first_level: int
) -> NDArray[np.int64]:
    """Return the place that the categorical in a column makes hot in each row; -1 for none."""
    found = np.empty(rows.shape[0], dtype=np.int64)
    for r in range(rows.shape[0]):
        found[r] = slot_of(rows[r, column], offsets[column], offsets[column + 1], first_level)
    return found
