"""How well a classifier does before anybody knows what came of its answers, by its own scores.

Of rows with a score of 0.8 four in five turn out to be positive, if scores are calibrated. So the scores alone say how
many of the answers are right: confidence-based performance estimation, J. Białek, W. Kuberski, N. Perrakis, A. Bifet,
"Estimating model performance under covariate shift without labels" (2024), after the documentation of NannyML. It sees
rows that are harder than those before; it cannot see that equal rows now turn out otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.drift.calibration import Way, choose, meaning
from tidegate.drift.columns import Column, Numbers, as_numbers
from tidegate.drift.significance import around

#: What is estimated.
FIGURES = ("accuracy", "precision", "recall", "f1", "roc_auc")
#: Rows of a reference with outcomes, and those of either outcome, of which fewer cannot tell whether scores are
#: calibrated.
LEAST_ROWS, LEAST_OF_EACH = 100, 10
_DRAWS = 400
#: Groups of rows with one score that are drawn from; neighbours are put together beyond.
_MOST_GROUPS = 5_000
_SEED = 20_13


class Kept(StrEnum):
    """What is said of a figure, and of all, where the worst counts."""

    KEPT = "kept"
    INCONCLUSIVE = "inconclusive"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Figure:
    """One figure of quality.

    Attributes:
        name: one of `FIGURES`.
        reference: what it was there, by the outcomes; None where it is not defined, a precision without an answer that
            is positive, say.
        estimate: what it is expected to be for the current data.
        interval: of what it will turn out to be, 95 %.
        realised: what it is by the outcomes of the current data; None where there are none.
        state: whether it is lower than the reference's by more than was allowed.
    """

    name: str
    reference: float | None
    estimate: float | None
    interval: tuple[float, float] | None
    realised: float | None
    state: Kept

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "figure": self.name,
            "state": str(self.state),
            "reference": self.reference,
            "estimate": self.estimate,
            "interval": None if self.interval is None else list(self.interval),
            "realised": self.realised,
        }


@dataclass(frozen=True)
class Performance:
    """What is expected of a classifier for the current data.

    Attributes:
        rows: of the reference with outcomes, and of the current data with scores.
        calibration: the chance of the reference's outcomes if its scores are calibrated.
        way: how scores were made probabilities.
        threshold: from which score on the answer is positive; None for several classes.
        drop: what a figure may lose.
        classes: by name, where each has a score; of two the second is the positive one.
    """

    figures: tuple[Figure, ...]
    rows: tuple[int, int]
    calibration: float
    way: Way
    threshold: float | None
    drop: float
    classes: tuple[str, ...] = ()

    @property
    def state(self) -> Kept:
        """The worst of the figures."""
        return max((figure.state for figure in self.figures), key=list(_ORDER).index)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "state": str(self.state),
            "rows": {"reference": self.rows[0], "current": self.rows[1]},
            "calibration": {"chance": self.calibration, "way": str(self.way)},
            "threshold": self.threshold,
            "classes": list(self.classes),
            "drop": self.drop,
            "figures": [figure.as_dict() for figure in self.figures],
        }


_ORDER = (Kept.KEPT, Kept.INCONCLUSIVE, Kept.DROPPED)


@dataclass(frozen=True)
class _Groups:
    """Rows by their score.

    Attributes:
        scores: increasing.
        rows: with each of them.
        positive: of these; NaN where there are no outcomes.
    """

    scores: Numbers
    rows: Numbers
    positive: Numbers

    @classmethod
    def of(cls, scores: Numbers, outcomes: Numbers | None) -> _Groups:
        different, places, times = np.unique(scores, return_inverse=True, return_counts=True)
        positive = (
            np.full(len(different), np.nan)
            if outcomes is None
            else np.bincount(places, weights=outcomes, minlength=len(different)).astype(np.float64)
        )
        return cls(different, times.astype(np.float64), positive)

    def fewer(self, threshold: float) -> _Groups:
        """Return at most some thousand groups, neighbours on one side of the threshold put together."""
        if len(self.scores) <= _MOST_GROUPS:
            return self
        place = np.ceil(np.cumsum(self.rows) / self.rows.sum() * (_MOST_GROUPS - 1)) * 2 + (self.scores >= threshold)
        starts = np.flatnonzero(np.diff(place, prepend=-1.0))
        rows, positive = (np.add.reduceat(values, starts) for values in (self.rows, self.positive))
        return _Groups(np.add.reduceat(self.scores * self.rows, starts) / rows, rows, positive)


class Estimator:
    """What the outcomes of a reference say of a classifier's scores. Make one with `of`."""

    def __init__(self, reference: _Groups, threshold: float) -> None:
        self._reference = reference
        self._threshold = threshold
        self._way, self._calibration = choose(reference.scores, reference.positive, reference.rows)

    @classmethod
    def of(cls, scores: Column, outcomes: Column, *, threshold: float = 0.5) -> Estimator:
        """Learn from rows that the classifier was not trained on.

        Args:
            scores: probabilities of the positive answer, 0 to 1. Rows without one, or without outcome, are left out.
            outcomes: 0 or 1, NaN where it is not known.
            threshold: from which score on the answer is positive.

        Raises:
            InvalidInput: scores are no probabilities, outcomes are neither 0 nor 1, or there are too few of them.
        """
        if not 0 < threshold < 1:
            raise InvalidInput(
                "the threshold is no probability",
                subject="threshold",
                expected="above 0, below 1",
                got=f"{threshold:g}",
            )
        told, came = probabilities(scores, "the reference"), _outcomes(outcomes, "the reference")
        there = ~(np.isnan(told) | np.isnan(came))
        told, came = told[there], came[there]
        fewest = min(came.sum(), len(came) - came.sum()) if len(came) else 0
        if len(came) < LEAST_ROWS or fewest < LEAST_OF_EACH:
            raise InvalidInput(
                "the reference has too few outcomes to tell whether scores are calibrated",
                expected=f"{LEAST_ROWS} rows with outcomes, {LEAST_OF_EACH} of each outcome",
                got=f"{len(came):,} rows, {int(fewest):,} of the rarer outcome",
            )
        return cls(_Groups.of(told, came), threshold)

    def estimate(
        self, scores: Column, outcomes: Column | None = None, *, drop: float = 0.05, alpha: float | None = None
    ) -> Performance:
        """Return what is to be expected of answers with these scores.

        Args:
            scores: as in `of`.
            outcomes: those that are known already, to hold beside; None for none.
            drop: what a figure may lose before it is called dropped, 0 to 1.
            alpha: the chance that any figure is called dropped where none is, for who looks again and again; None:
                what is said of each goes by its own 95 % interval.

        Raises:
            InvalidInput: there are no scores, or they are no probabilities.
        """
        require_drop(drop)
        told = probabilities(scores, "the current data")
        there = ~np.isnan(told)
        if not there.any():
            raise InvalidInput("the current data has no scores", expected="one score at least")
        current = _Groups.of(told[there], None)
        known = self._reference
        chances = meaning(self._way, known.scores, known.positive, known.rows)(current.scores)
        expected = _figures(current.scores, current.rows * chances, current.rows * (1 - chances), self._threshold)
        before = _figures(known.scores, known.positive, known.rows - known.positive, self._threshold)
        realised = self._realised(told, outcomes)
        draws, changes = self._drawn(current)
        figures = tuple(
            judged(name, (before[at], expected[at], realised[at]), draws[:, at], changes[:, at], drop=drop, alpha=alpha)
            for at, name in enumerate(FIGURES)
        )
        rows = int(known.rows.sum()), int(there.sum())
        return Performance(figures, rows, self._calibration, self._way, self._threshold, drop)

    def _realised(self, told: Numbers, outcomes: Column | None) -> Numbers:
        nothing = np.full(len(FIGURES), np.nan)
        if outcomes is None:
            return nothing
        came = _outcomes(outcomes, "the current data")
        known = ~(np.isnan(told) | np.isnan(came))
        if not known.any():
            return nothing
        groups = _Groups.of(told[known], came[known])
        return _figures(groups.scores, groups.positive, groups.rows - groups.positive, self._threshold)

    def _drawn(self, current: _Groups) -> tuple[Numbers, Numbers]:
        """Return figures as they may turn out, and how they then differ from the reference's; a row for each draw.

        Each draws the reference's rows anew, learns from them what a score means, and lets outcomes come by that: what
        is unsure of the reference, of its calibration and of outcomes is in it.
        """
        chance = np.random.default_rng(_SEED)
        known, asked = self._reference.fewer(self._threshold), current.fewer(self._threshold)
        # Scores that are taken as they are may be off by as much as the reference could not tell.
        way = Way.CURVE if self._way is Way.AS_THEY_ARE else self._way
        draws, changes = [], []
        for _ in range(_DRAWS):
            positive = chance.poisson(known.positive).astype(np.float64)
            negative = chance.poisson(known.rows - known.positive).astype(np.float64)
            chances = meaning(way, known.scores, positive, positive + negative)(asked.scores)
            came = chance.binomial(asked.rows.astype(np.int64), chances).astype(np.float64)
            figures = _figures(asked.scores, came, asked.rows - came, self._threshold)
            draws.append(figures)
            changes.append(figures - _figures(known.scores, positive, negative, self._threshold))
        return np.array(draws), np.array(changes)


