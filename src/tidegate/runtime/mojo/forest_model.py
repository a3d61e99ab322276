"""What all forests share: the trees, and what is done to a row before they see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.shelf import Kind, shelved
from tidegate.runtime.mojo.tree_bytes import MAX_GROUPS, MAX_TREES, Forest, read_forest, tree_name, trees_per_group
from tidegate.runtime.mojo.tree_layout import PLACE

#: The first arguments of the kernels: those of `Forest`, and the limit of each slot.
Arrays = tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.uint8],
    NDArray[np.float64],
]
NO_OFFSET: NDArray[np.float64] = np.empty(0)
_KEPT = Kind(
    "tree_bytes",
    {
        "nodes": np.dtype("<i4"),
        "sets": np.dtype("<i4"),
        "roots": np.dtype("<i8"),
        "classes": np.dtype("<i8"),
        "groups": np.dtype("<i8"),
        "columns": np.dtype("<i8"),
        "kinds": np.dtype("|u1"),
    },
)


@dataclass(frozen=True)
class ForestModel:
    """Trees and the columns that they look at.

    Attributes:
        unsigned: columns in which a negative code is an error: those split by sets, in version 1.00.
    """

    header: Header
    forest: Forest
    arrays: Arrays
    unsigned: NDArray[np.int64]

    def prepared(self, rows: Rows) -> Rows:
        """Return rows as the kernels take them. Raises MojoRowError where H2O's scorer fails."""
        flags = rows.flags
        if not (flags.c_contiguous and flags.writeable):
            rows = np.array(rows, dtype=np.float64, order="C")
        if len(self.unsigned) and (rows[:, self.unsigned] <= -1.0).any():
            raise MojoRowError("a code of a level is negative, which trees of version 1.00 cannot answer")
        return rows


def read_forest_model(container: Container, header: Header) -> ForestModel:
    """Read the trees. Raises MojoFormatError and MojoUnsupportedError."""
    forest = _forest_of(container, header)
    # From version 1.20 on, a code that the column has no level for is a missing value, whatever the split.
    domains = header.feature_domains if header.version >= 1.2 else (None,) * header.n_features
    limits = np.array([np.nan, *(_limit(domains[column]) for column in forest.columns[1:])], dtype=np.float64)
    limits.setflags(write=False)
    unsigned = forest.columns[forest.kinds == PLACE] if header.version < 1.1 else np.empty(0, dtype=np.int64)
    arrays = (
        forest.nodes,
        forest.sets,
        forest.roots,
        forest.classes,
        forest.columns,
        forest.kinds,
        limits,
    )
    return ForestModel(header, forest, arrays, unsigned)


def offsets_of(offset: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return offsets as the kernels take them: empty for none."""
    if offset is None:
        return NO_OFFSET
    return np.array(offset, dtype=np.float64) if not offset.flags.writeable else np.ascontiguousarray(offset)


def _forest_of(container: Container, header: Header) -> Forest:
    """Return the trees. Raises as `read_forest` does."""

    def make() -> dict[str, NDArray[np.generic]]:
        forest = read_forest(container, header)
        return {name: getattr(forest, name) for name in _KEPT.dtypes}

    arrays = shelved(_KEPT, container, make, _tree_names(header))
    return Forest(**arrays, n_groups=header.keys.integer("n_trees"), n_classes=trees_per_group(header))


def _tree_names(header: Header) -> Iterator[str]:
    groups, classes = header.keys.integer("n_trees"), trees_per_group(header)
    if groups <= MAX_GROUPS and groups * classes <= MAX_TREES:  # else reading them will refuse the file
        yield from (tree_name(group, index) for group in range(groups) for index in range(classes))


def _limit(domain: tuple[str, ...] | None) -> float:
    """Return the least number that a column has no level for, once made an integer; NaN, which no number reaches, for
    a column without levels."""
    if domain is None:
        return float("nan")
    return float(len(domain)) if domain else float(np.nextafter(-1.0, 0.0))
