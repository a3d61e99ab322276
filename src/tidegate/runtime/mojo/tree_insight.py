"""What single trees say of a row: the leaf that it ends in, and predictions after each group of trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.forest_model import ForestModel
from tidegate.runtime.mojo.forests import DrfScorer, GbmScorer, IsolationForestScorer, UpliftScorer
from tidegate.runtime.mojo.scorer import Rows, Scorer
from tidegate.runtime.mojo.tree_bytes import Forest, tree_name
from tidegate.runtime.mojo.tree_kernel import find_leaves
from tidegate.runtime.mojo.tree_layout import WORDS

#: H2O tells the way to a leaf in 64 bits, one of which marks its end.
LONGEST_PATH = 63
#: A record of what training noted at an inner node.
_AUX = np.dtype(
    [
        ("node", "<i4"),
        ("other", "<i4"),
        ("weight_left", "<f4"),
        ("weight_right", "<f4"),
        ("means_and_errors", "<f4", 4),
        ("left", "<i4"),
        ("right", "<i4"),
    ]
)


@dataclass(frozen=True)
class Notes:
    """What training noted at the inner nodes of all trees, in the order of the nodes.

    Attributes:
        left, right: numbers of the children, by H2O's count within the tree.
        weight_left, weight_right: weights of the training rows that went there.
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    weight_left: NDArray[np.float32]
    weight_right: NDArray[np.float32]