def require_drop(drop: float) -> None:
    """Raise InvalidInput where what a figure may lose is no share."""
    if not 0 <= drop < 1:
        raise InvalidInput("the drop makes no sense", subject="drop", expected="0 or above, below 1", got=f"{drop:g}")


def judged(
    name: str,
    values: tuple[float, float, float],
    draws: Numbers,
    changes: Numbers,
    *,
    drop: float,
    alpha: float | None = None,
) -> Figure:
    """Return what is said of a figure.

    Args:
        values: of the reference, as expected of the current data, and as it turned out; NaN where there is none.
        draws, changes: the figure, and its change, as they may turn out.
        alpha: see `Estimator.estimate`.
    """
    before, expected, realised = (None if np.isnan(value) else float(value) for value in values)
    if before is None or expected is None or np.isnan(draws).all() or np.isnan(changes).all():
        return Figure(name, before, expected, None, realised, Kept.INCONCLUSIVE)
    low, high = around(draws, expected)
    least, most = around(changes, expected - before) if alpha is None else _within(changes, expected - before, alpha)
    state = Kept.DROPPED if most < -drop else Kept.KEPT if least >= -drop else Kept.INCONCLUSIVE
    return Figure(name, before, expected, (max(0.0, low), min(1.0, high)), realised, state)


