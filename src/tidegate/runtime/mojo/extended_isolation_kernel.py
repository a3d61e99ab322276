"""Trees whose splits are by planes: their bytes, and the way of rows through them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

WHOLE = 0
TRUNCATED = 1
BAD_TYPE = 2
BAD_COUNT = 3
BAD_PADDING = 4

INNER = 78
LEAF = 76


@kernel
def _i32(data: NDArray[np.uint8], at: int) -> int:
    low = np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16
    top = np.int64(data[at + 3])
    return int(low | (top if top < 128 else top - 256) << 24)


@kernel
def scan(
    data: NDArray[np.uint8],
    size: int,
    numbers: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    places: NDArray[np.int64],
) -> tuple[int, int, int]:
    """List the nodes of a tree, up to the zeros that fill its file.

    Args:
        size: bytes that the plane of an inner node takes.
        numbers, kinds, places: room for len(data) // 9 + 1 nodes; a place is where a node's plane or count begins.

    Returns:
        A status (one of the constants above), the byte where it was found, and the number of nodes.
    """
    at = 4
    count = 0
    while at + 5 <= len(data):
        kind = data[at + 4]
        if kind == 0:
            break
        if kind not in (INNER, LEAF):
            return BAD_TYPE, at + 4, count
        numbers[count] = _i32(data, at)
        kinds[count] = kind
        places[count] = at + 5
        if kind == LEAF:
            if at + 9 > len(data):
                return TRUNCATED, at, count
            if _i32(data, at + 5) < 0:
                return BAD_COUNT, at + 5, count
            at += 9
        else:
            if at + 5 + size > len(data):
                return TRUNCATED, at, count
            at += 5 + size
        count += 1
    for index in range(at, len(data)):
        if data[index] != 0:
            return BAD_PADDING, index, count
    return WHOLE, at, count


@kernel
def mean_length_of(rows: int) -> float:
    """Return how long the search for a missing key is, on average, in a search tree of so many rows."""
    if rows < 2:
        return 0.0
    if rows == 2:
        return 1.0
    return 2.0 * (math.log(rows - 1.0) + 0.5772156649) - 2.0 * (rows - 1.0) / rows


@kernel
def score_planes(
    children: NDArray[np.int32],
    normals: NDArray[np.float64],
    points: NDArray[np.float64],
    lengths: NDArray[np.float64],
    roots: NDArray[np.int64],
    sample: int,
    rows: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write the anomaly score and the mean length of the path of each row.

    Args:
        children: left child, right child and plane of each node; a leaf has -1, and its length in `lengths`.
        normals, points: of each plane.
        sample: rows that each tree was made of.
    """
    scale = mean_length_of(sample)
    for index in range(len(rows)):
        total = 0.0
        for tree in range(len(roots)):
            node = roots[tree]
            while children[node, 0] >= 0:
                side = 0.0
                plane = children[node, 2]
                for column in range(normals.shape[1]):
                    side += (rows[index, column] - points[plane, column]) * normals[plane, column]
                node = children[node, 0] if side <= 0.0 else children[node, 1]
            total += lengths[node]
        mean = total / len(roots)
        out[index, 0] = math.pow(2.0, -(mean / scale))
        out[index, 1] = mean
