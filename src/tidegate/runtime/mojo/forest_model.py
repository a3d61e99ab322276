"""What all forests share: the trees, and what is done to a row before they see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.tree_bytes import Forest, read_forest
from tidegate.runtime.mojo.tree_layout import BY_SET, COLUMN_MASK

#: The first arguments of the kernels: those of `Forest`, then columns and limits of `tree_kernel.beyond_domains`.
Arrays = tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]
]
NO_OFFSET: NDArray[np.float64] = np.empty(0)


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
        if not (rows.flags.c_contiguous and rows.flags.writeable):
            rows = np.array(rows, dtype=np.float64, order="C")
        if len(self.unsigned) and (rows[:, self.unsigned] <= -1.0).any():
            raise MojoRowError("a code of a level is negative, which trees of version 1.00 cannot answer")
        return rows


def read_forest_model(container: Container, header: Header) -> ForestModel:
    """Read the trees. Raises MojoFormatError and MojoUnsupportedError."""
    forest = read_forest(container, header)
    inner = forest.nodes[:, 1] != 0
    used = np.unique(forest.nodes[inner, 2] & COLUMN_MASK)
    domains = header.feature_domains
    limited = [int(column) for column in used if header.version >= 1.2 and domains[column] is not None]
    columns = np.array(limited, dtype=np.int64)
    limits = np.array([_limit(len(domains[column] or ())) for column in limited], dtype=np.float64)
    by_set = inner & (forest.nodes[:, 2] & BY_SET != 0)
    unsigned = np.unique(forest.nodes[by_set, 2] & COLUMN_MASK) if header.version < 1.1 else np.empty(0)
    columns.setflags(write=False)
    limits.setflags(write=False)
    arrays = (forest.nodes, forest.sets, forest.roots, forest.classes, columns, limits)
    return ForestModel(header, forest, arrays, unsigned.astype(np.int64))


def offsets_of(offset: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return offsets as the kernels take them: empty for none."""
    if offset is None:
        return NO_OFFSET
    return np.array(offset, dtype=np.float64) if not offset.flags.writeable else np.ascontiguousarray(offset)


def _limit(levels: int) -> float:
    """Return the least number that a column of so many levels has no level for, once made an integer."""
    return float(levels) if levels else float(np.nextafter(-1.0, 0.0))
