"""What a classifier's scores mean, by outcomes: as they are, by a curve of three parameters, or by a staircase. Pure.

Scores are grouped: `scores` increasing, and how many rows of each were positive, and of all.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np

from tidegate.drift.columns import Numbers
from tidegate.drift.significance import chi_square_chance, isotonic

#: A way is taken unless so small a chance speaks against what it makes of the scores.
CREDIBLE = 0.01
_BINS = 10
#: How near to 0 and 1 a score counts as another one.
_LEAST = 1e-6
#: Parameters of the curve.
FITTED = 3
_STEPS = 30

#: Returns the probabilities of some scores.
Meaning = Callable[[Numbers], Numbers]


class Way(StrEnum):
    """How scores become probabilities."""

    AS_THEY_ARE = "as they are"
    CURVE = "curve"
    STAIRCASE = "staircase"


def choose(scores: Numbers, positive: Numbers, rows: Numbers) -> tuple[Way, float]:
    """Return the simplest way that outcomes do not speak against, and their chance if scores are calibrated."""
    calibrated = calibration_chance(scores, scores, positive, rows)
    if calibrated >= CREDIBLE:
        return Way.AS_THEY_ARE, calibrated
    told = curve(scores, positive, rows)(scores)
    is_credible = calibration_chance(scores, told, positive, rows, fitted=FITTED) >= CREDIBLE
    return (Way.CURVE if is_credible else Way.STAIRCASE), calibrated


def calibration_chance(scores: Numbers, told: Numbers, positive: Numbers, rows: Numbers, *, fitted: int = 0) -> float:
    """Return the chance of the outcomes if rows are positive with these probabilities: D. W. Hosmer, S. Lemeshow
    (1980), over ten bins with about as many rows each.

    Args:
        told: the probabilities, by score.
        fitted: parameters that were fitted to these outcomes.
    """
    place = np.ceil(np.cumsum(rows) / rows.sum() * _BINS - 1e-9).astype(int) - 1
    expected, spread, came = (
        np.bincount(place, weights=values, minlength=_BINS)
        for values in (rows * told, rows * told * (1 - told), positive)
    )
    is_certain = spread <= 0
    if (np.abs(came - expected)[is_certain] > 1e-9).any():
        # What was told to be certain did not come.
        return 0.0
    seen = ~is_certain
    statistic = float(((came - expected)[seen] ** 2 / spread[seen]).sum())
    return chi_square_chance(statistic, int(seen.sum()) - fitted)


def meaning(way: Way, scores: Numbers, positive: Numbers, rows: Numbers) -> Meaning:
    """Return what scores mean by these outcomes, in one of the ways."""
    match way:
        case Way.AS_THEY_ARE:
            return lambda asked: asked
        case Way.CURVE:
            return curve(scores, positive, rows)
        case Way.STAIRCASE:
            return staircase(scores, positive, rows)


def curve(scores: Numbers, positive: Numbers, rows: Numbers) -> Meaning:
    """Return a logistic regression on the logarithms of score and of what is left to 1: M. Kull, T. M. Silva Filho, P.
    Flach, "Beta calibration" (2017). Scores as they are belong to it; few outcomes stay near to these."""
    features = _features(scores)
    start = np.array([1.0, 1.0, 0.0])
    found, loss = start, _loss(features, start, start, positive, rows)
    for _ in range(_STEPS):
        told = _logistic(features @ found)
        slope = features.T @ (positive - rows * told) - (found - start)
        bend = (features * (rows * told * (1 - told))[:, None]).T @ features + np.eye(FITTED)
        step = np.linalg.solve(bend, slope)
        tried = found + step
        while (lower := _loss(features, tried, start, positive, rows)) > loss + 1e-9 and np.abs(step).max() > 1e-9:
            step = step / 2
            tried = found + step
        is_done = loss - lower <= 1e-9 * (1 + abs(loss))
        found, loss = tried, min(lower, loss)
        if is_done:
            break
    return lambda asked: _logistic(_features(asked) @ found)


def staircase(scores: Numbers, positive: Numbers, rows: Numbers) -> Meaning:
    """Return the shares of positive rows, made to grow with the score: isotonic regression."""
    seen = rows > 0
    shares = isotonic(positive[seen] / rows[seen], rows[seen])
    known = scores[seen]
    return lambda asked: np.interp(asked, known, shares).clip(0.0, 1.0)


def _features(scores: Numbers) -> Numbers:
    held = np.clip(scores, _LEAST, 1 - _LEAST)
    return np.column_stack([np.log(held), -np.log1p(-held), np.ones(len(held))])


def _logistic(margins: Numbers) -> Numbers:
    return np.exp(-np.logaddexp(0.0, -margins))


def _loss(features: Numbers, found: Numbers, start: Numbers, positive: Numbers, rows: Numbers) -> float:
    margins = features @ found
    fit = (rows * np.logaddexp(0.0, margins) - positive * margins).sum()
    return float(fit + ((found - start) ** 2).sum() / 2)
