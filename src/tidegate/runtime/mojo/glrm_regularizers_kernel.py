"""Regularisers of generalized low rank models: their values, and the points that they draw a step to."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.java_random_kernel import next_double

NONE, QUADRATIC, L2, L1, NON_NEGATIVE, ONE_SPARSE, UNIT_ONE_SPARSE, SIMPLEX = range(8)
_NOTHING = 1e-6
_LAST_BIT = 2.0**-52


@kernel
def penalty(kind: int, x: NDArray[np.float64]) -> float:
    """Return the value at a point; infinite where a constraint is not met."""
    total = 0.0
    if kind in (QUADRATIC, L2):
        for value in x:
            total += value * value
        return math.sqrt(total) if kind == L2 else total
    if kind == L1:
        for value in x:
            total += abs(value)
        return total
    if kind == NONE:
        return 0.0
    positive = 0
    for value in x:
        if value < 0.0:
            return np.inf
        if value > 0.0:
            positive += 1
        total += value
    if kind == NON_NEGATIVE:
        return 0.0
    if kind == SIMPLEX:
        return 0.0 if _is_one(total, len(x)) else np.inf
    return 0.0 if positive == 1 and (kind == ONE_SPARSE or total == 1.0) else np.inf


@kernel
def constrain(kind: int, x: NDArray[np.float64], state: NDArray[np.int64]) -> None:
    """Move a point to the nearest one that meets the constraint, where there is one."""
    if kind >= NON_NEGATIVE and not (kind == SIMPLEX and penalty(kind, x) == 0.0):
        draw(kind, x, 1.0, state)


@kernel
def draw(kind: int, x: NDArray[np.float64], step: float, state: NDArray[np.int64]) -> None:
    """Apply the proximal map with a step, in place; with a step of 0, nothing.

    Args:
        state: of the generator that chooses among equal values.
    """
    if step == 0.0 or kind == NONE:
        return
    if kind == QUADRATIC:
        for i in range(len(x)):
            x[i] *= 1.0 / (1.0 + 2.0 * step)
    elif kind == L2:
        total = 0.0
        for value in x:
            total += value * value
        scale = 1.0 - step / math.sqrt(total)
        for i in range(len(x)):
            x[i] *= 0.0 if scale < 0.0 else scale
    elif kind == L1:
        for i in range(len(x)):
            x[i] = max(x[i] - step, 0.0) + min(x[i] + step, 0.0)
    elif kind == NON_NEGATIVE:
        for i in range(len(x)):
            x[i] = max(x[i], 0.0)
    elif kind == SIMPLEX:
        _to_simplex(x)
    else:
        best = largest(x, state)
        value = x[best]
        x[:] = 0.0
        x[best] = 1.0 if kind == UNIT_ONE_SPARSE else value if value > 0.0 else _NOTHING


@kernel
def _is_one(total: float, count: int) -> bool:
    """Say whether so many factors add up to 1 for H2O's scorer, which leaves room for the rounding of a sum: one last
    bit (a half of it below 1) for each addition, and below 1 one less. The search turns on that bit."""
    return -0.5 * _LAST_BIT * max(count - 2, 0) <= total - 1.0 <= _LAST_BIT * (count - 1)


@kernel
def _to_simplex(x: NDArray[np.float64]) -> None:
    """Move a point to the nearest one whose factors are not negative and add up to 1, in place.

    That takes the same from each factor, down to 0. How much is found from the largest factor on, in that order: sums
    have the roundings of H2O's scorer.
    """
    ordered = np.sort(x)
    count = len(x)
    total = ordered[count - 1]
    used = 1
    excess = total - 1.0
    while used < count and excess < ordered[count - 1 - used]:
        total += ordered[count - 1 - used]
        used += 1
        excess = (total - 1.0) / used
    for i in range(count):
        x[i] = max(x[i] - excess, 0.0)


@kernel
def largest(x: NDArray[np.float64], state: NDArray[np.int64]) -> int:
    """Return the place of the largest value; one of several by lot."""
    best = 0
    equal = 1
    for i in range(1, len(x)):
        if x[i] > x[best]:
            best = i
            equal = 1
        elif x[i] == x[best]:
            equal += 1
            if next_double(state) * equal < 1.0:
                best = i
    return best
