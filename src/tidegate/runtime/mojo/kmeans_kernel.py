"""The compiled part of K-means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

_LARGEST = float(np.finfo(np.float64).max)


@kernel
def nearest(
    rows: NDArray[np.float64],
    fill: NDArray[np.float64],
    shift: NDArray[np.float64],
    scale: NDArray[np.float64],
    categorical: NDArray[np.bool_],
    centers: NDArray[np.float64],
    distances: NDArray[np.float64],
    clusters: NDArray[np.float64],
) -> None:
    """Write the distances, shape (rows, clusters), and the nearest cluster's number, shape (rows, 1).

    A categorical column adds 1 where the level is another, a numeric one its difference squared. What stays NaN after
    filling is left out, and the sum is scaled up for it; a row of nothing else is at distance 0 from every centre.
    """
    width = rows.shape[1]
    point = np.empty(width, np.float64)
    for r in range(rows.shape[0]):
        for i in range(width):
            value = rows[r, i]
            if np.isnan(value):
                value = fill[i]
            point[i] = (value - shift[i]) * scale[i]
        best = -1
        least = _LARGEST
        for c in range(centers.shape[0]):
            total = 0.0
            valid = 0
            for i in range(width):
                value = point[i]
                if np.isnan(value):
                    continue
                valid += 1
                if categorical[i]:
                    if value != centers[c, i]:
                        total += 1.0
                else:
                    difference = centers[c, i] - value
                    total += difference * difference
            if 0 < valid < width:
                total *= width / valid
            distances[r, c] = total
            if total < least:
                least = total
                best = c
        clusters[r, 0] = best
