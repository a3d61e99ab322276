"""Takes rows down trees, and sums the leaves that they end in. Sums are double, and take the trees in their order.

Rows go down side by side (or trees, for a single row): a step waits for memory, and each can wait while others go on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.tree_layout import FAR_PLACE, FIRST_BITS, FIRST_MASK, SLOT_MASK, WORDS

#: How many go down side by side.
LANES = 16
#: Rows that pass a tree before the next tree begins, at most and at least; in between, as many as fill these bytes.
MOST_ROWS = 1024
LEAST_ROWS = 64
BLOCK_BYTES = 1 << 18

_U64 = np.uint64
_U32 = np.uint32


@kernel
def rounded_down(value: float) -> np.float32:
    """Return the largest float32 that is not above a number; NaN for NaN."""
    near = np.float32(value)
    if np.float64(near) > value:
        return np.float32(np.nextafter(near, np.float32(-np.inf)))
    return near


@kernel
def place_of(value: float) -> int:
    """Return the place of a code: 0 for NaN and for negative ones, else the code as an integer and 1."""
    if not value > -1.0:
        return 0
    return int(value) + 1 if value < FAR_PLACE - 1.0 else FAR_PLACE


@kernel
def fill_slots(
    columns: NDArray[np.int64],
    places: NDArray[np.bool_],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    start: int,
    stop: int,
    slots: NDArray[np.int32],
) -> None:
    """Bring rows `start` to `stop` into the form that trees compare (see `tree_layout`), one row after the other.

    Args:
        columns, places, limits: per slot, its column; whether it is for sets; from which value on there is no level.
    """
    at = 0
    for index in range(start, stop):
        for slot in range(len(columns)):
            value = rows[index, columns[slot]]
            if value >= limits[slot]:
                value = np.nan
            slots[at] = place_of(value) if places[slot] else np.float32(rounded_down(value)).view(np.int32)
            at += 1


@kernel
def next_node(
    nodes: NDArray[np.int32], sets: NDArray[np.int32], slots: NDArray[np.int32], row: np.uint64, node: np.uint64
) -> np.uint64:
    """Return the child to which a row goes; a leaf itself. `row` is where its slots begin."""
    base = node * _U64(WORDS)
    value = nodes[base]
    step = nodes[base + _U64(1)]
    word = _U32(nodes[base + _U64(2)])
    covered = _U32(nodes[base + _U64(3)])
    held = slots[row + _U64(word & _U32(SLOT_MASK))]
    number = np.int32(held).view(np.float32)
    threshold = np.int32(value).view(np.float32)
    above = _U64(number >= threshold)
    missing = _U64(number != number)  # noqa: PLR0124 - only NaN differs from itself
    missing_right = _U64((word >> _U32(24)) & _U32(1))
    by_set = _U64((word >> _U32(25)) & _U32(1))
    inner = _U64((word >> _U32(26)) & _U32(1))
    place = _U32(held)
    at = (place >> _U32(5)) - (covered & _U32(FIRST_MASK))
    inside = _U64(at < (covered >> _U32(FIRST_BITS)))
    bits = _U32(sets[_U64(_U32(value)) * by_set + (_U64(at) + _U64(1)) * inside])
    in_set = _U64((bits >> (place & _U32(31))) & _U32(1))
    right = (in_set & by_set) | ((above | (missing_right & missing)) & (_U64(1) - by_set))
    return node + inner + (_U64(step) - inner) * right


@kernel
def next_by_number(nodes: NDArray[np.int32], slots: NDArray[np.int32], row: np.uint64, node: np.uint64) -> np.uint64:
    """Do as `next_node` does, in forests without sets."""
    base = node * _U64(WORDS)
    threshold = np.int32(nodes[base]).view(np.float32)
    step = nodes[base + _U64(1)]
    word = _U32(nodes[base + _U64(2)])
    number = np.int32(slots[row + _U64(word & _U32(SLOT_MASK))]).view(np.float32)
    above = _U64(number >= threshold)
    missing = _U64(number != number)  # noqa: PLR0124 - only NaN differs from itself
    missing_right = _U64((word >> _U32(24)) & _U32(1))
    inner = _U64((word >> _U32(26)) & _U32(1))
    return node + inner + (_U64(step) - inner) * (above | (missing_right & missing))


@kernel
def go_down(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    slots: NDArray[np.int32],
    rows: NDArray[np.uint64],
    current: NDArray[np.uint64],
    lanes: int,
) -> None:
    """Move each of the current nodes down to its leaf; `rows` says where the slots of its row begin."""
    moved = _U64(1)
    if len(sets) > 1:
        while moved:
            moved = _U64(0)
            for lane in range(lanes):
                node = current[lane]
                child = next_node(nodes, sets, slots, rows[lane], node)
                moved |= node ^ child
                current[lane] = child
        return
    while moved:
        moved = _U64(0)
        for lane in range(lanes):
            node = current[lane]
            child = next_by_number(nodes, slots, rows[lane], node)
            moved |= node ^ child
            current[lane] = child


@kernel
def leaf_value(nodes: NDArray[np.int32], leaf: np.uint64) -> float:
    return np.float64(np.int32(nodes[leaf * _U64(WORDS)]).view(np.float32))


@kernel
def rows_per_block(slots: int) -> int:
    return int(min(MOST_ROWS, max(LEAST_ROWS, BLOCK_BYTES // (4 * max(slots, 1)))))


@kernel
def add_leaves(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    classes: NDArray[np.int64],
    columns: NDArray[np.int64],
    places: NDArray[np.bool_],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    out: NDArray[np.float64],
    first: int,
) -> None:
    """Add each tree's leaf to column `first` + its class of `out`, for each row."""
    total = len(rows)
    width = len(columns)
    block = max(min(rows_per_block(width), total), 1)
    slots = np.empty(max(block * width, 1), dtype=np.int32)
    slots[0] = 0
    current = np.empty(LANES, dtype=np.uint64)
    begins = np.zeros(LANES, dtype=np.uint64)
    for start in range(0, total, block):
        stop = min(total, start + block)
        fill_slots(columns, places, limits, rows, start, stop, slots)
        if stop - start < LANES // 2:
            for index in range(start, stop):
                begins[:] = _U64((index - start) * width)
                for tree in range(0, len(roots), LANES):
                    lanes = min(LANES, len(roots) - tree)
                    for lane in range(lanes):
                        current[lane] = _U64(roots[tree + lane])
                    go_down(nodes, sets, slots, begins, current, lanes)
                    for lane in range(lanes):
                        out[index, first + classes[tree + lane]] += leaf_value(nodes, current[lane])
            continue
        for tree in range(len(roots)):
            column = first + classes[tree]
            for index in range(start, stop, LANES):
                lanes = min(LANES, stop - index)
                for lane in range(lanes):
                    current[lane] = _U64(roots[tree])
                    begins[lane] = _U64((index + lane - start) * width)
                go_down(nodes, sets, slots, begins, current, lanes)
                for lane in range(lanes):
                    out[index + lane, column] += leaf_value(nodes, current[lane])


@kernel
def find_leaves(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    columns: NDArray[np.int64],
    places: NDArray[np.bool_],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Write the leaf that each row ends in, in each tree: `out` is of shape (rows, trees)."""
    slots = np.zeros(max(len(columns), 1), dtype=np.int32)
    current = np.empty(LANES, dtype=np.uint64)
    begins = np.zeros(LANES, dtype=np.uint64)
    for index in range(len(rows)):
        fill_slots(columns, places, limits, rows, index, index + 1, slots)
        for tree in range(0, len(roots), LANES):
            lanes = min(LANES, len(roots) - tree)
            for lane in range(lanes):
                current[lane] = _U64(roots[tree + lane])
            go_down(nodes, sets, slots, begins, current, lanes)
            for lane in range(lanes):
                out[index, tree + lane] = current[lane]
