"""The compiled part of linear support vector machines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel


@kernel
def margin(
    rows: NDArray[np.float64], r: int, fill: NDArray[np.float64], weights: NDArray[np.float64], intercept: float
) -> float:
    """Return the margin of a row: the sum begins with the intercept."""
    total = intercept
    for i in range(len(weights)):
        value = rows[r, i]
        if np.isnan(value):
            value = fill[i]
        total += value * weights[i]
    return total


@kernel
def margins(
    rows: NDArray[np.float64],
    fill: NDArray[np.float64],
    weights: NDArray[np.float64],
    intercept: float,
    scores: NDArray[np.float64],
) -> None:
    """Write the margins, shape (rows, 1)."""
    for r in range(rows.shape[0]):
        scores[r, 0] = margin(rows, r, fill, weights, intercept)


@kernel
def classify(
    rows: NDArray[np.float64],
    fill: NDArray[np.float64],
    weights: NDArray[np.float64],
    intercept: float,
    floor: float,
    threshold: float,
    scores: NDArray[np.float64],
) -> None:
    """Write the label and two margins that are 1 apart, shape (rows, 3); a NaN margin is of class 0."""
    for r in range(rows.shape[0]):
        value = margin(rows, r, fill, weights, intercept)
        if value > threshold:
            one = max(value, floor)
            scores[r, 0] = 1.0
            scores[r, 1] = one - 1.0
        else:
            one = floor - 1.0 if value >= floor else value
            scores[r, 0] = 0.0
            scores[r, 1] = one + 1.0
        scores[r, 2] = one
