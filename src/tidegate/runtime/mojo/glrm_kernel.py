"""The compiled part of generalized low rank models: the search for the factors of a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.glrm_losses_kernel import level_loss, level_slopes, loss, slope
from tidegate.runtime.mojo.glrm_regularizers_kernel import constrain, draw, penalty
from tidegate.runtime.mojo.java_random_kernel import fill_gaussian, seeded

_MOST_STEPS = 100
_TRIED_STEPS = 10
_ENOUGH = 1e-10
_LARGEST = float(np.finfo(np.float64).max)


@kernel
def dot(x: NDArray[np.float64], y: NDArray[np.float64], column: int) -> float:
    """Return what factors say of a column of the archetypes, shape (rank, columns)."""
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i, column]
    return total


@kernel
def objective(
    x: NDArray[np.float64],
    a: NDArray[np.float64],
    y: NDArray[np.float64],
    levels: NDArray[np.int64],
    losses: NDArray[np.int64],
    regularizer: int,
    gamma: float,
    u: NDArray[np.float64],
) -> float:
    """Return the loss of all values that are not missing, and of the factors themselves."""
    cats = len(levels)
    total = 0.0
    start = 0
    for j in range(cats):
        # The columns of a missing level are not stepped over: H2O's scorer shifts all that follow, and so do we.
        if np.isnan(a[j]):
            continue
        for i in range(levels[j]):
            u[i] = dot(x, y, start + i)
        total += level_loss(losses[j], u, levels[j], int(a[j]))
        start += levels[j]
    for j in range(cats, len(a)):
        if not np.isnan(a[j]):
            total += loss(losses[j], dot(x, y, start + j - cats), a[j])
    return total + gamma * penalty(regularizer, x)


@kernel
def gradient(
    x: NDArray[np.float64],
    a: NDArray[np.float64],
    y: NDArray[np.float64],
    levels: NDArray[np.int64],
    losses: NDArray[np.int64],
    u: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    """Write the derivatives of the loss by the factors, without those of the regulariser."""
    cats = len(levels)
    found[:] = 0.0
    start = 0
    for j in range(cats):
        if np.isnan(a[j]):
            continue
        for i in range(levels[j]):
            u[i] = dot(x, y, start + i)
        level_slopes(losses[j], u, levels[j], int(a[j]))
        for i in range(levels[j]):
            for k in range(len(x)):
                found[k] += u[i] * y[k, start + i]
        start += levels[j]
    for j in range(cats, len(a)):
        if np.isnan(a[j]):
            continue
        weight = slope(losses[j], dot(x, y, start + j - cats), a[j])
        for k in range(len(x)):
            found[k] += weight * y[k, start + j - cats]


@kernel
def search(
    a: NDArray[np.float64],
    y: NDArray[np.float64],
    levels: NDArray[np.int64],
    losses: NDArray[np.int64],
    regularizer: int,
    gamma: float,
    state: NDArray[np.int64],
    x: NDArray[np.float64],
) -> None:
    """Improve factors from where they are, by proximal steps along the gradient, the best of ten lengths each."""
    widest = 1
    for count in levels:
        widest = max(widest, count)
    u = np.empty(widest, np.float64)
    slopes = np.empty(len(x), np.float64)
    tried = np.empty(len(x), np.float64)
    best = np.zeros(len(x), np.float64)
    old = objective(x, a, y, levels, losses, regularizer, gamma, u)
    for _ in range(_MOST_STEPS):
        gradient(x, a, y, levels, losses, u, slopes)
        step = 1.0 / old if old > 10.0 else 1.0
        # Not infinity: where the values of a row have an infinite loss, all of H2O's factors are 0. No step has a
        # finite one then, and what was to be the best of them, still 0, is taken for being less than infinite.
        least = _LARGEST
        for _ in range(_TRIED_STEPS):
            step *= 0.5
            for k in range(len(x)):
                tried[k] = x[k] - step * slopes[k]
            draw(regularizer, tried, step * gamma, state)
            new = objective(tried, a, y, levels, losses, regularizer, gamma, u)
            if new < least:
                least = new
                best[:] = tried
        gain = 0.0 if old == 0.0 else 1.0 - least / old
        if least < old:
            x[:] = best
            old = least
        if gain < _ENOUGH:
            break


@kernel
def factors(
    rows: NDArray[np.float64],
    permutation: NDArray[np.int64],
    shift: NDArray[np.float64],
    scale: NDArray[np.float64],
    y: NDArray[np.float64],
    levels: NDArray[np.int64],
    losses: NDArray[np.int64],
    regularizer: int,
    gamma: float,
    seed: int,
    scores: NDArray[np.float64],
) -> None:
    """Write the factors of rows, shape (rows, rank). Row r begins at the draws of the seed + r."""
    cats = len(levels)
    a = np.empty(len(permutation), np.float64)
    state = np.zeros(1, np.int64)
    for r in range(rows.shape[0]):
        for j in range(len(permutation)):
            value = rows[r, permutation[j]]
            if j >= cats:
                a[j] = (value - shift[j - cats]) * scale[j - cats]
            else:
                a[j] = value if -1.0 < value < levels[j] else np.nan
        seeded(state, seed + r)
        fill_gaussian(state, scores[r])
        constrain(regularizer, scores[r], state)
        search(a, y, levels, losses, regularizer, gamma, state, scores[r])
