"""Regularisers of generalized low rank models: their values, and the points that they draw a step to."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.java_random_kernel import next_double

NONE, QUADRATIC, L2, L1, NON_NEGATIVE, ONE_SPARSE, UNIT_ONE_SPARSE = range(7)
_NOTHING = 1e-6


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
    return 0.0 if positive == 1 and (kind == ONE_SPARSE or total == 1.0) else np.inf


@kernel
def constrain(kind: int, x: NDArray[np.float64], state: NDArray[np.int64]) -> None:
    """Move a point to the nearest one that meets the constraint, where there is one."""
    if kind >= NON_NEGATIVE:
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
    else:
        best = largest(x, state)
        value = x[best]
        x[:] = 0.0
        x[best] = 1.0 if kind == UNIT_ONE_SPARSE else value if value > 0.0 else _NOTHING


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
