"""Lays trees of XGBoost out for the kernel that walks them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.xgboost_nodes import MISSING_KEY

#: Answers of `lay_out` instead of a size.
BEYOND, CROOKED = -1, -2


@kernel
def key_of(bits: np.uint32) -> np.uint32:
    """Return the key of a float32 that is no NaN and no negative zero, by its bits; see `xgboost_nodes`."""
    return np.uint32(bits ^ (np.uint32(np.int32(bits) >> np.int32(31)) | np.uint32(0x80000000)))


@kernel
def write_test(
    threshold: np.float32, missing_first: bool, at: int, low: NDArray[np.uint32], span: NDArray[np.uint32]
) -> None:
    """Write the test of a number: below a threshold, or missing where that goes to the first child, too."""
    low[at] = np.uint32(MISSING_KEY) if missing_first else np.uint32(0)
    span[at] = 0
    if not math.isnan(threshold):
        # A negative zero is none; the place of `span` serves to look at the bits.
        span.view(np.float32)[at] = threshold + np.float32(0.0)
        span[at] = key_of(span[at])
    if missing_first:
        span[at] += np.uint32(1)


@kernel
def lay_out(
    left_of: NDArray[np.int32],
    right_of: NDArray[np.int32],
    feature_of: NDArray[np.uint32],
    value_of: NDArray[np.float32],
    sizes: NDArray[np.int64],
    drops: NDArray[np.float32],
    offsets: NDArray[np.int64],
    nums: int,
    sparse: bool,
    low: NDArray[np.uint32],
    span: NDArray[np.uint32],
    left: NDArray[np.int32],
    column: NDArray[np.uint32],
    trees: NDArray[np.int32],
) -> int:
    """Write the nodes of trees breadth first, children side by side; return how many there are.

    Args:
        left_of, right_of, feature_of, value_of, sizes: the trees one after the other, as the file has them.
        low, span, left, column: what is written, as long as the input.
        trees: what `add_trees` takes but for the groups, shape (trees, 4).

    Returns:
        The nodes written; `BEYOND` for a feature that is none, `CROOKED` for children that make no tree.
    """
    cats = offsets.shape[0] - 1
    slots = offsets[cats]
    values = low.view(np.float32)
    used = begin = 0
    for tree in range(sizes.shape[0]):
        size = sizes[tree]
        trees[tree, 0] = root = used
        source = np.empty(size, dtype=np.int64)
        depth = np.zeros(size, dtype=np.int32)
        source[0] = 0
        used += 1
        at = root
        while at < used:
            node = begin + source[at - root]
            first, second = int(left_of[node]), int(right_of[node])
            span[at] = column[at] = 0
            if first == -1:
                values[at] = value_of[node] * drops[tree]
                left[at] = at - 1
                at += 1
                continue
            if first < 0 or second < 0 or first >= size or second >= size or used + 2 > root + size:
                return CROOKED
            feature = int(feature_of[node] & np.uint32(0x7FFFFFFF))
            default_first = (feature_of[node] >> np.uint32(31)) != 0
            threshold = value_of[node]
            if feature >= slots + nums:
                return BEYOND
            if feature >= slots:
                write_test(threshold, default_first, at, low, span)
                column[at] = cats + feature - slots
            else:
                hot_first = np.float32(1.0) < threshold
                cold_first = default_first if sparse else np.float32(0.0) < threshold
                if hot_first != cold_first:
                    low[at], span[at] = feature, 1
                    column[at] = np.searchsorted(offsets, feature, side="right") - 1
                    if not hot_first:
                        first, second = second, first
                else:
                    # All rows go one way: to the second child.
                    low[at] = 0
                    if hot_first:
                        first, second = second, first
            left[at] = used
            source[used - root], source[used + 1 - root] = first, second
            depth[used - root] = depth[used + 1 - root] = depth[at - root] + 1
            used += 2
            at += 1
        # Of a tree that is much deeper than its leaves ask for, few rows reach the end.
        trees[tree, 3] = depth[used - 1 - root]
        trees[tree, 2] = min(trees[tree, 3], 2 + int(1.5 * math.log2(used - root)))
        begin += size
    return used


@kernel
def complete(
    low: NDArray[np.uint32],
    span: NDArray[np.uint32],
    left: NDArray[np.int32],
    column: NDArray[np.uint32],
    trees: NDArray[np.int32],
    cats: int,
    nothing: int,
    depth: int,
    tests: NDArray[np.uint32],
    leaves: NDArray[np.float32],
) -> None:
    """Fill trees up to a depth that none of them exceeds; see `xgboost_nodes`.

    Args:
        low, span, left, column, trees: what `lay_out` wrote.
        nothing: the last slot.
        tests: of shape (trees, 2 ** depth, 2).
        leaves: of shape (trees, 2 ** depth).
    """
    values = low.view(np.float32)
    size = 1 << depth
    source = np.empty(2 * size, dtype=np.int64)
    for tree in range(trees.shape[0]):
        source[1] = trees[tree, 0]
        tests[tree, 0, 0] = tests[tree, 0, 1] = 0
        for place in range(1, 2 * size):
            at = source[place]
            # A test that all rows fail is left out.
            while left[at] > at and span[at] == 0:
                at = left[at] + 1
            if place >= size:
                leaves[tree, place - size] = values[at]
            elif left[at] < at:
                tests[tree, place, 0], tests[tree, place, 1] = 0, nothing
                source[2 * place] = source[2 * place + 1] = at
            elif column[at] < cats:
                tests[tree, place, 0], tests[tree, place, 1] = low[at], column[at]
                source[2 * place], source[2 * place + 1] = left[at] + 1, left[at]
            else:
                missing_first = np.uint32(low[at] == np.uint32(MISSING_KEY))
                tests[tree, place, 0] = span[at] - missing_first
                tests[tree, place, 1] = cats + 2 * (column[at] - cats) + missing_first
                source[2 * place], source[2 * place + 1] = left[at], left[at] + 1
