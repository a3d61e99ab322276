"""The paths of TreeSHAP (Lundberg and others, "Consistent individualized feature attribution for tree ensembles", 2018,
algorithm 2), in float32 throughout, as H2O and XGBoost compute them.

The path to a node is kept as four arrays, of which each depth of the tree has its own part: column, share of the
training rows that go on along it when the column is unknown, whether the row goes on, and the weight of subsets of that
size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

_F32 = np.float32
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
COLUMN, ZEROS, ONES, WEIGHT = 0, 1, 2, 3


@kernel
def share_of(child: np.float32, node: np.float32) -> np.float32:
    """Return the share of a node's rows that go on to a child, from the weights of both.

    It is a half of a node that no row reached, as H2O has it: nodes can be weighed anew, by other rows.
    """
    return _HALF if node == _ZERO else child / node


@kernel
def mean_of(low: np.float32, high: np.float32, node: np.float32) -> np.float32:
    """Return the mean of a node's leaves from the sums below its children, 0 without a row."""
    return _ZERO if node == _ZERO else _F32(low + high) / node


@kernel
def extend(path: NDArray[np.float32], depth: int, zeros: np.float32, ones: np.float32, column: int) -> None:
    """Add a split by a column to the end of a path."""
    path[COLUMN, depth] = _F32(column)
    path[ZEROS, depth] = zeros
    path[ONES, depth] = ones
    path[WEIGHT, depth] = _ONE if depth == 0 else _ZERO
    size = _F32(depth + 1)
    for index in range(depth - 1, -1, -1):
        weight = path[WEIGHT, index]
        path[WEIGHT, index + 1] += _F32(_F32(ones * weight) * _F32(index + 1)) / size
        path[WEIGHT, index] = _F32(_F32(zeros * weight) * _F32(depth - index)) / size


@kernel
def unwind(path: NDArray[np.float32], depth: int, place: int) -> None:
    """Take the split at a place out of a path, as if it had never been there."""
    ones = path[ONES, place]
    zeros = path[ZEROS, place]
    next_one = path[WEIGHT, depth]
    size = _F32(depth + 1)
    for index in range(depth - 1, -1, -1):
        if ones != _ZERO:
            before = path[WEIGHT, index]
            path[WEIGHT, index] = _F32(next_one * size) / _F32(_F32(index + 1) * ones)
            next_one = before - _F32(_F32(path[WEIGHT, index] * zeros) * _F32(depth - index)) / size
        elif zeros != _ZERO:  # else all weights are 0 already, and stay so
            path[WEIGHT, index] = _F32(path[WEIGHT, index] * size) / _F32(zeros * _F32(depth - index))
    for index in range(place, depth):
        path[COLUMN, index] = path[COLUMN, index + 1]
        path[ZEROS, index] = path[ZEROS, index + 1]
        path[ONES, index] = path[ONES, index + 1]


@kernel
def unwound_sum(path: NDArray[np.float32], depth: int, place: int) -> np.float32:
    """Return the sum of the weights that a path would have without the split at a place."""
    ones = path[ONES, place]
    zeros = path[ZEROS, place]
    next_one = path[WEIGHT, depth]
    size = _F32(depth + 1)
    total = _ZERO
    for index in range(depth - 1, -1, -1):
        if ones != _ZERO:
            part = _F32(next_one * size) / _F32(_F32(index + 1) * ones)
            total += part
            next_one = path[WEIGHT, index] - _F32(_F32(part * zeros) * _F32(_F32(depth - index) / size))
        elif zeros != _ZERO:
            total += _F32(path[WEIGHT, index] / zeros) / _F32(_F32(depth - index) / size)
    return total


@kernel
def push(
    stack: NDArray[np.int64],
    shares: NDArray[np.float32],
    at: int,
    node: int,
    level: int,
    depth: int,
    column: int,
    zeros: np.float32,
    ones: np.float32,
) -> None:
    """Put a node on the stack of those that are still to be visited."""
    stack[at, 0] = node
    stack[at, 1] = level
    stack[at, 2] = depth
    stack[at, 3] = column
    shares[at, 0] = zeros
    shares[at, 1] = ones


@kernel
def add_leaf(path: NDArray[np.float32], depth: int, value: np.float32, out: NDArray[np.float32]) -> None:
    """Add to each column of a path what a leaf at its end owes to it."""
    for place in range(1, depth + 1):
        weight = unwound_sum(path, depth, place)
        part = _F32(_F32(weight * _F32(path[ONES, place] - path[ZEROS, place])) * value)
        out[np.int64(path[COLUMN, place])] += part


@kernel
def take_out(path: NDArray[np.float32], depth: int, column: int) -> tuple[int, np.float32, np.float32]:
    """Take an earlier split by a column out of a path; return the depth then, and its zeros and ones, 1 without one."""
    place = 0
    while place <= depth and path[COLUMN, place] != _F32(column):
        place += 1
    if place > depth:
        return depth, _ONE, _ONE
    zeros = path[ZEROS, place]
    ones = path[ONES, place]
    unwind(path, depth, place)
    return depth - 1, zeros, ones
