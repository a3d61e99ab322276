"""Kernels of XGBoost's models. All of it is float32 arithmetic, in the order of H2O's scorer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.label_kernel import finish_classes
from tidegate.runtime.mojo.one_hot_kernel import slot_of

#: What is done to the margins.
UNCHANGED, LOGISTIC, EXPONENTIAL, SOFTMAX = range(4)

_BLOCK_BYTES = 1 << 17
_MOST_ROWS = 256


@kernel
def fill_block(
    rows: NDArray[np.float64],
    start: int,
    count: int,
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    x: NDArray[np.float32],
) -> None:
    """Write rows as the trees look at them: the hot place of each categorical, the numbers, and a missing value."""
    cats = offsets.shape[0] - 1
    for r in range(count):
        for i in range(cats):
            x[r, i] = np.float32(slot_of(rows[start + r, i], offsets[i], offsets[i + 1], first_level))
        for i in range(cats, cats + nums):
            number = np.float32(rows[start + r, i])
            x[r, i] = np.float32(np.nan) if sparse and number == np.float32(0.0) else number
        x[r, cats + nums] = np.float32(np.nan)


@kernel
def child_of(nodes: NDArray[np.void], at: int, x: NDArray[np.float32], r: int) -> int:
    """Return the node after another one; a leaf comes after itself."""
    node = nodes[at]
    packed = node.column
    value = x[r, packed >> 2]
    threshold = node.value
    missing_first = (packed & 1) != 0
    goes_first = (value < threshold) | ((value != value) & missing_first)  # noqa: PLR0124 - only NaN differs from itself
    if (packed & 2) != 0:
        goes_first = value == threshold
    return node.left + (0 if goes_first else 1)  # type: ignore[no-any-return]


@kernel
def add_trees(
    nodes: NDArray[np.void],
    roots: NDArray[np.int32],
    groups: NDArray[np.int32],
    x: NDArray[np.float32],
    count: int,
    margins: NDArray[np.float32],
) -> None:
    """Add the leaves of all trees to the margins of `count` rows, a multiple of 4, in the order of the trees.

    Four rows go down a tree together: each waits for memory, and they wait at the same time.
    """
    for tree in range(roots.shape[0]):
        group = groups[tree]
        root = int(roots[tree])
        for r in range(0, count, 4):
            a = b = c = d = root
            while True:
                next_a = child_of(nodes, a, x, r)
                next_b = child_of(nodes, b, x, r + 1)
                next_c = child_of(nodes, c, x, r + 2)
                next_d = child_of(nodes, d, x, r + 3)
                moved = (next_a ^ a) | (next_b ^ b) | (next_c ^ c) | (next_d ^ d)
                a = next_a
                b = next_b
                c = next_c
                d = next_d
                if moved == 0:
                    break
            margins[r, group] += nodes[a].value
            margins[r + 1, group] += nodes[b].value
            margins[r + 2, group] += nodes[c].value
            margins[r + 3, group] += nodes[d].value


@kernel
def add_trees_to_one(
    nodes: NDArray[np.void],
    roots: NDArray[np.int32],
    groups: NDArray[np.int32],
    x: NDArray[np.float32],
    r: int,
    margins: NDArray[np.float32],
) -> None:
    """Add the leaves of all trees to the margins of one row, in the order of the trees; it goes down four together."""
    trees = roots.shape[0]
    tree = 0
    while tree + 4 <= trees:
        a = int(roots[tree])
        b = int(roots[tree + 1])
        c = int(roots[tree + 2])
        d = int(roots[tree + 3])
        while True:
            next_a = child_of(nodes, a, x, r)
            next_b = child_of(nodes, b, x, r)
            next_c = child_of(nodes, c, x, r)
            next_d = child_of(nodes, d, x, r)
            moved = (next_a ^ a) | (next_b ^ b) | (next_c ^ c) | (next_d ^ d)
            a = next_a
            b = next_b
            c = next_c
            d = next_d
            if moved == 0:
                break
        margins[r, groups[tree]] += nodes[a].value
        margins[r, groups[tree + 1]] += nodes[b].value
        margins[r, groups[tree + 2]] += nodes[c].value
        margins[r, groups[tree + 3]] += nodes[d].value
        tree += 4
    while tree < trees:
        a = int(roots[tree])
        next_a = child_of(nodes, a, x, r)
        while next_a != a:
            a = next_a
            next_a = child_of(nodes, a, x, r)
        margins[r, groups[tree]] += nodes[a].value
        tree += 1


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
    return max(8, min(_MOST_ROWS, _BLOCK_BYTES // (4 * width))) & ~3


@kernel
def score_trees(
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    nodes: NDArray[np.void],
    roots: NDArray[np.int32],
    groups: NDArray[np.int32],
    group_count: int,
    base: float,
    base_first: bool,
    kind: int,
    ratios: NDArray[np.float64],
    prior: NDArray[np.float64],
    threshold: float,
    classes: int,
    out: NDArray[np.float64],
) -> None:
    """Score rows with trees.

    Args:
        offset: per row, instead of the base margin; empty without.
        base_first: whether the base margin is what leaves are added to; else it is added last.
        classes: 1 for a value.
        out: of shape (rows, 1 or at least 1 + classes).
    """
    width = offsets.shape[0] + nums
    most = min(rows.shape[0], block_rows(width + group_count))
    x = np.empty((most, width), dtype=np.float32)
    margins = np.empty((most, group_count), dtype=np.float32)
    start = 0
    while start < rows.shape[0]:
        count = min(most, rows.shape[0] - start)
        fill_block(rows, start, count, offsets, first_level, nums, sparse, x)
        for r in range(count):
            first = np.float32(offset[start + r]) if offset.shape[0] > 0 else np.float32(base)
            for group in range(group_count):
                margins[r, group] = first if base_first else np.float32(0.0)
        fours = count & ~3
        if fours:
            add_trees(nodes, roots, groups, x, fours, margins)
        for r in range(fours, count):
            add_trees_to_one(nodes, roots, groups, x, r, margins)
        for r in range(count):
            if not base_first:
                last = np.float32(offset[start + r]) if offset.shape[0] > 0 else np.float32(base)
                for group in range(group_count):
                    margins[r, group] += last
            transform_row(kind, margins, r, classes, out[start : start + count])
        start += count
    if classes > 1:
        finish_classes(out, rows, ratios, prior, threshold, classes)


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
    """Score rows with a linear booster; arguments as those of `score_trees` and `add_weights`."""
    x = np.empty((1, offsets.shape[0] + nums), dtype=np.float32)
    margins = np.empty((1, weights.shape[1]), dtype=np.float32)
    for r in range(rows.shape[0]):
        fill_block(rows, r, 1, offsets, first_level, nums, sparse, x)
        first = np.float32(offset[r]) if offset.shape[0] > 0 else np.float32(base)
        for group in range(weights.shape[1]):
            margins[0, group] = weights[weights.shape[0] - 1, group] + (first if base_first else np.float32(0.0))
        add_weights(weights, offsets, nums, dense, x, 0, margins)
        for group in range(weights.shape[1]):
            margins[0, group] += np.float32(0.0) if base_first else first
        transform_row(kind, margins, 0, classes, out[r : r + 1])
    if classes > 1:
        finish_classes(out, rows, ratios, prior, threshold, classes)
