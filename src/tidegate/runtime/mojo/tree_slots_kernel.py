"""Brings rows into the form that trees compare, see `tree_layout`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.tree_layout import FAR_PLACE, LEAST, MISSING_RIGHT, MOST, PLACE


@kernel
def key_of(number: np.float32) -> int:
    """Return the key of a number that is not NaN. Both zeros have the same; the one below it is that of numbers which
    are less, and above all others."""
    bits = np.int64(np.float32(number + np.float32(0.0)).view(np.int32))
    return int(bits ^ ((bits >> np.int64(63)) & np.int64(MOST)))


@kernel
def place_of(value: float) -> int:
    """Return the place of a code: 0 for NaN and for negative ones, else the code as an integer and 1."""
    if not value > -1.0:
        return 0
    return int(value) + 1 if value < FAR_PLACE - 1.0 else FAR_PLACE


@kernel
def slot_of(value: float, kind: int) -> int:
    """Return what a slot of a kind has for a column's value."""
    if kind == PLACE:
        return place_of(value)
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return MOST if kind == MISSING_RIGHT else LEAST
    near = np.float32(value)
    # The key of the largest float32 that is not above it.
    return key_of(near) - (1 if np.float64(near) > value else 0)


@kernel
def fill_slots(
    columns: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    start: int,
    stop: int,
    slots: NDArray[np.int32],
) -> None:
    """Write the slots of rows `start` to `stop`, one row after the other.

    Args:
        columns, kinds, limits: per slot, its column; its kind; from which value on there is no level.
    """
    at = 0
    for index in range(start, stop):
        slots[at] = MOST
        at += 1
        for slot in range(1, len(columns)):
            value = rows[index, columns[slot]]
            if value >= limits[slot]:
                value = np.nan
            slots[at] = slot_of(value, kinds[slot])
            at += 1
