"""Losses of generalized low rank models and their slopes (format section 12.3).

Of a number, `u` is what the model says and `a` the value; of levels, `u` are values of all of them and `a` is the code.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

QUADRATIC, ABSOLUTE, HUBER, POISSON, LOGISTIC, HINGE = range(6)
CATEGORICAL, ORDINAL = range(2)


@kernel
def loss(kind: int, u: float, a: float) -> float:
    """Return the loss of a number."""
    if kind == QUADRATIC:
        return (u - a) * (u - a)
    if kind == ABSOLUTE:
        return abs(u - a)
    if kind == HUBER:
        d = u - a
        if d > 1.0:
            return d - 0.5
        if d < -1.0:
            return -d - 0.5
        return 0.5 * d * d
    if kind == POISSON:
        return math.exp(u) + (0.0 if a == 0.0 else -a * u + a * np.log(a) - a)
    sign = 1.0 - 2.0 * a
    if kind == LOGISTIC:
        return math.log(1.0 + math.exp(sign * u))
    return maximum(1.0 + sign * u, 0.0)


@kernel
def slope(kind: int, u: float, a: float) -> float:
    """Return the derivative of a number's loss by `u`."""
    if kind == QUADRATIC:
        return 2.0 * (u - a)
    if kind == ABSOLUTE:
        d = u - a
        return 1.0 if d > 0.0 else -1.0 if d < 0.0 else d
    if kind == HUBER:
        d = u - a
        return 1.0 if d > 1.0 else -1.0 if d < -1.0 else d
    if kind == POISSON:
        return math.exp(u) - a
    sign = 1.0 - 2.0 * a
    if kind == LOGISTIC:
        return sign / (1.0 + math.exp(-sign * u))
    return sign if 1.0 + sign * u > 0.0 else 0.0


@kernel
def level_loss(kind: int, u: NDArray[np.float64], count: int, a: int) -> float:
    """Return the loss of a level; the first `count` of `u` count."""
    total = 0.0
    if kind == CATEGORICAL:
        for i in range(count):
            total += maximum(1.0 + u[i], 0.0)
        return total + (maximum(1.0 - u[a], 0.0) - maximum(1.0 + u[a], 0.0))
    for i in range(count - 1):
        total += maximum(1.0 - u[i], 0.0) if a > i else 1.0
    return total


@kernel
def level_slopes(kind: int, u: NDArray[np.float64], count: int, a: int) -> None:
    """Replace the first `count` of `u` by the derivatives of a level's loss by them."""
    if kind == CATEGORICAL:
        own = -1.0 if 1.0 - u[a] > 0.0 else 0.0
        for i in range(count):
            u[i] = 1.0 if 1.0 + u[i] > 0.0 else 0.0
        u[a] = own
        return
    for i in range(count - 1):
        u[i] = -1.0 if a > i and 1.0 - u[i] > 0.0 else 0.0
    u[count - 1] = 0.0


@kernel
def maximum(a: float, b: float) -> float:
    """Return the greater; NaN where one is NaN."""
    return a if a > b or np.isnan(a) else b
