"""Inverse links of one value, in double.

`exp` and `pow` are those of the C library: of all that are at hand they agree with Java's most often, else by 1 ulp.
Minima and maxima are Java's, which keep NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

IDENTITY = 0
LOG_CAPPED = 1
LOG = 2
LOGIT_CAPPED = 3
LOGIT = 4
OLOGLOG_CAPPED = 5
ZERO = 6
INVERSE_GBM = 7
INVERSE = 8
TWEEDIE = 9

_CAP = 1e19


@kernel
def capped_exp(value: float) -> float:
    """Return min(1e19, e^value)."""
    found = math.exp(value)
    return _CAP if found > _CAP else found


@kernel
def inverse(link: int, value: float, power: float) -> float:
    """Return the mean that a link (a constant above) gives for a value; the power is that of `TWEEDIE` alone."""
    if link == LOGIT_CAPPED:
        return 1.0 / (1.0 + capped_exp(-value))
    if link == LOGIT:
        return 1.0 / (math.exp(-value) + 1.0)
    if link == LOG_CAPPED:
        return capped_exp(value)
    if link == LOG:
        return math.exp(value)
    if link == OLOGLOG_CAPPED:
        return 1.0 - capped_exp(-capped_exp(value))
    if link == ZERO:
        return 0.0
    if link in (INVERSE_GBM, INVERSE):
        if value < 0.0:
            return 1.0 / (value if value < -1e-5 else -1e-5)
        least = -1e-5 if link == INVERSE_GBM else 1e-5
        return 1.0 / (least if value < least else value)
    if link == TWEEDIE:
        if power == 0.0:
            found = math.exp(value)
            return 2e-16 if found < 2e-16 else found
        return math.pow(value, 1.0 / power)
    return value


@kernel
def inverse_of_each(link: int, values: NDArray[np.float64], power: float, out: NDArray[np.float64]) -> None:
    """Write the mean of each value; `values` and `out` have the same length and may be the same array."""
    for index in range(len(values)):
        out[index] = inverse(link, values[index], power)