def _within(changes: Numbers, change: float, alpha: float) -> tuple[float, float]:
    """Return between what a change is, with each of all figures beyond either end with a share of alpha. Draws are too
    few to have what seldom happens among them: that they are as if normally distributed is taken for granted."""
    far = -NormalDist().inv_cdf(alpha / len(FIGURES)) * float(np.nanstd(changes))
    return change - far, change + far


def _figures(scores: Numbers, positive: Numbers, negative: Numbers, threshold: float) -> Numbers:
    """Return `FIGURES` of rows by score; what is not defined is NaN.

    Args:
        scores: increasing.
        positive, negative: rows of each outcome with each score, or how many are expected.
    """
    above = scores >= threshold
    true_positive, false_positive = positive[above].sum(), negative[above].sum()
    positives, negatives = positive.sum(), negative.sum()
    # Of a positive and a negative row the positive one has the higher score; of equal scores, half of the times.
    wins = (positive * (np.cumsum(negative) - negative / 2)).sum()
    return np.array(
        [
            _share(true_positive + negatives - false_positive, positives + negatives),
            _share(true_positive, true_positive + false_positive),
            _share(true_positive, positives),
            _share(2 * true_positive, positives + true_positive + false_positive),
            _share(wins, positives * negatives),
        ]
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else np.nan


def probabilities(scores: Column, what: str) -> Numbers:
    """Return scores as numbers, NaN where there is none. Raises InvalidInput where one is no probability."""
    found = as_numbers(scores)
    wrong = found[(found < 0) | (found > 1)]
    if len(wrong):
        raise InvalidInput(
            f"scores of {what} are no probabilities",
            subject="scores",
            expected="0 to 1: of a probability of the positive answer, not of a margin or a class",
            got=f"{wrong[0]:g}",
        )
    return found


def _outcomes(outcomes: Column, what: str) -> Numbers:
    found = as_numbers(outcomes)
    wrong = found[~np.isnan(found) & (found != 0) & (found != 1)]
    if len(wrong):
        raise InvalidInput(
            f"outcomes of {what} are neither 0 nor 1",
            subject="outcomes",
            expected="1 where the positive answer was right, else 0; nothing where it is not known",
            got=f"{wrong[0]:g}" if np.isfinite(wrong[0]) else "a text",
        )
    return found