class TreeInsight:
    """Leaves of a forest. A complete forest has a tree for each group and class: they are ordered by group, then by
    class, as in H2O; where a file lacks one, there is no path and the number of the leaf is -1."""

    def __init__(self, container: Container, scorer: Scorer) -> None:
        """Take a forest that was read from a container.

        Raises:
            MojoUnsupportedError: it is no forest.
        """
        if not isinstance(scorer, GbmScorer | DrfScorer | IsolationForestScorer | UpliftScorer):
            raise MojoUnsupportedError(f"models of {scorer.header.keys.text('algorithm')} have no leaves to tell")
        self._container = container
        self.scorer = scorer
        self.model: ForestModel = scorer.model
        forest = self.model.forest
        #: Of each tree that there is, its place among all.
        self.places = forest.groups * forest.n_classes + forest.classes

    @property
    def trees(self) -> tuple[str, ...]:
        """Names of the trees: "T1.C1" with classes, else "T1"."""
        forest, header = self.model.forest, self.scorer.header
        with_classes = header.is_classifier or forest.n_classes > 1
        return tuple(
            f"T{group}.C{index}" if with_classes else f"T{group}"
            for group in range(1, forest.n_groups + 1)
            for index in range(1, forest.n_classes + 1)
        )

    @cached_property
    def notes(self) -> Notes:
        return _read_notes(self._container, self.model.forest)

    def leaf_paths(self, rows: Rows) -> NDArray[np.object_]:
        """Return the way to each leaf, shape (rows, trees): "L" and "R" from the root on; "" in a tree of one leaf,
        None for a way that is longer than 63.

        Raises:
            MojoUnsupportedError: the version is below 1.20.
        """
        self._require(1.2, "the ways to leaves")
        return self._told(rows, self._path, np.dtype(object), None)

    def leaf_ids(self, rows: Rows) -> NDArray[np.int32]:
        """Return the number of each leaf within its tree, shape (rows, trees): 0 in a tree of one leaf, -1 for one that
        is more than 63 below the root.

        Raises:
            MojoFormatError: the notes of training, which have the numbers, are damaged.
            MojoUnsupportedError: the version is below 1.30.
        """
        self._require(1.3, "the numbers of leaves")
        return self._told(rows, self._number, np.dtype(np.int32), -1)

    def leaves(self, rows: Rows) -> NDArray[np.int64]:
        """Return the node of `Forest.nodes` that each row ends in, in each tree that there is."""
        nodes, sets, roots, _, columns, kinds, limits = self.model.arrays
        out = np.empty((len(rows), len(roots)), dtype=np.int64)
        find_leaves(nodes, sets, roots, columns, kinds, limits, self.model.prepared(rows), out)
        return out

    def staged(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return what the first group of trees would predict by itself, then the first two, and so on: of shape (rows,
        trees), by group, then by class. Of two classes that share trees there is the probability of class 0 alone. A
        random forest divides by the number of all its trees at each stage, as H2O's scorer does.

        Raises:
            MojoUnsupportedError: the model is none that predicts by stages.
        """
        scorer, forest = self.scorer, self.model.forest
        if not isinstance(scorer, GbmScorer | DrfScorer):
            raise MojoUnsupportedError(f"models of {scorer.header.keys.text('algorithm')} have no stages to tell")
        values = self._values(self.leaves(rows))
        first = 1 if len(scorer.outputs) > 1 else 0
        found = np.empty((len(rows), forest.n_groups * forest.n_classes))
        sums = np.zeros((len(rows), forest.n_classes))
        groups = self.places // forest.n_classes
        for group in range(forest.n_groups):
            for tree in np.flatnonzero(groups == group):
                sums[:, forest.classes[tree]] += values[:, tree]
            out = np.zeros((len(rows), len(scorer.outputs)))
            out[:, first : first + forest.n_classes] = sums
            scorer.finish(rows, out, offset)
            begin = group * forest.n_classes
            found[:, begin : begin + forest.n_classes] = out[:, first : first + forest.n_classes]
        return found

    def _require(self, version: float, what: str) -> None:
        if self.scorer.header.version < version:
            raise MojoUnsupportedError(
                f"{what} are told from version {version:.2f} of the format on",
                expected=f"{version:.2f}",
                got=f"{self.scorer.header.version:.2f}",
            )

    def _values(self, leaves: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.model.forest.nodes.view(np.float32)[leaves * WORDS].astype(np.float64)

    @cached_property
    def _steps(self) -> NDArray[np.int32]:
        return self.model.forest.nodes[1::WORDS]

    @cached_property
    def _parents(self) -> NDArray[np.int64]:
        """The parent of each node; -1 of a root."""
        parents = np.full(len(self._steps), -1, dtype=np.int64)
        inner = np.flatnonzero(self._steps)
        parents[inner + 1] = inner
        parents[inner + self._steps[inner]] = inner
        return parents

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """Of each inner node, its place among all inner nodes."""
        return np.cumsum(self._steps != 0) - 1

    def _way(self, leaf: int) -> list[int]:
        """Return the nodes from a leaf up to its root; no more than are needed to see that they are too many."""
        way = [leaf]
        while len(way) <= LONGEST_PATH + 1 and (parent := int(self._parents[way[-1]])) >= 0:
            way.append(parent)
        return way

    def _path(self, leaf: int) -> str | None:
        way = self._way(leaf)
        if len(way) > LONGEST_PATH + 1:
            return None
        return "".join("L" if child == parent + 1 else "R" for child, parent in pairwise(way))[::-1]

    def _number(self, leaf: int) -> int:
        way = self._way(leaf)
        if len(way) > LONGEST_PATH + 1:
            return -1
        if len(way) == 1:
            return 0
        rank = self.ranks[way[1]]
        return int((self.notes.left if leaf == way[1] + 1 else self.notes.right)[rank])

    def _told(self, rows: Rows, told: Callable[[int], Any], dtype: np.dtype[Any], absent: Any) -> NDArray[Any]:
        """Return what is told of each leaf; `absent` for trees that are missing."""
        leaves = self.leaves(rows)
        distinct, which = np.unique(leaves, return_inverse=True)
        answers = np.empty(len(distinct), dtype=dtype)
        for index, leaf in enumerate(distinct.tolist()):
            answers[index] = told(leaf)
        forest = self.model.forest
        found = np.full((len(rows), forest.n_groups * forest.n_classes), absent, dtype=dtype)
        found[:, self.places] = answers[which.reshape(leaves.shape)]
        return found


def _read_notes(container: Container, forest: Forest) -> Notes:
    """Raises MojoFormatError where a tree's notes are not one for each of its inner nodes."""
    steps = forest.nodes[1::WORDS]
    ends = [*forest.roots.tolist(), len(steps)][1:]
    found = []
    for tree, (begin, end) in enumerate(zip(forest.roots.tolist(), ends, strict=True)):
        name = tree_name(int(forest.groups[tree]), int(forest.classes[tree])).replace(".bin", "_aux.bin")
        data = container.read(name)
        inner = int(np.count_nonzero(steps[begin:end]))
        if len(data) != inner * _AUX.itemsize:
            raise MojoFormatError(name, f"has {len(data)} bytes, and the tree has {inner} inner nodes")
        found.append(np.frombuffer(data, dtype=_AUX))
    notes = np.concatenate(found) if found else np.empty(0, dtype=_AUX)
    return Notes(*(np.ascontiguousarray(notes[name]) for name in ("left", "right", "weight_left", "weight_right")))
