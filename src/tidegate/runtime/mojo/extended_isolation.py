"""Extended isolation forests: trees whose nodes ask on which side of a plane a row lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import extended_isolation_kernel as kernel
from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.scorer import Rows

MAX_TREES = 200_000
_PROBLEMS = {
    kernel.TRUNCATED: "the tree ends within a node",
    kernel.BAD_TYPE: "a node that is neither inner nor a leaf",
    kernel.BAD_COUNT: "a leaf with a negative number of rows",
    kernel.BAD_PADDING: "bytes after the tree",
}


@dataclass(frozen=True)
class _Tree:
    """A tree, its nodes numbered from 0 in the file's order.

    Attributes:
        children: of shape (nodes, 3): left, right, number of the plane; -1 all three in a leaf.
        planes: of shape (inner nodes, 2, columns): normals and points.
        lengths: per node that of a path which ends there; 0 in inner ones.
    """

    children: NDArray[np.int32]
    planes: NDArray[np.float64]
    lengths: NDArray[np.float64]


class ExtendedIsolationForestScorer:
    """Anomaly score (more is stranger) and mean length of the paths."""

    outputs = ("anomaly_score", "mean_length")

    def __init__(self, header: Header, trees: list[_Tree], sample: int) -> None:
        self.header = header
        nodes = np.cumsum([0, *(len(tree.children) for tree in trees)])
        planes = np.cumsum([0, *(len(tree.planes) for tree in trees)])
        moved = [
            np.where(tree.children < 0, -1, tree.children + np.array([first, first, plane]))
            for tree, first, plane in zip(trees, nodes[:-1], planes[:-1], strict=True)
        ]
        both = np.concatenate([tree.planes for tree in trees])
        self._arrays = (
            np.concatenate(moved).astype(np.int32),
            np.ascontiguousarray(both[:, 0]),
            np.ascontiguousarray(both[:, 1]),
            np.concatenate([tree.lengths for tree in trees]),
            nodes[:-1].astype(np.int64),
        )
        for array in self._arrays:
            array.setflags(write=False)
        self._sample = sample
        self.score(np.full((1, header.n_features), np.nan))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        if not (rows.flags.c_contiguous and rows.flags.writeable):
            rows = np.array(rows, dtype=np.float64, order="C")
        out = np.empty((len(rows), 2))
        kernel.score_planes(*self._arrays, self._sample, rows, out)
        return out


def read(container: Container, header: Header) -> ExtendedIsolationForestScorer:
    """Read a forest. Its kernels are compiled when this returns.

    Raises:
        MojoFormatError: it is damaged.
    """
    count = header.keys.integer("ntrees", least=1, most=MAX_TREES)
    sample = header.keys.integer("sample_size", least=1)
    trees: list[_Tree] = []
    nodes = 0
    for index in range(count):
        name = f"trees/t{index:02d}.bin"
        trees.append(_tree(name, container.read(name), header.n_features))
        nodes += len(trees[-1].children)
        if nodes >= 1 << 31:
            raise MojoFormatError(name, "the trees together have too many nodes")
    return ExtendedIsolationForestScorer(header, trees, sample)


def _tree(name: str, data: bytes, columns: int) -> _Tree:
    if len(data) < 4:
        raise MojoFormatError(name, "ends within its number of columns", offset=len(data))
    stored = int.from_bytes(data[:4], "little", signed=True)
    if stored != columns or columns < 1:
        raise MojoFormatError(name, f"planes in {stored} columns, and the model has {columns}", offset=0)
    room = len(data) // 9 + 1
    numbers, places = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    kinds = np.empty(room, dtype=np.uint8)
    raw = np.frombuffer(data, dtype=np.uint8)
    status, at, count = kernel.scan(raw, 16 * columns, numbers, kinds, places)
    if status != kernel.WHOLE:
        raise MojoFormatError(name, _PROBLEMS[status], offset=at)
    numbers, places, inner = numbers[:count], places[:count], kinds[:count] == kernel.INNER
    children = _children(name, numbers, inner)
    planes = _bytes_at(raw, places[inner], 16 * columns).view("<f8").astype(np.float64).reshape(-1, 2, columns)
    rows = _bytes_at(raw, places[~inner], 4).view("<i4").reshape(-1)
    lengths = np.zeros(count)
    # A node's number, plus 1, has a binary digit for each level of the tree down to it.
    lengths[~inner] = np.frexp(numbers[~inner] + 1.0)[1] - 1
    held, which = np.unique(rows, return_inverse=True)
    lengths[~inner] += np.array([kernel.mean_length_of(int(number)) for number in held])[which]
    return _Tree(children, planes, lengths)


def _children(name: str, numbers: NDArray[np.int64], inner: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return left child, right child and plane of each node. Raises MojoFormatError unless each node but the first is
    a child of an inner node before it, and each inner node has two children."""
    children = np.full((len(numbers), 3), -1, dtype=np.int32)
    if not len(numbers) or numbers[0] != 0:
        raise MojoFormatError(name, "does not begin with its root", offset=4)
    children[inner, 2] = np.arange(int(inner.sum()))
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    if ordered[0] < 0 or (np.diff(ordered) == 0).any():
        raise MojoFormatError(name, "numbers of nodes that are negative, or occur twice")
    own = np.flatnonzero(inner)
    for side in (0, 1):
        wanted = 2 * numbers[own] + 1 + side
        found = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        if (ordered[found] != wanted).any():
            raise MojoFormatError(name, "an inner node without a child")
        children[own, side] = order[found]
        if (children[own, side] <= own).any():
            raise MojoFormatError(name, "a node before its parent")
    if len(numbers) != 2 * len(own) + 1:
        raise MojoFormatError(name, "a node that is no child of another")
    return children


def _bytes_at(raw: NDArray[np.uint8], places: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """Return an array of shape (places, size)."""
    found: NDArray[np.uint8] = raw[places[:, np.newaxis] + np.arange(size)]
    return found
