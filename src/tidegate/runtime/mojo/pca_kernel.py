"""The compiled part of principal components."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel


@kernel
def project(
    rows: NDArray[np.float64],
    permutation: NDArray[np.int64],
    offsets: NDArray[np.int64],
    first_level: int,
    shift: NDArray[np.float64],
    scale: NDArray[np.float64],
    eigenvectors: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Write the components, shape (rows, components): categorical columns first, then numeric ones, in their order."""
    categorical = len(offsets) - 1
    components = eigenvectors.shape[1]
    for r in range(rows.shape[0]):
        for i in range(components):
            scores[r, i] = 0.0
        for j in range(categorical):
            value = rows[r, permutation[j]]
            # A double beyond the levels is compared as it is: cast, it might wrap around to one of them.
            if np.isnan(value) or not -1.0 < value - first_level < offsets[j + 1] - offsets[j]:
                continue
            level = int(value) - first_level
            if level < 0:
                continue
            place = offsets[j] + level
            for i in range(components):
                scores[r, i] += eigenvectors[place, i]
        for j in range(len(shift)):
            value = (rows[r, permutation[categorical + j]] - shift[j]) * scale[j]
            place = offsets[categorical] + j
            for i in range(components):
                scores[r, i] += value * eigenvectors[place, i]
