"""Takes rows down trees, and sums the leaves that they end in. Sums are double, and take the trees in their order.

Rows go down a tree side by side, or a single row several trees: a step waits for memory, and each can wait while others
go on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.prefetch_kernel import prefetch
from tidegate.runtime.mojo.tree_layout import FIRST_BITS, FIRST_MASK, WORDS
from tidegate.runtime.mojo.tree_slots_kernel import fill_slots

#: How many go down side by side, and below how many rows each goes down all trees by itself.
LANES = 64
FEW_ROWS = 8
#: Trees with more in all are walked as what the caches do not hold.
FAR_BYTES = 1 << 17
#: Rows that pass a tree before the next tree begins, at most and at least; in between, as many as fill these bytes.
MOST_ROWS = 1024
LEAST_ROWS = 64
BLOCK_BYTES = 1 << 18

_U64 = np.uint64
_U32 = np.uint32


@kernel
def next_node(
    nodes: NDArray[np.int32], sets: NDArray[np.int32], slots: NDArray[np.int32], row: np.uint64, node: np.uint64
) -> np.uint64:
    """Return the child to which a row goes; a leaf itself. `row` is where its slots begin."""
    base = node * _U64(WORDS)
    held = slots[row + _U64(_U32(nodes[base + _U64(2)]))]
    begin = _U64(_U32(nodes[base + _U64(3)]))
    header = _U32(sets[begin])
    place = _U32(held)
    # Before the first word is beyond the last one, too, as these are unsigned.
    at = min(_U64(_U32((place >> _U32(5)) - (header & _U32(FIRST_MASK)))), _U64(header >> _U32(FIRST_BITS)))
    bits = _U32(sets[begin + _U64(1) + at])
    in_set = _U64((bits >> (place & _U32(31))) & _U32(1))
    right = in_set | _U64(held >= nodes[base])
    return node + _U64(1) + ((_U64(nodes[base + _U64(1)]) - _U64(1)) & (_U64(0) - right))


@kernel
def next_by_number(nodes: NDArray[np.int32], slots: NDArray[np.int32], row: np.uint64, node: np.uint64) -> np.uint64:
    """Do as `next_node` does, in forests without sets."""
    base = node * _U64(WORDS)
    right = _U64(slots[row + _U64(_U32(nodes[base + _U64(2)]))] >= nodes[base])
    return node + _U64(1) + ((_U64(nodes[base + _U64(1)]) - _U64(1)) & (_U64(0) - right))


@kernel
def go_down(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    slots: NDArray[np.int32],
    first: np.uint64,
    stride: np.uint64,
    current: NDArray[np.uint64],
    lanes: int,
) -> None:
    """Move each of the current nodes down to its leaf.

    Args:
        first, stride: where the slots of the row of the first node begin, and how much further on those of each other.
    """
    # The way to the right is 0 in a leaf: where all are in leaves no further look at them is needed to see it.
    going = np.int32(1)
    if len(sets) > 2:
        while going:
            going = np.int32(0)
            for lane in range(_U64(lanes)):
                child = next_node(nodes, sets, slots, first + lane * stride, current[lane])
                going |= nodes[child * _U64(WORDS) + _U64(1)]
                current[lane] = child
        return
    while going:
        going = np.int32(0)
        for lane in range(_U64(lanes)):
            child = next_by_number(nodes, slots, first + lane * stride, current[lane])
            going |= nodes[child * _U64(WORDS) + _U64(1)]
            current[lane] = child


@kernel
def go_down_far(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    slots: NDArray[np.int32],
    first: np.uint64,
    stride: np.uint64,
    current: NDArray[np.uint64],
    waiting: NDArray[np.uint64],
    lanes: int,
) -> None:
    """Do as `go_down` does in trees that are far away. Nodes and sets are asked for when it is known that they are
    needed, and looked at after all others were asked for; what has arrived is left out.

    Args:
        waiting: room for as many.
    """
    for lane in range(lanes):
        waiting[lane] = lane
    left = _U64(lanes)
    while left:
        for place in range(left):
            prefetch(sets, _U64(_U32(nodes[current[waiting[place]] * _U64(WORDS) + _U64(3)])))
        going = _U64(0)
        for place in range(left):
            lane = waiting[place]
            node = current[lane]
            child = next_node(nodes, sets, slots, first + lane * stride, node)
            prefetch(nodes, child * _U64(WORDS))
            current[lane] = child
            waiting[going] = lane
            going += _U64(child != node)
        left = going


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
    kinds: NDArray[np.uint8],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    out: NDArray[np.float64],
    first: int,
) -> None:
    """Add each tree's leaf to column `first` + its class of `out`, for each row."""
    total = len(rows)
    width = len(columns)
    block = max(min(rows_per_block(width), total), 1)
    trees = len(roots)
    # One piece of memory: for a single row of few trees each takes as long to get as a tree.
    room = np.empty(2 * LANES + (block * width + 1) // 2, dtype=np.uint64)
    current, waiting, slots = room[:LANES], room[LANES : 2 * LANES], room[2 * LANES :].view(np.int32)
    size = 4 * (len(nodes) + len(sets))
    if total < FEW_ROWS:
        for index in range(total):
            fill_slots(columns, kinds, limits, rows, index, index + 1, slots)
            for tree in range(0, trees, LANES):
                lanes = min(LANES, trees - tree)
                for lane in range(lanes):
                    current[lane] = _U64(roots[tree + lane])
                if size > FAR_BYTES:
                    go_down_far(nodes, sets, slots, _U64(0), _U64(0), current, waiting, lanes)
                else:
                    go_down(nodes, sets, slots, _U64(0), _U64(0), current, lanes)
                for lane in range(lanes):
                    out[index, first + classes[tree + lane]] += leaf_value(nodes, current[lane])
        return
    for start in range(0, total, block):
        stop = min(total, start + block)
        fill_slots(columns, kinds, limits, rows, start, stop, slots)
        for tree in range(trees):
            column = first + classes[tree]
            for index in range(start, stop, LANES):
                lanes = min(LANES, stop - index)
                for lane in range(lanes):
                    current[lane] = _U64(roots[tree])
                begin = _U64((index - start) * width)
                # Of all trees' memory one tree has its share.
                if size > FAR_BYTES * trees:
                    go_down_far(nodes, sets, slots, begin, _U64(width), current, waiting, lanes)
                else:
                    go_down(nodes, sets, slots, begin, _U64(width), current, lanes)
                for lane in range(lanes):
                    out[index + lane, column] += leaf_value(nodes, current[lane])


@kernel
def find_leaves(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    columns: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Write the leaf that each row ends in, in each tree: `out` is of shape (rows, trees)."""
    slots = np.empty(len(columns), dtype=np.int32)
    current = np.empty(LANES, dtype=np.uint64)
    for index in range(len(rows)):
        fill_slots(columns, kinds, limits, rows, index, index + 1, slots)
        for tree in range(0, len(roots), LANES):
            lanes = min(LANES, len(roots) - tree)
            for lane in range(lanes):
                current[lane] = _U64(roots[tree + lane])
            go_down(nodes, sets, slots, _U64(0), _U64(0), current, lanes)
            for lane in range(lanes):
                out[index, tree + lane] = current[lane]
