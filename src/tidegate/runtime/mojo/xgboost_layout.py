"""Trees of XGBoost as the kernel walks them: no one-hot input is made, as a level's test is a comparison of codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.arrays import fixed
from tidegate.runtime.mojo.booster_bytes import ENTRY, Trees
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.one_hot import OneHot
from tidegate.runtime.mojo.xgboost_layout_kernel import BEYOND, CROOKED, complete, lay_out
from tidegate.runtime.mojo.xgboost_nodes import LEAF_BYTES, NODE_BYTES, PACKED

#: Places of levels are told from numbers that are missing; the file has them as float32.
MAX_SLOTS = 1 << 24
#: Trees that are deeper are not filled up.
MAX_COMPLETE_DEPTH = 10


@dataclass(frozen=True)
class Layout:
    """Trees that can be walked: linked ones, or complete ones where these are smaller; see `xgboost_nodes`.

    Attributes:
        nodes: of all linked trees, of the type `PACKED`.
        trees: of shape (trees, 4): the first node; the class group that it adds to; how far rows go down side by side;
            the depth. Of complete trees only the group counts.
        tests: uint32 of shape (trees, 2 ** depth, 2): of complete trees what a node asks for, and the slot.
        leaves: float32 of shape (trees, 2 ** depth).
    """

    nodes: NDArray[np.void]
    trees: NDArray[np.int32]
    tests: NDArray[np.uint32]
    leaves: NDArray[np.float32]

    @property
    def depth(self) -> int:
        """The depth of complete trees; -1 for linked ones."""
        return self.leaves.shape[1].bit_length() - 1 if len(self.leaves) else -1


def layout_of(trees: Trees, one_hot: OneHot, *, sparse: bool) -> Layout:
    """Lay trees out for the kernel.

    Args:
        sparse: whether the input has missing values instead of zeros.

    Raises:
        MojoFormatError: the nodes are no trees, or look at features that the model has not.
        MojoUnsupportedError: more levels than codes can be told apart.
    """
    if one_hot.slots >= MAX_SLOTS:
        raise MojoUnsupportedError(f"{one_hot.slots} levels are more than can be told apart")
    count = len(trees.sizes)
    total = len(trees.nodes)
    low, span, column = (np.empty(total, dtype=np.uint32) for _ in range(3))
    left = np.empty(total, dtype=np.int32)
    table = np.zeros((count, 4), dtype=np.int32)
    table[:, 1] = trees.groups
    drops = np.ones(count, dtype=np.float32) if trees.drops is None else trees.drops
    left_of, right_of, feature_of, value_of = (
        np.ascontiguousarray(trees.nodes[name]) for name in ("left", "right", "feature", "value")
    )
    used = lay_out(
        left_of, right_of, feature_of, value_of, trees.sizes, drops,
        one_hot.offsets, one_hot.nums, sparse, low, span, left, column, table,
    )  # fmt: skip
    if used < 0:
        problem = {BEYOND: "a feature that the model has not", CROOKED: "children that make it no tree"}[used]
        raise MojoFormatError(ENTRY, f"a tree has {problem}")
    depth = int(table[:, 3].max(initial=0))
    if depth <= MAX_COMPLETE_DEPTH and (NODE_BYTES + LEAF_BYTES) * (count << depth) <= PACKED.itemsize * used:
        nodes = np.empty(0, dtype=PACKED)
        tests = np.empty((count, 1 << depth, 2), dtype=np.uint32)
        leaves = np.empty((count, 1 << depth), dtype=np.float32)
        cats = len(one_hot.offsets) - 1
        complete(low, span, left, column, table, cats, cats + 2 * one_hot.nums, depth, tests, leaves)
    else:
        nodes = np.empty(used, dtype=PACKED)
        for name, written in (("low", low), ("span", span), ("left", left), ("column", column)):
            nodes[name] = written[:used]
        tests, leaves = np.empty((0, 0, 2), dtype=np.uint32), np.empty((0, 0), dtype=np.float32)
    return Layout(fixed(nodes), fixed(table), fixed(tests), fixed(leaves))
