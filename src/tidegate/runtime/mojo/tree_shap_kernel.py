"""Contributions of columns to the sum of a tree's leaves: Shapley values along the paths of training rows, see
`shap_path_kernel`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.shap_path_kernel import add_leaf, extend, mean_of, push, share_of, take_out
from tidegate.runtime.mojo.tree_kernel import next_node
from tidegate.runtime.mojo.tree_layout import WORDS
from tidegate.runtime.mojo.tree_slots_kernel import fill_slots

_F32 = np.float32
_U64 = np.uint64
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@kernel
def _descend(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    columns: NDArray[np.int64],
    weights: NDArray[np.float32],
    slots: NDArray[np.int32],
    root: int,
    paths: NDArray[np.float32],
    stack: NDArray[np.int64],
    shares: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Add one tree's contributions for one row to `out`, column by column."""
    push(stack, shares, 0, root, 0, 0, -1, _ONE, _ONE)
    waiting = 1
    while waiting:
        waiting -= 1
        node = stack[waiting, 0]
        level = stack[waiting, 1]
        depth = stack[waiting, 2]
        column = stack[waiting, 3]
        path = paths[level]
        if level:
            path[:, :depth] = paths[level - 1, :, :depth]
        extend(path, depth, shares[waiting, 0], shares[waiting, 1], column)
        if nodes[node * WORDS + 1] == 0:
            value = _F32(np.int32(nodes[node * WORDS]).view(np.float32))
            add_leaf(path, depth, value, out)
            continue
        split = columns[nodes[node * WORDS + 2]]
        left = node + 1
        right = node + nodes[node * WORDS + 1]
        hot = int(np.int64(next_node(nodes, sets, slots, _U64(0), _U64(node))))
        cold = right if hot == left else left
        depth, zeros, ones = take_out(path, depth, split)
        # The hot child comes first off the stack.
        share = _F32(share_of(weights[cold], weights[node]) * zeros)
        push(stack, shares, waiting, cold, level + 1, depth + 1, split, share, _ZERO)
        share = _F32(share_of(weights[hot], weights[node]) * zeros)
        push(stack, shares, waiting + 1, hot, level + 1, depth + 1, split, share, ones)
        waiting += 2


@kernel
def add_contributions(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    columns: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    limits: NDArray[np.float64],
    weights: NDArray[np.float32],
    means: NDArray[np.float32],
    deepest: int,
    rows: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Add the contributions of each column, and of the trees' means in the last place, for each row.

    Args:
        weights: of the training rows that reached each node.
        means: of each tree.
        deepest: inner nodes on the longest path of any tree.
        out: of shape (rows, columns + 1).
    """
    slots = np.empty(len(columns), dtype=np.int32)
    paths = np.empty((deepest + 1, 4, deepest + 2), dtype=np.float32)
    stack = np.empty((deepest + 2, 4), dtype=np.int64)
    shares = np.empty((deepest + 2, 2), dtype=np.float32)
    for index in range(len(rows)):
        fill_slots(columns, kinds, limits, rows, index, index + 1, slots)
        for tree in range(len(roots)):
            _descend(nodes, sets, columns, weights, slots, roots[tree], paths, stack, shares, out[index])
            out[index, -1] += means[tree]


@kernel
def weigh(
    nodes: NDArray[np.int32],
    roots: NDArray[np.int64],
    ranks: NDArray[np.int64],
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    weights: NDArray[np.float32],
    levels: NDArray[np.int32],
    means: NDArray[np.float32],
) -> int:
    """Write each node's weight and level, and each tree's mean. Returns the longest path's inner nodes.

    Args:
        ranks: of each inner node, its place in `left` and `right`, the weights of its children.
    """
    deepest = 0
    total = len(ranks)
    values = np.empty(total, dtype=np.float32)
    for tree in range(len(roots)):
        begin = roots[tree]
        end = roots[tree + 1] if tree + 1 < len(roots) else total
        levels[begin] = 0
        weights[begin] = _ONE
        if nodes[begin * WORDS + 1]:
            weights[begin] = left[ranks[begin]] + right[ranks[begin]]
        for node in range(begin, end):
            step = nodes[node * WORDS + 1]
            if step:
                weights[node + 1] = left[ranks[node]]
                weights[node + step] = right[ranks[node]]
                levels[node + 1] = levels[node + step] = levels[node] + 1
                deepest = max(deepest, levels[node] + 1)
        for node in range(end - 1, begin - 1, -1):
            step = nodes[node * WORDS + 1]
            if step:
                low = _F32(weights[node + 1] * values[node + 1])
                high = _F32(weights[node + step] * values[node + step])
                values[node] = mean_of(low, high, weights[node])
            else:
                values[node] = _F32(np.int32(nodes[node * WORDS]).view(np.float32))
        means[tree] = values[begin]
    return deepest
