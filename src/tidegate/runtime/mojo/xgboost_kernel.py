"""Kernels of XGBoost's models. All of it is float32 arithmetic, in the order of H2O's scorer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.label_kernel import finish_classes
from tidegate.runtime.mojo.numba_names import carray, from_dtype, types
from tidegate.runtime.mojo.one_hot_kernel import slot_of
from tidegate.runtime.mojo.packed_kernel import (
    float32s,
    float64s,
    int32s,
    int64s,
    pointer_to,
    uint32s,
)
from tidegate.runtime.mojo.xgboost_complete_kernel import (
    add_complete,
    add_complete_to_one,
    fill_intervals,
    width_of,
)
from tidegate.runtime.mojo.xgboost_layout_kernel import key_of
from tidegate.runtime.mojo.xgboost_nodes import MISSING_KEY, PACKED

#: What is done to the margins.
UNCHANGED, LOGISTIC, EXPONENTIAL, SOFTMAX = range(4)

_BLOCK_BYTES = 1 << 17
_MOST_ROWS = 256
_TREES_AT_ONCE = 16


@kernel
def fill_row(
    row: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    sparse: bool,
    x: NDArray[np.float32],
) -> None:
    """Write a row as weights look at it: the hot place of each categorical, and the numbers."""
    cats = offsets.shape[0] - 1
    for i in range(cats):
        x[0, i] = np.float32(slot_of(row[i], offsets[i], offsets[i + 1], first_level))
    for i in range(cats, x.shape[1]):
        number = np.float32(row[i])
        x[0, i] = np.float32(np.nan) if sparse and number == np.float32(0.0) else number


@kernel
def fill_keys(
    rows: NDArray[np.float64],
    start: int,
    count: int,
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    keys: NDArray[np.uint32],
) -> None:
    """Write rows as the trees look at them, by their keys: the hot place of each categorical, and the numbers."""
    cats = offsets.shape[0] - 1
    numbers = keys.view(np.float32)
    for r in range(count):
        for i in range(cats):
            slot = slot_of(rows[start + r, i], offsets[i], offsets[i + 1], first_level)
            keys[r, i] = np.uint32(MISSING_KEY) if slot < 0 else np.uint32(slot)
        for i in range(cats, cats + nums):
            # A negative zero is none.
            number = np.float32(rows[start + r, i]) + np.float32(0.0)
            if math.isnan(number) or (sparse and number == np.float32(0.0)):
                keys[r, i] = np.uint32(MISSING_KEY)
            else:
                numbers[r, i] = number
                keys[r, i] = key_of(keys[r, i])


@kernel
def child_of(nodes: NDArray[np.void], at: np.uint64, keys: NDArray[np.uint32], r: np.uint64) -> np.uint64:
    """Return the node after another one; a leaf comes after itself.

    Without branches, which would be guessed wrongly every other time; unsigned, as other indexes are asked for their
    sign.
    """
    node = nodes[at]
    first = np.int32(np.uint32(keys[r, np.uint64(node.column)] - node.low) < node.span)
    return np.uint64(node.left + 1 - first)


@kernel
def add_trees(
    nodes: NDArray[np.void],
    values: NDArray[np.float32],
    trees: NDArray[np.int32],
    keys: NDArray[np.uint32],
    count: int,
    at: NDArray[np.uint64],
    margins: NDArray[np.float32],
) -> None:
    """Add the leaves of all trees to the margins of `count` rows, in the order of the trees.

    All rows go down a tree side by side: each waits for memory, and they wait at the same time.

    Args:
        values: the memory of the nodes as float32, four to a node: the first is the value of a leaf.
        trees: of shape (trees, 4): the root; the group; how far rows go side by side; the depth. Beyond the third
            each row goes alone.
        at: room for `count` nodes.
    """
    for tree in range(trees.shape[0]):
        group = trees[tree, 1]
        for r in range(count):
            at[r] = trees[tree, 0]
        for _ in range(trees[tree, 2]):
            for r in range(count):
                at[r] = child_of(nodes, at[r], keys, np.uint64(r))
        if trees[tree, 2] < trees[tree, 3]:
            for r in range(count):
                after = child_of(nodes, at[r], keys, np.uint64(r))
                while after != at[r]:
                    at[r] = after
                    after = child_of(nodes, at[r], keys, np.uint64(r))
        for r in range(count):
            margins[r, group] += values[np.uint64(4) * at[r]]


@kernel
def add_trees_to_one(
    nodes: NDArray[np.void],
    values: NDArray[np.float32],
    trees: NDArray[np.int32],
    keys: NDArray[np.uint32],
    margins: NDArray[np.float32],
) -> None:
    """Add the leaves of all trees to the margins of the first row, in the order of the trees; it goes down many trees
    side by side."""
    at = np.empty(_TREES_AT_ONCE, dtype=np.uint64)
    for begin in range(0, trees.shape[0], _TREES_AT_ONCE):
        count = min(_TREES_AT_ONCE, trees.shape[0] - begin)
        steps = deepest = 0
        for i in range(count):
            at[i] = trees[begin + i, 0]
            steps = max(steps, trees[begin + i, 2])
            deepest = max(deepest, trees[begin + i, 3])
        for _ in range(steps):
            for i in range(count):
                at[i] = child_of(nodes, at[i], keys, np.uint64(0))
        if steps < deepest:
            for i in range(count):
                after = child_of(nodes, at[i], keys, np.uint64(0))
                while after != at[i]:
                    at[i] = after
                    after = child_of(nodes, at[i], keys, np.uint64(0))
        if margins.shape[1] == 1:
            # Each sum waits for the one before, and longer where that has to be read from memory.
            total = margins[0, 0]
            for i in range(count):
                total += values[np.uint64(4) * at[i]]
            margins[0, 0] = total
        else:
            for i in range(count):
                margins[0, trees[begin + i, 1]] += values[np.uint64(4) * at[i]]


@kernel
def add_weights(
    weights: NDArray[np.float32],
    offsets: NDArray[np.int64],
    nums: int,
    dense: bool,
    x: NDArray[np.float32],
    r: int,
    margins: NDArray[np.float32],
) -> None:
    """Add a row's values times their weights to its margins, in the order of the features.

    Args:
        weights: of shape (features + 1, groups); a row's last features may have none.
        dense: whether a cold place counts as 0, which a weight that is not finite makes NaN.
    """
    cats = offsets.shape[0] - 1
    features = weights.shape[0] - 1
    for i in range(cats):
        hot = int(x[r, i])
        if dense:
            for slot in range(offsets[i], min(offsets[i + 1], features)):
                for group in range(margins.shape[1]):
                    margins[r, group] += np.float32(1.0 if slot == hot else 0.0) * weights[slot, group]
        elif 0 <= hot < features:
            for group in range(margins.shape[1]):
                margins[r, group] += weights[hot, group]
    for i in range(min(nums, features - offsets[cats])):
        value = x[r, cats + i]
        if not math.isnan(value):
            for group in range(margins.shape[1]):
                margins[r, group] += value * weights[offsets[cats] + i, group]


@kernel
def transform_row(kind: int, margins: NDArray[np.float32], r: int, classes: int, out: NDArray[np.float64]) -> None:
    """Write what the margins mean: the value into column 0, or the probabilities into columns 1 and on."""
    one = np.float32(1.0)
    if kind == SOFTMAX:
        largest = margins[r, 0]
        for group in range(1, margins.shape[1]):
            largest = max(largest, margins[r, group])
        total = 0.0
        for group in range(margins.shape[1]):
            margins[r, group] = np.float32(math.exp(np.float64(margins[r, group] - largest)))
            total += np.float64(margins[r, group])
        for group in range(margins.shape[1]):
            out[r, 1 + group] = np.float64(margins[r, group] / np.float32(total))
        return
    value = margins[r, 0]
    if kind == LOGISTIC:
        value = one / (one + np.float32(math.exp(-np.float64(value))))
    elif kind == EXPONENTIAL:
        value = np.float32(math.exp(np.float64(value)))
    if classes == 2:
        out[r, 1] = np.float64(one - value)
        out[r, 2] = np.float64(value)
    else:
        out[r, 0] = np.float64(value)


@kernel
def block_rows(width: int) -> int:
    """Return how many rows of a width (inputs and margins) fit the cache beside the trees."""
    return max(8, min(_MOST_ROWS, _BLOCK_BYTES // (4 * width)))


@kernel
def begin_margins(
    offset: NDArray[np.float64], start: int, count: int, base: float, base_first: bool, margins: NDArray[np.float32]
) -> None:
    """Write what the leaves of `count` rows are added to."""
    for r in range(count):
        first = np.float32(offset[start + r]) if offset.shape[0] > 0 else np.float32(base)
        for group in range(margins.shape[1]):
            margins[r, group] = first if base_first else np.float32(0.0)


@kernel
def end_margins(
    offset: NDArray[np.float64],
    start: int,
    count: int,
    base: float,
    base_first: bool,
    kind: int,
    classes: int,
    margins: NDArray[np.float32],
    out: NDArray[np.float64],
) -> None:
    """Write what the margins of `count` rows mean."""
    for r in range(count):
        if not base_first:
            last = np.float32(offset[start + r]) if offset.shape[0] > 0 else np.float32(base)
            for group in range(margins.shape[1]):
                margins[r, group] += last
        transform_row(kind, margins, r, classes, out[start : start + count])


@kernel
def score_linked(
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    nodes: NDArray[np.void],
    values: NDArray[np.float32],
    trees: NDArray[np.int32],
    group_count: int,
    base: float,
    base_first: bool,
    kind: int,
    classes: int,
    out: NDArray[np.float64],
) -> None:
    """Score rows with linked trees, but for their labels.

    Args:
        offset: per row, instead of the base margin; empty without.
        base_first: whether the base margin is what leaves are added to; else it is added last.
        classes: 1 for a value.
        out: of shape (rows, 1 or at least 1 + classes).
    """
    width = max(1, offsets.shape[0] - 1 + nums)
    most = min(rows.shape[0], block_rows(width + group_count))
    keys = np.empty((most, width), dtype=np.uint32)
    margins = np.empty((most, group_count), dtype=np.float32)
    at = np.empty(most, dtype=np.uint64)
    start = 0
    while start < rows.shape[0]:
        count = min(most, rows.shape[0] - start)
        fill_keys(rows, start, count, offsets, first_level, nums, sparse, keys)
        begin_margins(offset, start, count, base, base_first, margins)
        if count == 1:
            add_trees_to_one(nodes, values, trees, keys, margins)
        else:
            add_trees(nodes, values, trees, keys, count, at, margins)
        end_margins(offset, start, count, base, base_first, kind, classes, margins, out)
        start += count


@kernel
def score_complete(
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    tests: NDArray[np.uint32],
    leaves: NDArray[np.float32],
    depth: int,
    trees: NDArray[np.int32],
    group_count: int,
    base: float,
    base_first: bool,
    kind: int,
    classes: int,
    out: NDArray[np.float64],
) -> None:
    """Do as `score_linked` does, with complete trees."""
    width = width_of(offsets, nums)
    most = min(rows.shape[0], block_rows(width + group_count))
    slots = np.empty(most * width, dtype=np.uint32)
    margins = np.empty((most, group_count), dtype=np.float32)
    at = np.empty(most, dtype=np.uint64)
    start = 0
    while start < rows.shape[0]:
        count = min(most, rows.shape[0] - start)
        fill_intervals(rows, start, count, offsets, first_level, nums, sparse, slots)
        begin_margins(offset, start, count, base, base_first, margins)
        if count == 1:
            add_complete_to_one(tests, leaves, trees, depth, slots, margins)
        else:
            add_complete(tests, leaves, trees, depth, slots, width, count, at, margins)
        end_margins(offset, start, count, base, base_first, kind, classes, margins, out)
        start += count


_to_node = pointer_to(from_dtype(PACKED))
_to_float32 = pointer_to(types.float32)


@kernel
def score_packed_trees(
    table: NDArray[np.int64], rows: NDArray[np.float64], offset: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Score rows with trees, labels included.

    In the table are the arrays of `score_linked` and those of `score_complete`, of which one has its own and none of
    the other's; ratios, prior; base and threshold; first level, numbers, sparse, groups, whether the base is first,
    kind, classes, and the depth of complete trees, which is negative where trees are linked.
    """
    floats, whole = float64s(table, 7), int64s(table, 8)
    offsets, flat = int64s(table, 0), int32s(table, 2)
    trees = flat.reshape((len(flat) // 4, 4))
    first_level, nums, sparse, groups, base_first = whole[0], whole[1], whole[2] != 0, whole[3], whole[4] != 0
    kind, classes, depth = whole[5], whole[6], whole[7]
    base = floats[0]
    if depth >= 0:
        tests, leaves = uint32s(table, 3), float32s(table, 4)
        score_complete(
            rows, offset, offsets, first_level, nums, sparse, tests, leaves, depth, trees,
            groups, base, base_first, kind, classes, out,
        )  # fmt: skip
    else:
        nodes, values = carray(_to_node(table[1, 0]), table[1, 1]), carray(_to_float32(table[1, 0]), 4 * table[1, 1])
        score_linked(
            rows, offset, offsets, first_level, nums, sparse, nodes, values, trees,
            groups, base, base_first, kind, classes, out,
        )  # fmt: skip
    if classes > 1:
        finish_classes(out, rows, float64s(table, 5), float64s(table, 6), floats[1], classes)


@kernel
def score_weights(
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    weights: NDArray[np.float32],
    dense: bool,
    base: float,
    base_first: bool,
    kind: int,
    ratios: NDArray[np.float64],
    prior: NDArray[np.float64],
    threshold: float,
    classes: int,
    out: NDArray[np.float64],
) -> None:
    """Score rows with a linear booster; arguments as those of `score_linked` and `add_weights`."""
    x = np.empty((1, offsets.shape[0] - 1 + nums), dtype=np.float32)
    margins = np.empty((1, weights.shape[1]), dtype=np.float32)
    for r in range(rows.shape[0]):
        fill_row(rows[r], offsets, first_level, sparse, x)
        first = np.float32(offset[r]) if offset.shape[0] > 0 else np.float32(base)
        for group in range(weights.shape[1]):
            margins[0, group] = weights[weights.shape[0] - 1, group] + (first if base_first else np.float32(0.0))
        add_weights(weights, offsets, nums, dense, x, 0, margins)
        for group in range(weights.shape[1]):
            margins[0, group] += np.float32(0.0) if base_first else first
        transform_row(kind, margins, 0, classes, out[r : r + 1])
    if classes > 1:
        finish_classes(out, rows, ratios, prior, threshold, classes)
