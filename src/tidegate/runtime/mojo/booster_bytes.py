"""The entry `boosterBytes`: a model in XGBoost's own binary format, as it was before JSON. Little-endian throughout."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError

ENTRY = "boosterBytes"
MAX_NAME = 200
MAX_GROUPS = 100_000

#: A node: its default direction is the top bit of `feature`, and a leaf has no left child and its value in `value`.
NODE = np.dtype([("parent", "<i4"), ("left", "<i4"), ("right", "<i4"), ("feature", "<u4"), ("value", "<f4")])
#: What training noted at a node; `cover` is the weight of the rows that reached it.
_STATISTICS = np.dtype([("gain", "<f4"), ("cover", "<f4"), ("weight", "<f4"), ("leaf_children", "<i4")])
_TREE_HEAD = 37 * 4


@dataclass(frozen=True)
class Trees:
    """Boosted trees.

    Attributes:
        nodes: of all trees, of the type `NODE`; children are counted from the beginning of their own tree.
        sizes: how many nodes each tree has.
        groups: the class group that each tree adds to.
        drops: per tree the factor of its leaves; None without dropout.
        covers: float32, per node the weight of the training rows that reached it.
    """

    nodes: NDArray[np.void]
    sizes: NDArray[np.int64]
    groups: NDArray[np.int32]
    drops: NDArray[np.float32] | None
    covers: NDArray[np.float32]


@dataclass(frozen=True)
class Linear:
    """A linear booster.

    Attributes:
        weights: shape (features + 1, groups); the biases are the last row.
    """

    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Booster:
    """A model.

    Attributes:
        version: major and minor; (0, 0) in old files.
        features: length of the input vector, with a place for each level.
        groups: 1, or the number of classes.
    """

    base_score: np.float32
    version: tuple[int, int]
    features: int
    groups: int
    objective: str
    body: Trees | Linear


class _Cursor:
    """Reads forward; every size is checked against what is left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def skip(self, size: int) -> int:
        """Move on, and return where that began. Raises MojoFormatError where so much is not there."""
        start = self.place
        if size < 0 or size > len(self._data) - start:
            raise MojoFormatError(ENTRY, f"ends before {size} bytes that belong to it", offset=start)
        self.place = start + size
        return start

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack_from(form, self._data, self.skip(struct.calcsize(form)))

    def array(self, dtype: np.dtype[np.void] | str, count: int) -> NDArray[np.generic]:
        kind = np.dtype(dtype)
        start = self.skip(count * kind.itemsize)
        if count == 0:
            return np.empty(0, dtype=kind)
        return np.frombuffer(self._data, dtype=kind, count=count, offset=start)

    def text(self) -> str:
        place = self.place
        (size,) = self.numbers("<Q")
        if size > MAX_NAME:
            raise MojoFormatError(ENTRY, f"a name of {size} bytes", offset=place)
        start = self.skip(size)
        try:
            return self._data[start : start + size].decode("ascii")
        except UnicodeDecodeError:
            raise MojoFormatError(ENTRY, "a name that is no ASCII", offset=start) from None


def read_booster(container: Container) -> Booster:
    """Read the entry. What follows the model in it is ignored.

    Raises:
        MojoFormatError: it is damaged.
        MojoUnsupportedError: it is of a kind that H2O does not write.
    """
    data = container.read(ENTRY)
    cursor = _Cursor(data)
    if data[:4] == b"binf":
        cursor.skip(4)
    base_score = np.float32(cursor.array("<f4", 1)[0])
    features, classes, with_buffer, _, major, minor = cursor.numbers("<IiiiII")
    cursor.skip(27 * 4)
    if not 0 <= classes <= MAX_GROUPS:
        raise MojoFormatError(ENTRY, f"{classes} classes", offset=cursor.place)
    groups = max(classes, 1)
    objective = cursor.text()
    name = cursor.text()
    body: Trees | Linear
    if name in ("gbtree", "dart"):
        body = _trees(cursor, groups, features, with_buffer=with_buffer != 0, dropout=name == "dart")
    elif name == "gblinear":
        body = _linear(cursor, groups, features)
    else:
        raise MojoUnsupportedError(f"the booster {name!r} is not known", expected="gbtree, dart, gblinear")
    return Booster(base_score, (major, minor), features, groups, objective, body)


