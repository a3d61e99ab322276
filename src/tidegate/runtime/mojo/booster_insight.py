"""What single trees of XGBoost say of a row: the leaf that it ends in, and each input's share of the margin."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import booster_insight_kernel as kernel
from tidegate.runtime.mojo.booster_bytes import Trees, read_booster
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.one_hot import read_one_hot
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.tree_contributions import MAX_DEPTH
from tidegate.runtime.mojo.xgboost import base_margin

#: Weights of the nodes by rows that came after the training (`update_tree_weights`), in the place of its own.
_OTHER_WEIGHTS = "auxNodeWeights"
_Fields = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint32], NDArray[np.float32]]


class BoosterInsight:
    """Leaves and contributions of boosted trees, read once more from the file: the scorer keeps no more than it needs.

    Trees are in the order of the file: by group, then by class.
    """

    def __init__(self, container: Container, header: Header) -> None:
        """Take a model that was read from a container before, and so is whole.

        Raises:
            MojoUnsupportedError: its booster is linear.
        """
        booster = read_booster(container)
        if not isinstance(booster.body, Trees):
            raise MojoUnsupportedError("a linear booster has no trees to tell of", expected="gbtree, dart")
        trees = booster.body
        self._header = header
        self._container = container
        self._one_hot = read_one_hot(header.keys, header.n_features)
        self._sparse = header.keys.flag("sparse", default=False)
        self._start = np.float32(base_margin(booster))
        self._trees = trees
        self._begins = np.cumsum(trees.sizes) - trees.sizes
        self._fields: _Fields = (
            np.ascontiguousarray(trees.nodes["left"], dtype=np.int32),
            np.ascontiguousarray(trees.nodes["right"], dtype=np.int32),
            np.ascontiguousarray(trees.nodes["feature"], dtype=np.uint32),
            np.ascontiguousarray(trees.nodes["value"], dtype=np.float32),
        )
        self._parents = np.full(len(trees.nodes), -1, dtype=np.int64)
        self._deepest = kernel.find_parents(self._fields[0], self._fields[1], self._begins, self._parents)

    @property
    def trees(self) -> tuple[str, ...]:
        """Names of the trees: "T1.C1" with classes, else "T1"."""
        names = []
        counts: dict[int, int] = {}
        for group in self._trees.groups.tolist():
            counts[group] = counts.get(group, 0) + 1
            names.append(f"T{counts[group]}.C{group + 1}" if self._header.is_classifier else f"T{counts[group]}")
        return tuple(names)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the places of the input, and of what margins start from: a level is called "column.level"."""
        header, one_hot = self._header, self._one_hot
        names: list[str] = []
        for place in range(one_hot.cats):
            name, domain = header.features[place], header.feature_domains[place] or ()
            levels = domain[one_hot.first_level :]
            if len(levels) + 1 != one_hot.offsets[place + 1] - one_hot.offsets[place]:
                raise MojoFormatError(MODEL_INI, f"cat_offsets: other places of {name[:80]!r} than it has levels")
            names += [f"{name}.{level}" for level in levels]
            names.append(f"{name}.missing(NA)")
        numbers = header.features[one_hot.cats : one_hot.cats + one_hot.nums]
        return (*names, *numbers, "BiasTerm")

    def leaf_paths(self, rows: Rows) -> NDArray[np.object_]:
        """Return the way to each leaf, shape (rows, trees): "L" and "R" from the root on; "" in a tree of one leaf."""
        return self._told(rows, self._path)

    def leaf_ids(self, rows: Rows) -> NDArray[np.int32]:
        """Return the number of each leaf within its tree, shape (rows, trees)."""
        return self._leaves(rows).astype(np.int32)

    def contributions(self, rows: Rows) -> NDArray[np.float32]:
        """Return the share of each of `inputs` in the margin, without the offset: shape (rows, inputs).

        Raises:
            MojoUnsupportedError: there are more than two classes, or trees were dropped in training or are too deep.
            MojoFormatError: the weights of nodes that replace those of the training are damaged.
        """
        means = self._means
        out = np.zeros((len(rows), self._one_hot.width + 1), dtype=np.float32)
        out[:, -1] = self._start
        kernel.add_contributions(
            *self._fields, self._covers, self._begins, means, self._deepest, np.array(rows), *self._columns, out
        )
        return out

    @property
    def _columns(self) -> tuple[NDArray[np.int64], int, int, bool]:
        return self._one_hot.offsets, self._one_hot.first_level, self._one_hot.nums, self._sparse

    @cached_property
    def _means(self) -> NDArray[np.float32]:
        if self._header.n_classes > 2:
            raise MojoUnsupportedError("contributions are told for regression and two classes")
        if self._deepest > MAX_DEPTH:
            raise MojoUnsupportedError(f"contributions of trees that are more than {MAX_DEPTH:,} nodes deep")
        if self._trees.drops is not None and (self._trees.drops != 1.0).any():
            raise MojoUnsupportedError(
                "contributions of trees that were dropped in training (dart): H2O's own scorer leaves their factors "
                "out, so that its contributions do not add up to the prediction"
            )
        left, right, _, value = self._fields
        means = np.empty(len(self._begins), dtype=np.float32)
        kernel.find_means(left, right, value, self._covers, self._begins, self._deepest, means)
        return means

    @cached_property
    def _covers(self) -> NDArray[np.float32]:
        """The weight of the rows that reached each node."""
        if not self._container.has(_OTHER_WEIGHTS):
            return self._trees.covers
        return _other_weights(self._container.read(_OTHER_WEIGHTS), self._trees.sizes)

    def _leaves(self, rows: Rows) -> NDArray[np.int64]:
        out = np.empty((len(rows), len(self._begins)), dtype=np.int64)
        kernel.find_leaves(*self._fields, self._begins, np.array(rows), *self._columns, self._one_hot.width, out)
        return out

    def _told(self, rows: Rows, told: Callable[[int], Any]) -> NDArray[Any]:
        leaves = self._leaves(rows) + self._begins
        distinct, which = np.unique(leaves, return_inverse=True)
        answers = np.array([told(leaf) for leaf in distinct.tolist()], dtype=object)
        return answers[which.reshape(leaves.shape)]

    def _path(self, leaf: int) -> str:
        steps = []
        left = self._fields[0]
        while (parent := int(self._parents[leaf])) >= 0:
            begin = self._begins[np.searchsorted(self._begins, leaf, side="right") - 1]
            steps.append("L" if leaf == begin + left[parent] else "R")
            leaf = parent
        return "".join(reversed(steps))


def _other_weights(data: bytes, sizes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the weight of each node. The entry has the number of trees, then for each tree the number of its nodes and
    their weights: int32 and float64, little-endian. Raises MojoFormatError where they are not those of the trees."""
    if len(data) != 4 + int((4 + 8 * sizes).sum()) or int.from_bytes(data[:4], "little") != len(sizes):
        raise MojoFormatError(_OTHER_WEIGHTS, f"{len(data)} bytes are not the weights of {len(sizes)} trees")
    parts, place = [], 4
    for size in sizes.tolist():
        if int.from_bytes(data[place : place + 4], "little") != size:
            raise MojoFormatError(_OTHER_WEIGHTS, "a tree has another number of nodes than weights", offset=place)
        parts.append(np.frombuffer(data, "<f8", size, place + 4))
        place += 4 + 8 * size
    with np.errstate(over="ignore"):
        return np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)
