"""The compiled part of reconstructions: the values that the factors of a row stand for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.glrm_kernel import dot
from tidegate.runtime.mojo.glrm_losses_kernel import CATEGORICAL, HINGE, LOGISTIC, POISSON, level_loss


@kernel
def value_of(loss: int, u: float) -> float:
    """Return the number with the least loss where the model says `u`."""
    if loss == POISSON:
        return float(np.exp(u))
    if loss in (LOGISTIC, HINGE):
        return 1.0 if u > 0.0 else 0.0
    return u


@kernel
def level_of(loss: int, u: NDArray[np.float64], count: int) -> int:
    """Return the level with the least loss, of several the first; the first `count` of `u` count."""
    found = 0
    if loss == CATEGORICAL:
        # Its loss falls with the level's own value alone. H2O compares these: close to 0 the losses are all the same.
        for i in range(1, count):
            if u[i] > u[found]:
                found = i
        return found
    least = level_loss(loss, u, count, 0)
    for i in range(1, count):
        new = level_loss(loss, u, count, i)
        if new < least:
            least, found = new, i
    return found


@kernel
def reconstruct(
    x: NDArray[np.float64],
    permutation: NDArray[np.int64],
    shift: NDArray[np.float64],
    scale: NDArray[np.float64],
    reverses: bool,
    y: NDArray[np.float64],
    levels: NDArray[np.int64],
    losses: NDArray[np.int64],
    values: NDArray[np.float64],
) -> None:
    """Write values, shape (rows, columns of the row): numbers, and codes of levels. Factors have shape (rows, rank)."""
    cats = len(levels)
    u = np.empty(y.shape[1], np.float64)
    for r in range(x.shape[0]):
        start = 0
        for j in range(len(permutation)):
            if j < cats:
                for i in range(levels[j]):
                    u[i] = dot(x[r], y, start + i)
                values[r, permutation[j]] = level_of(losses[j], u, levels[j])
                start += levels[j]
                continue
            value = value_of(losses[j], dot(x[r], y, start))
            if reverses:
                value = value / scale[j - cats] + shift[j - cats]
            values[r, permutation[j]] = value
            start += 1