def _trees(cursor: _Cursor, groups: int, features: int, *, with_buffer: bool, dropout: bool) -> Trees:
    place = cursor.place
    count, _, _, _, buffered, _, leaf_vector = cursor.numbers("<iiiiqii")
    cursor.skip(32 * 4)
    if leaf_vector != 0:
        raise MojoUnsupportedError("leaves with several values cannot be scored")
    if count < 0:
        raise MojoFormatError(ENTRY, f"{count} trees", offset=place)
    parts: list[NDArray[np.generic]] = []
    covers: list[NDArray[np.float32]] = []
    sizes: list[int] = []
    for _ in range(count):
        place = cursor.place
        nodes, cover = _tree(cursor)
        features_seen = nodes["feature"][nodes["left"] >= 0] & 0x7FFFFFFF
        if features_seen.size and int(features_seen.max()) >= features:
            raise MojoFormatError(
                ENTRY, f"a tree looks at a feature beyond the {features} that there are", offset=place
            )
        parts.append(nodes)
        covers.append(cover)
        sizes.append(len(nodes))
    place = cursor.place
    owners = cursor.array("<i4", count).astype(np.int32)
    if count and not (owners.min() >= 0 and owners.max() < groups):
        raise MojoFormatError(ENTRY, f"a tree belongs to none of the {groups} groups", offset=place)
    drops = None
    if dropout:
        if buffered and with_buffer:
            cursor.skip(8 * groups * buffered)
        drops = _drops(cursor, owners)
    nodes = np.concatenate(parts) if parts else np.empty(0, dtype=NODE)
    cover = np.concatenate(covers) if covers else np.empty(0, dtype=np.float32)
    return Trees(nodes, np.array(sizes, dtype=np.int64), owners, drops, cover)


def _tree(cursor: _Cursor) -> tuple[NDArray[np.void], NDArray[np.float32]]:
    place = cursor.place
    roots, size = cursor.numbers("<ii")
    cursor.skip(3 * 4)
    (leaf_vector,) = cursor.numbers("<i")
    cursor.skip(_TREE_HEAD - 6 * 4)
    if roots != 1 or size < 1:
        raise MojoFormatError(ENTRY, f"a tree of {size} nodes with {roots} roots", offset=place)
    if leaf_vector != 0:
        raise MojoUnsupportedError("leaves with several values cannot be scored")
    nodes: NDArray[np.void] = cursor.array(NODE, size)  # type: ignore[assignment]
    statistics = cursor.array(_STATISTICS, size)
    return nodes, statistics["cover"]  # type: ignore[call-overload]  # its type has fields


def _drops(cursor: _Cursor, owners: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return each tree's factor. Those in the file are found by a tree's place among the trees of its own group."""
    place = cursor.place
    (count,) = cursor.numbers("<Q")
    found = cursor.array("<f4", count).astype(np.float32)
    order = np.argsort(owners, kind="stable")
    ranks = np.empty(len(owners), dtype=np.int64)
    ranks[order] = np.arange(len(owners)) - np.searchsorted(owners[order], owners[order])
    if len(ranks) and int(ranks.max()) >= count:
        raise MojoFormatError(ENTRY, f"{count} factors for {int(ranks.max()) + 1} trees of a group", offset=place)
    return found[ranks]


def _linear(cursor: _Cursor, groups: int, features: int) -> Linear:
    place = cursor.place
    cursor.skip(34 * 4)
    (count,) = cursor.numbers("<Q")
    weights = cursor.array("<f4", count)
    if count != (features + 1) * groups:
        raise MojoFormatError(ENTRY, f"{count} weights of {features} features in {groups} groups", offset=place)
    return Linear(weights.astype(np.float32).reshape(features + 1, groups))
