"""The compiled part of the target encoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

_MISSING = -1
_INT_MAX = 2147483647.0


@kernel
def find(values: NDArray[np.int64], start: int, end: int, wanted: int) -> int:
    """Return the place of a number in an ascending part of an array; -1 where it is not."""
    place = start + int(np.searchsorted(values[start:end], wanted))
    return place if place < end and values[place] == wanted else -1


@kernel
def code_of(row: NDArray[np.float64], sources: NDArray[np.int64], sizes: NDArray[np.int64]) -> int:
    """Return the level of one column, or the number of the combination of several; -1 for a missing value of one."""
    if len(sources) == 1:
        value = row[sources[0]]
        if np.isnan(value):
            return _MISSING
        # What is no level has no encoding: the largest int stands for what is beyond all of them.
        return int(value) if -1.0 < value < _INT_MAX else 2147483647
    combination = 0
    multiplier = 1
    for i in range(len(sources)):
        value = row[sources[i]]
        level = sizes[i]
        if value < sizes[i]:
            level = int(value) if value > -1.0 else 0
        combination += multiplier * level
        multiplier *= sizes[i] + 1
    return combination


@kernel
def encode(
    rows: NDArray[np.float64],
    starts: NDArray[np.int64],
    sources: NDArray[np.int64],
    sizes: NDArray[np.int64],
    domain: NDArray[np.int64],
    codes: NDArray[np.int64],
    values: NDArray[np.float64],
    missing: NDArray[np.float64],
    has_missing: NDArray[np.bool_],
    scores: NDArray[np.float64],
) -> int:
    """Write the encoded values, shape (rows, blocks × values per block).

    Returns:
        -1, or row × blocks + block of the first value that has no encoding.
    """
    blocks = starts.shape[0] - 1
    width = values.shape[1]
    for r in range(rows.shape[0]):
        for b in range(blocks):
            first, last = starts[b, 0], starts[b + 1, 0]
            code = code_of(rows[r], sources[first:last], sizes[first:last])
            if last - first > 1:
                place = find(domain, starts[b, 1], starts[b + 1, 1], code)
                code = _MISSING if place < 0 else place - starts[b, 1]
            if code == _MISSING:
                if not has_missing[b]:
                    return int(r * blocks + b)
                for k in range(width):
                    scores[r, b * width + k] = missing[b, k]
                continue
            place = find(codes, starts[b, 2], starts[b + 1, 2], code)
            if place < 0:
                return int(r * blocks + b)
            for k in range(width):
                scores[r, b * width + k] = values[place, k]
    return -1
