"""A piecewise linear function, evaluated as Java's scorer does it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel


@kernel
def interpolate(x: NDArray[np.float64], y: NDArray[np.float64], value: float) -> float:
    """Return the function's value at a place from the first to the last of `x`.

    The search is Java's, which among equal entries of `x` takes the one that it hits first, and orders -0.0 below 0.0.
    A place before all of `x`, which only -0.0 can be, has no value in Java either: NaN.
    """
    low = 0
    high = len(x) - 1
    while low <= high:
        middle = (low + high) >> 1
        order = _order(x[middle], value)
        if order < 0:
            low = middle + 1
        elif order > 0:
            high = middle - 1
        else:
            return float(y[middle])
    if low == 0:
        return math.nan
    before = low - 1
    return float(y[before] + (y[low] - y[before]) / (x[low] - x[before]) * (value - x[before]))


@kernel
def _order(left: float, right: float) -> int:
    if left < right:
        return -1
    if left > right:
        return 1
    left_sign = math.copysign(1.0, left)
    right_sign = math.copysign(1.0, right)
    return (left_sign > right_sign) - (left_sign < right_sign)


@kernel
def interpolate_each(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    least: float,
    most: float,
    values: NDArray[np.float64],
    out: NDArray[np.float64],
) -> int:
    """Write the function's value at each place, clipped to `least` and `most`; NaN at NaN. Returns a place that Java
    fails at, -1 for none."""
    failed = -1
    for index in range(len(values)):
        value = values[index]
        if value != value:  # noqa: PLR0124 - only NaN differs from itself
            out[index] = value
            continue
        value = least if value < least else value
        value = most if value > most else value
        if value == 0.0 and _order(x[0], value) > 0:
            failed = index
        out[index] = interpolate(x, y, value)
    return failed
