"""Sums the leaves that rows end in. Sums are double, and each takes its trees in their order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.tree_layout import (
    BY_SET,
    COLUMN_MASK,
    MISSING_RIGHT,
    OUTSIDE_RIGHT,
    SET_HEADER,
    SMALL_SET,
    SMALL_SET_BITS,
)

#: Rows that pass a tree before the next tree begins: they and a tree stay in the cache.
BLOCK = 256
#: Java's conversion to int ends here.
_INT_MAX = 2147483647.0


@kernel
def code_of(value: float) -> int:
    """Return Java's conversion of a number, which is not NaN, to a 32-bit integer."""
    if value >= _INT_MAX:
        return 2147483647
    if value <= -_INT_MAX - 1.0:
        return -2147483648
    return int(value)


@kernel
def in_set(word: int, value: int, code: int, sets: NDArray[np.int32]) -> bool:
    """Say whether a code goes right in a split by a set; the words are those of its node."""
    if word & SMALL_SET:
        if 0 <= code < SMALL_SET_BITS:
            return (value >> code) & 1 != 0
        return word & OUTSIDE_RIGHT != 0
    code -= sets[value]
    if 0 <= code < sets[value + 1]:
        return bool((sets[value + SET_HEADER + (code >> 5)] >> (code & 31)) & 1)
    return word & OUTSIDE_RIGHT != 0


@kernel
def goes_right(word: int, value: np.int32, number: float, sets: NDArray[np.int32]) -> bool:
    """Say where a number goes at an inner node with these words."""
    if number != number:  # noqa: PLR0124 - only NaN differs from itself
        return word & MISSING_RIGHT != 0
    if word & BY_SET:
        return in_set(word, int(value), code_of(number), sets)
    return bool(number >= np.float64(np.int32(value).view(np.float32)))


@kernel
def leaf_of(nodes: NDArray[np.int32], sets: NDArray[np.int32], root: int, row: NDArray[np.float64]) -> int:
    """Return the leaf that a row ends in."""
    node = root
    step = nodes[node, 1]
    while step:
        word = nodes[node, 2]
        node += step if goes_right(word, nodes[node, 0], row[word & COLUMN_MASK], sets) else 1
        step = nodes[node, 1]
    return node


@kernel
def beyond_domains(rows: NDArray[np.float64], columns: NDArray[np.int64], limits: NDArray[np.float64]) -> bool:
    """Say whether a code is not below the number of levels that its column has."""
    for index in range(len(rows)):
        for place in range(len(columns)):
            if rows[index, columns[place]] >= limits[place]:
                return True
    return False


@kernel
def within_domains(
    rows: NDArray[np.float64], columns: NDArray[np.int64], limits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return rows with NaN for such codes."""
    rows = rows.copy()
    for index in range(len(rows)):
        for place in range(len(columns)):
            if rows[index, columns[place]] >= limits[place]:
                rows[index, columns[place]] = np.nan
    return rows


@kernel
def add_leaves(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    classes: NDArray[np.int64],
    rows: NDArray[np.float64],
    out: NDArray[np.float64],
    first: int,
) -> None:
    """Add each tree's leaf to column `first` + its class of `out`, for each row."""
    total = len(rows)
    for start in range(0, total, BLOCK):
        stop = min(total, start + BLOCK)
        for tree in range(len(roots)):
            column = first + classes[tree]
            for index in range(start, stop):
                leaf = leaf_of(nodes, sets, roots[tree], rows[index])
                out[index, column] += np.float64(np.int32(nodes[leaf, 0]).view(np.float32))
