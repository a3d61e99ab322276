"""An ensemble of decision trees as flat arrays, whoever grew it: what the engines for trees are built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.runtime.base import Array

#: How a node compares its feature with its threshold; the numbers of ONNX's operator `TreeEnsemble`.
AT_MOST, LESS, MEMBER = 0, 1, 6


class NotCoveredError(Exception):
    """The engine is not made for this model; the message says why."""


class DiffersError(NotCoveredError):
    """The engine was made for this model and does not answer as the framework does."""


@dataclass(frozen=True)
class Tree:
    """One tree. All arrays have one entry per node; node 0 is the root, a leaf points nowhere (-1).

    Attributes:
        feature: column of the matrix that a node looks at.
        threshold: what it compares with; for a leaf its value.
        mode: AT_MOST, LESS or MEMBER.
        yes, no: the node that follows when the comparison holds, and when it does not; -1 in a leaf.
        missing_yes: whether NaN goes the way of `yes`.
        members: for each node with mode MEMBER the values that belong to its set.
        target: which sum the leaves of this tree are added to.
    """

    feature: Array
    threshold: Array
    mode: Array
    yes: Array
    no: Array
    missing_yes: Array
    members: dict[int, Sequence[float]]
    target: int = 0


@dataclass(frozen=True)
class Forest:
    """Trees whose leaves are summed in their order, beginning with `base`.

    Attributes:
        width: columns of the matrix.
        dtype: float32 or float64, of the matrix, the thresholds and the sums.
        trees: in the order in which the framework adds them.
        base: one number per target.
    """

    width: int
    dtype: np.dtype[np.floating]
    trees: Sequence[Tree]
    base: Array

    @property
    def targets(self) -> int:
        return len(self.base)


def single_leaf(value: float, target: int) -> Tree:
    """Return a tree that says `value` of every row: two equal leaves, since an ensemble's root has to compare."""
    whole = np.zeros(3, dtype=np.int64)
    return Tree(
        feature=whole,
        threshold=np.array([0.0, value, value]),
        mode=whole,
        yes=np.array([1, -1, -1]),
        no=np.array([2, -1, -1]),
        missing_yes=whole,
        members={},
        target=target,
    )


def with_base(forest: Forest) -> list[Tree]:
    """Return the trees after one tree for each base value, so that the sums begin with it as the framework's do."""
    bases = [single_leaf(float(value), target) for target, value in enumerate(forest.base) if value != 0.0]
    return [*bases, *(rooted(tree) for tree in forest.trees)]


def rooted(tree: Tree) -> Tree:
    """Return the tree, with two equal leaves under a root when it was one leaf."""
    return single_leaf(float(tree.threshold[0]), tree.target) if tree.yes[0] < 0 else tree


def probe_matrix(forest: Forest, rows: int, *, unknown: bool = True, seed: int = 0) -> Array:
    """Return rows that try the borders of a forest: thresholds and their neighbours, members, unknown values, NaN.

    Shape [rows, width], float64; the first row is all NaN. Without `unknown` no code is beyond those in the trees.
    """
    rng = np.random.default_rng(seed)
    features = np.concatenate([tree.feature[tree.yes >= 0] for tree in forest.trees] or [np.zeros(0, np.int64)])
    numbers = np.concatenate([tree.threshold[tree.yes >= 0] for tree in forest.trees] or [np.zeros(0)])
    compares = np.concatenate([tree.mode[tree.yes >= 0] != MEMBER for tree in forest.trees] or [np.zeros(0, bool)])
    members: dict[int, set[float]] = {}
    for tree in forest.trees:
        for node, values in tree.members.items():
            members.setdefault(int(tree.feature[node]), set()).update(values)
    probe = rng.normal(size=(rows, forest.width))
    for column in range(forest.width):
        known = sorted(members.get(column, ()))
        if known:
            pool = np.array([*known, *([max(known) + 1.0, max(known) + 37.0] if unknown else [])])
        else:
            pool = numbers[(features == column) & compares].astype(np.float64)
            pool = pool[np.isfinite(pool) & (np.abs(pool) < _BOUND)]
            steps = np.asarray(pool, dtype=forest.dtype)
            up, down = np.nextafter(steps, forest.dtype.type(np.inf)), np.nextafter(steps, forest.dtype.type(-np.inf))
            pool = np.concatenate([pool, up, down, pool + rng.normal(size=len(pool)), [0.0]])
        probe[:, column] = rng.choice(pool, rows)
    probe[rng.random(probe.shape) < _MISSING_SHARE] = np.nan
    probe[0] = np.nan
    return probe


_BOUND, _MISSING_SHARE = 1e30, 0.1
