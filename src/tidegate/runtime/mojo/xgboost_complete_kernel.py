"""Takes rows down complete trees of XGBoost; see `xgboost_nodes`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.one_hot_kernel import slot_of
from tidegate.runtime.mojo.xgboost_layout_kernel import key_of

#: How many trees a single row goes down side by side.
_TREES_AT_ONCE = 32

_U64 = np.uint64
_ALL = 0xFFFFFFFF


@kernel
def width_of(offsets: NDArray[np.int64], nums: int) -> int:
    """Return how many numbers the slots of a row are: two each."""
    return int(2 * (offsets.shape[0] - 1 + 2 * nums + 1))


@kernel
def fill_intervals(
    rows: NDArray[np.float64],
    start: int,
    count: int,
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    slots: NDArray[np.uint32],
) -> None:
    """Write the intervals of rows, one row after the other: of each slot `low`, then `span`."""
    cats = offsets.shape[0] - 1
    numbers = slots.view(np.float32)
    at = 0
    for r in range(start, start + count):
        for i in range(cats):
            hot = slot_of(rows[r, i], offsets[i], offsets[i + 1], first_level)
            slots[at] = np.uint32(max(hot, 0))
            slots[at + 1] = np.uint32(hot >= 0)
            at += 2
        for i in range(cats, cats + nums):
            # A negative zero is none.
            number = np.float32(rows[r, i]) + np.float32(0.0)
            slots[at] = slots[at + 2] = 0
            if math.isnan(number) or (sparse and number == np.float32(0.0)):
                slots[at + 1] = np.uint32(_ALL)
                slots[at + 3] = 0
            else:
                numbers[at + 1] = number
                slots[at + 1] = slots[at + 3] = key_of(slots[at + 1]) + np.uint32(1)
            at += 4
        slots[at] = slots[at + 1] = 0
        at += 2


@kernel
def next_place(
    tests: NDArray[np.uint32], begin: np.uint64, place: np.uint64, slots: NDArray[np.uint32], row: np.uint64
) -> np.uint64:
    """Return the place after another one, without a branch, which would be guessed wrongly every other time.

    Args:
        begin: where the tree's nodes begin, in nodes.
        row: where the slots of the row begin.
    """
    node = _U64(2) * (begin + place)
    slot = row + _U64(2) * _U64(tests[node + _U64(1)])
    return _U64(2) * place + _U64(np.uint32(tests[node] - slots[slot]) < slots[slot + _U64(1)])


@kernel
def add_complete(
    tests: NDArray[np.uint32],
    leaves: NDArray[np.float32],
    trees: NDArray[np.int32],
    depth: int,
    slots: NDArray[np.uint32],
    width: int,
    count: int,
    at: NDArray[np.uint64],
    margins: NDArray[np.float32],
) -> None:
    """Add the leaves of all trees to the margins of `count` rows, in the order of the trees; rows go down side by side.

    Args:
        tests, leaves: flat.
        trees: of shape (trees, 4), of which the second is the group.
        width: of the slots of a row.
        at: room for `count` places.
    """
    size = _U64(1) << _U64(depth)
    for tree in range(_U64(trees.shape[0])):
        begin = tree * size
        group = trees[tree, 1]
        for r in range(count):
            at[r] = _U64(1)
        for _ in range(depth):
            for r in range(_U64(count)):
                at[r] = next_place(tests, begin, at[r], slots, r * _U64(width))
        for r in range(count):
            margins[r, group] += leaves[begin + at[r] - size]


@kernel
def add_complete_to_one(
    tests: NDArray[np.uint32],
    leaves: NDArray[np.float32],
    trees: NDArray[np.int32],
    depth: int,
    slots: NDArray[np.uint32],
    margins: NDArray[np.float32],
) -> None:
    """Add the leaves of all trees to the margins of one row, in the order of the trees; it goes down many trees side by
    side, each of which waits for memory while the others go on."""
    size = _U64(1) << _U64(depth)
    at = np.empty(_TREES_AT_ONCE, dtype=np.uint64)
    for first in range(0, trees.shape[0], _TREES_AT_ONCE):
        count = min(_TREES_AT_ONCE, trees.shape[0] - first)
        for i in range(count):
            at[i] = _U64(1)
        for _ in range(depth):
            begin = _U64(first) * size
            for i in range(_U64(count)):
                at[i] = next_place(tests, begin, at[i], slots, _U64(0))
                begin += size
        begin = _U64(first) * size
        if margins.shape[1] == 1:
            # Each sum waits for the one before, and longer where that has to be read from memory.
            total = margins[0, 0]
            for i in range(count):
                total += leaves[begin + at[i] - size]
                begin += size
            margins[0, 0] = total
        else:
            for i in range(count):
                margins[0, trees[first + i, 1]] += leaves[begin + at[i] - size]
                begin += size
