"""What single trees of XGBoost say of a row. All of it is float32 arithmetic, on the nodes as the file has them.

Trees are given as `left`, `right`, `feature` (its top bit says that missing values go left) and `value` of all nodes,
one tree after the other; children are counted from the beginning of their tree, and a leaf has -1 on its left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.one_hot_kernel import slot_of
from tidegate.runtime.mojo.shap_path_kernel import add_leaf, extend, mean_of, push, share_of, take_out

_F32 = np.float32
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_FEATURE = np.uint32(0x7FFFFFFF)


@kernel
def fill_input(
    rows: NDArray[np.float64],
    row: int,
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    x: NDArray[np.float32],
) -> None:
    """Write the whole input of a row: a place for each level, then the numbers."""
    cats = offsets.shape[0] - 1
    x[: offsets[cats]] = _F32(np.nan) if sparse else _ZERO
    for i in range(cats):
        slot = slot_of(rows[row, i], offsets[i], offsets[i + 1], first_level)
        if slot >= 0:
            x[slot] = _ONE
    for i in range(nums):
        number = _F32(rows[row, cats + i])
        x[offsets[cats] + i] = _F32(np.nan) if sparse and number == _ZERO else number


@kernel
def goes_left(feature: np.uint32, threshold: np.float32, x: NDArray[np.float32]) -> bool:
    """Return which way an input goes at a node."""
    value = x[np.int64(feature & _FEATURE)]
    if np.isnan(value):
        return bool((feature >> np.uint32(31)) != 0)
    return bool(value < threshold)


@kernel
def find_leaves(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    feature: NDArray[np.uint32],
    value: NDArray[np.float32],
    begins: NDArray[np.int64],
    rows: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    width: int,
    out: NDArray[np.int64],
) -> None:
    """Write the number of the leaf in each tree, counted from the tree's beginning; `out` has shape (rows, trees)."""
    x = np.empty(width, dtype=np.float32)
    for row in range(rows.shape[0]):
        fill_input(rows, row, offsets, first_level, nums, sparse, x)
        for tree in range(begins.shape[0]):
            begin = begins[tree]
            node = 0
            while left[begin + node] != -1:
                at = begin + node
                node = int(left[at]) if goes_left(feature[at], value[at], x) else int(right[at])
            out[row, tree] = node


@kernel
def find_parents(
    left: NDArray[np.int32], right: NDArray[np.int32], begins: NDArray[np.int64], parents: NDArray[np.int64]
) -> int:
    """Write the parent of each node, counted over all trees, -1 for roots; return the splits on the longest path.

    Nodes that no root reaches keep what is there.
    """
    deepest = 0
    waiting = np.empty((parents.shape[0] + 1, 2), dtype=np.int64)
    for tree in range(begins.shape[0]):
        begin = begins[tree]
        parents[begin] = -1
        waiting[0, 0], waiting[0, 1] = begin, 0
        count = 1
        while count:
            count -= 1
            node, depth = waiting[count, 0], waiting[count, 1]
            deepest = max(deepest, depth)
            if left[node] != -1:
                for child in (begin + left[node], begin + right[node]):
                    parents[child] = node
                    waiting[count, 0], waiting[count, 1] = child, depth + 1
                    count += 1
    return int(deepest)


@kernel
def find_means(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    value: NDArray[np.float32],
    covers: NDArray[np.float32],
    begins: NDArray[np.int64],
    deepest: int,
    means: NDArray[np.float32],
) -> None:
    """Write the mean of the leaves of each tree over the training rows."""
    stack = np.empty((2 * deepest + 2, 2), dtype=np.int64)
    found = np.empty(deepest + 2, dtype=np.float32)
    for tree in range(begins.shape[0]):
        begin = begins[tree]
        stack[0, 0], stack[0, 1] = begin, 0
        count, known = 1, 0
        while count:
            count -= 1
            node, is_ready = stack[count, 0], stack[count, 1]
            if left[node] == -1:
                found[known] = value[node]
                known += 1
            elif is_ready:
                # The left child was visited last, and so is the last of what was found.
                low = _F32(covers[begin + left[node]] * found[known - 1])
                high = _F32(covers[begin + right[node]] * found[known - 2])
                known -= 1
                found[known - 1] = mean_of(low, high, covers[node])
            else:
                stack[count, 1] = 1
                stack[count + 1, 0], stack[count + 1, 1] = begin + left[node], 0
                stack[count + 2, 0], stack[count + 2, 1] = begin + right[node], 0
                count += 3
        means[tree] = found[0]


@kernel
def _descend(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    feature: NDArray[np.uint32],
    value: NDArray[np.float32],
    covers: NDArray[np.float32],
    begin: int,
    x: NDArray[np.float32],
    paths: NDArray[np.float32],
    stack: NDArray[np.int64],
    shares: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Add one tree's contributions for one input to `out`."""
    push(stack, shares, 0, begin, 0, 0, -1, _ONE, _ONE)
    waiting = 1
    while waiting:
        waiting -= 1
        node = stack[waiting, 0]
        level = stack[waiting, 1]
        depth = stack[waiting, 2]
        path = paths[level]
        if level:
            path[:, :depth] = paths[level - 1, :, :depth]
        extend(path, depth, shares[waiting, 0], shares[waiting, 1], stack[waiting, 3])
        if left[node] == -1:
            add_leaf(path, depth, value[node], out)
            continue
        split = int(feature[node] & _FEATURE)
        hot = begin + left[node]
        cold = begin + right[node]
        if not goes_left(feature[node], value[node], x):
            hot, cold = cold, hot
        depth, zeros, ones = take_out(path, depth, split)
        share = _F32(share_of(covers[cold], covers[node]) * zeros)
        push(stack, shares, waiting, cold, level + 1, depth + 1, split, share, _ZERO)
        share = _F32(share_of(covers[hot], covers[node]) * zeros)
        push(stack, shares, waiting + 1, hot, level + 1, depth + 1, split, share, ones)
        waiting += 2


@kernel
def add_contributions(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    feature: NDArray[np.uint32],
    value: NDArray[np.float32],
    covers: NDArray[np.float32],
    begins: NDArray[np.int64],
    means: NDArray[np.float32],
    deepest: int,
    rows: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    nums: int,
    sparse: bool,
    out: NDArray[np.float32],
) -> None:
    """Add the contributions of each place of the input, and of the trees' means in the last one, for each row."""
    x = np.empty(out.shape[1] - 1, dtype=np.float32)
    paths = np.empty((deepest + 1, 4, deepest + 2), dtype=np.float32)
    stack = np.empty((deepest + 2, 4), dtype=np.int64)
    shares = np.empty((deepest + 2, 2), dtype=np.float32)
    for row in range(rows.shape[0]):
        fill_input(rows, row, offsets, first_level, nums, sparse, x)
        for tree in range(begins.shape[0]):
            _descend(left, right, feature, value, covers, begins[tree], x, paths, stack, shares, out[row])
            out[row, -1] += means[tree]
