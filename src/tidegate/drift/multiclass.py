"""How well a classifier of several classes does before anybody knows what came of its answers; see `performance`.

The score of each class is calibrated against the rest, by the outcomes of a reference, and what they mean together sums
to 1 in each row. So of the rows that are answered with one class it is known how many are expected to be of each: a
confusion matrix, and with it every figure. Precision, recall, F1 and ROC AUC are means over the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput
from tidegate.drift.calibration import CREDIBLE, FITTED, Meaning, Way, calibration_chance, curve, meaning
from tidegate.drift.columns import Column, Numbers, as_levels
from tidegate.drift.performance import (
    FIGURES,
    LEAST_OF_EACH,
    LEAST_ROWS,
    Estimator,
    Performance,
    judged,
    probabilities,
    require_drop,
)

Places = NDArray[np.intp]
#: Scores of a class, increasing, and how many rows with each were of it, and all.
_Counted = tuple[Numbers, Numbers, Numbers]
_DRAWS = 200
#: Rows of either side that are drawn anew; of more every so many-th.
_MOST_DRAWN = 20_000
#: Groups of rows with about one score, by which a class is calibrated in a draw.
_GROUPS = 500
_SEED = 20_13


@dataclass(frozen=True)
class ScoredRows:
    """Rows of a classifier.

    Attributes:
        scores: a column for each class.
        answers: the class with the highest score.
        outcomes: places of classes; -1 where it is not known.
    """

    scores: Numbers
    answers: Places
    outcomes: Places

    @cached_property
    def ranks(self) -> list[tuple[Places, int]]:
        """For each class the place of each row among the different scores, in order, and how many these are."""
        found = (np.unique(column, return_inverse=True) for column in self.scores.T)
        return [(places.astype(np.intp), len(different)) for different, places in found]

    @cached_property
    def groups(self) -> list[tuple[Places, Numbers]]:
        """For each class the group of each row, and the scores of these groups; at most some hundreds."""
        return [_grouped(column, *rank) for column, rank in zip(self.scores.T, self.ranks, strict=True)]

    def some(self, most: int) -> ScoredRows:
        """Return at most so many of the rows, evenly over all."""
        step = -(-len(self.scores) // most)
        return ScoredRows(self.scores[::step], self.answers[::step], self.outcomes[::step])


class MulticlassEstimator:
    """What the outcomes of a reference say of a classifier's scores. Make one with `of`."""

    def __init__(self, classes: tuple[str, ...], reference: ScoredRows) -> None:
        self._classes = classes
        self._reference = reference
        self._way, self._calibration = self._choose()

    @classmethod
    def of(cls, scores: Mapping[str, Column], outcomes: Column) -> MulticlassEstimator:
        """Learn from rows that the classifier was not trained on.

        Args:
            scores: the probability of each class, 0 to 1. Rows without one, or without outcome, are left out.
            outcomes: the class that it was; nothing where it is not known.

        Raises:
            InvalidInput: scores are no probabilities, an outcome is none of the classes, there are fewer than three of
                these (see `performance.Estimator`), or too few rows of one.
        """
        classes = tuple(scores)
        if len(classes) < 3:
            raise InvalidInput("there are fewer than three classes", subject="scores", expected="three at least")
        rows = _rows(classes, scores, outcomes, "the reference")
        known = rows.outcomes >= 0
        rows = ScoredRows(rows.scores[known], rows.answers[known], rows.outcomes[known])
        counts = np.bincount(rows.outcomes, minlength=len(classes))
        if len(rows.outcomes) < LEAST_ROWS or counts.min() < LEAST_OF_EACH:
            rarest = classes[int(counts.argmin())]
            raise InvalidInput(
                "the reference has too few outcomes to tell whether scores are calibrated",
                expected=f"{LEAST_ROWS} rows with outcomes, {LEAST_OF_EACH} of each class",
                got=f"{len(rows.outcomes):,} rows, {counts.min():,} of {rarest}",
            )
        return cls(classes, rows)

    def estimate(
        self,
        scores: Mapping[str, Column],
        outcomes: Column | None = None,
        *,
        drop: float = 0.05,
        alpha: float | None = None,
    ) -> Performance:
        """Return what is to be expected of answers with these scores; see `performance.Estimator.estimate`."""
        require_drop(drop)
        current = _rows(self._classes, scores, outcomes, "the current data")
        if not len(current.scores):
            raise InvalidInput("the current data has no scores", expected="one row with a score of each class")
        known = self._reference
        size = len(self._classes)
        chances = self._chances(self._way, current)
        expected = figures(current, chances)
        before = figures(known, _certain(known.outcomes, size))
        realised = np.full(len(FIGURES), np.nan)
        if (current.outcomes >= 0).any():
            # A row without outcome is of no class, and counts nowhere.
            realised = figures(current, _certain(current.outcomes, size))
        draws, changes = self._drawn(current)
        told = tuple(
            judged(name, (before[at], expected[at], realised[at]), draws[:, at], changes[:, at], drop=drop, alpha=alpha)
            for at, name in enumerate(FIGURES)
        )
        rows = len(known.scores), len(current.scores)
        return Performance(told, rows, self._calibration, self._way, None, drop, self._classes)

    def _choose(self) -> tuple[Way, float]:
        """Return the simplest way that outcomes do not speak against, and their chance if scores are calibrated."""
        calibrated = self._chance(Way.AS_THEY_ARE)
        if calibrated >= CREDIBLE:
            return Way.AS_THEY_ARE, calibrated
        return (Way.CURVE if self._chance(Way.CURVE) >= CREDIBLE else Way.STAIRCASE), calibrated

    def _chance(self, way: Way) -> float:
        """Return the chance of the outcomes if scores mean what they mean in one of the ways.

        Asked are the score of each class, and that of the answer: of the many classes that a row is not, each may be a
        little off, and hardly show it, and the answer is then off by all of these together.
        """
        fitted = 0 if way is Way.AS_THEY_ARE else FITTED
        counted = [self._counted(at) for at in range(len(self._classes))]
        found = [
            calibration_chance(scores, means(scores), came, count, fitted=fitted)
            for (scores, came, count), means in zip(counted, _meanings(way, counted), strict=True)
        ]
        rows = self._reference
        answers = _of_answers(self._chances(way, rows), rows)
        sure, places, count = np.unique(answers, return_inverse=True, return_counts=True)
        right = np.bincount(places, weights=rows.answers == rows.outcomes, minlength=len(sure)).astype(np.float64)
        found.append(calibration_chance(sure, sure, right, count.astype(np.float64), fitted=fitted))
        return min(1.0, len(found) * min(found))

    def _chances(self, way: Way, rows: ScoredRows) -> Numbers:
        """Return how probable each class is in each row, by its scores."""
        counted = [self._counted(at) for at in range(len(self._classes))]
        return _learnt(way, counted, self._reference, np.ones(len(self._reference.scores)))(rows)

    def _counted(self, at: int) -> _Counted:
        """Return the different scores of a class, how many rows of the reference with each were of it, and all."""
        scores, places, counts = np.unique(self._reference.scores[:, at], return_inverse=True, return_counts=True)
        came = np.bincount(places, weights=self._reference.outcomes == at, minlength=len(scores))
        return scores, came.astype(np.float64), counts.astype(np.float64)

    def _drawn(self, current: ScoredRows) -> tuple[Numbers, Numbers]:
        """Return figures as they may turn out, and how they then differ from the reference's; a row for each draw."""
        chance = np.random.default_rng(_SEED)
        size = len(self._classes)
        known, asked = self._reference.some(_MOST_DRAWN), current.some(_MOST_DRAWN)
        certain = _certain(known.outcomes, size)
        # Scores that are taken as they are may be off by as much as the reference could not tell.
        way = Way.CURVE if self._way is Way.AS_THEY_ARE else self._way
        draws, changes = [], []
        for _ in range(_DRAWS):
            weights = chance.poisson(1.0, len(known.scores)).astype(np.float64)
            counted = [_counted_again(group, known.outcomes == at, weights) for at, group in enumerate(known.groups)]
            limits = np.cumsum(_learnt(way, counted, known, weights)(asked), axis=1)
            came = np.minimum((chance.random((len(limits), 1)) > limits).sum(axis=1), size - 1)
            found = figures(asked, _certain(came, size))
            draws.append(found)
            changes.append(found - figures(known, certain * weights[:, None]))
        return np.array(draws), np.array(changes)


def estimate_classes(
    reference: tuple[Mapping[str, Column], Column],
    current: tuple[Mapping[str, Column], Column | None],
    *,
    drop: float = 0.05,
) -> Performance:
    """Return what is to be expected of a classifier of two or more classes, by the scores of each and outcomes.

    Of two classes the second is the positive one, and what is returned is `performance.Estimator`'s by its score.
    """
    classes = tuple(reference[0])
    if len(classes) != 2:
        return MulticlassEstimator.of(*reference).estimate(*current, drop=drop)
    positive = classes[1]
    known = Estimator.of(reference[0][positive], _flags(classes, reference[1]))
    came = None if current[1] is None else _flags(classes, current[1])
    return replace(known.estimate(current[0][positive], came, drop=drop), classes=classes)


def figures(rows: ScoredRows, chances: Numbers) -> Numbers:
    """Return `FIGURES`, those behind the first as means over the classes; what is not defined is left out of a mean.

    Args:
        chances: of each class in each row, or how often the row came to be of it.
    """
    size = rows.scores.shape[1]
    actual, whole = chances.sum(axis=0), chances.sum(axis=1)
    right = np.bincount(rows.answers, weights=chances[np.arange(len(chances)), rows.answers], minlength=size)
    answered = np.bincount(rows.answers, weights=whole, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Of a class that is never answered no answer is right.
        precision = np.where(answered > 0, right / answered, np.where(actual > 0, 0.0, np.nan))
        recall = right / actual
        both = 2 * right / (answered + actual)
        accuracy = right.sum() / actual.sum()
    areas = np.array([_area(*rank, chances[:, at], whole) for at, rank in enumerate(rows.ranks)])
    return np.array([accuracy, *(_mean(values) for values in (precision, recall, both, areas))])


def _mean(values: Numbers) -> float:
    there = ~np.isnan(values)
    return float(values[there].mean()) if there.any() else np.nan


def _area(places: Places, number: int, positive: Numbers, whole: Numbers) -> float:
    came = np.bincount(places, weights=positive, minlength=number)
    others = np.bincount(places, weights=whole, minlength=number) - came
    pairs = came.sum() * others.sum()
    return float((came * (np.cumsum(others) - others / 2)).sum() / pairs) if pairs > 0 else np.nan


def _grouped(column: Numbers, places: Places, number: int) -> tuple[Places, Numbers]:
    if number > _GROUPS:
        order = np.argsort(places, kind="stable")
        places = np.empty(len(column), dtype=np.intp)
        places[order] = np.arange(len(column)) * _GROUPS // len(column)
        number = _GROUPS
    return places, np.bincount(places, weights=column, minlength=number) / np.bincount(places, minlength=number)


def _meanings(way: Way, counted: Sequence[_Counted]) -> list[Meaning]:
    """Return what the score of each class means.

    A classifier that is too sure is so of all classes, and of one alone few rows tell: so one curve is learnt from all
    of them first, and what is left for each class by itself.
    """
    if way is not Way.CURVE:
        return [meaning(way, *one) for one in counted]
    shared = curve(*(np.concatenate([one[part] for one in counted]) for part in range(3)))
    return [_one_after_the_other(shared, curve(shared(scores), came, count)) for scores, came, count in counted]


def _learnt(
    way: Way, counted: Sequence[_Counted], known: ScoredRows, weights: Numbers
) -> Callable[[ScoredRows], Numbers]:
    """Return what tells how probable each class is in each row.

    What the scores mean one by one is a little off when it is made to sum to 1, and for the answer most of all: so it
    is learnt how often answers of which probability are right, and the other classes share what is left.

    Args:
        known, weights: rows of the reference, and how often each counts.
    """
    meanings = _meanings(way, counted)
    if way is Way.AS_THEY_ARE:
        return lambda rows: _told(meanings, rows)
    sure = _of_answers(_told(meanings, known), known)
    different, places = np.unique(sure, return_inverse=True)
    group = _grouped(sure, places, len(different))
    right = curve(*_counted_again(group, known.answers == known.outcomes, weights))

    def told(rows: ScoredRows) -> Numbers:
        shares = _told(meanings, rows)
        before = _of_answers(shares, rows)
        after = right(before)
        left = np.where(before < 1, (1 - after) / np.where(before < 1, 1 - before, 1.0), 0.0)
        shares = shares * left[:, None]
        shares[np.arange(len(shares)), rows.answers] = after
        return shares

    return told


def _of_answers(shares: Numbers, rows: ScoredRows) -> Numbers:
    found: Numbers = shares[np.arange(len(shares)), rows.answers]
    return found


def _one_after_the_other(first: Meaning, second: Meaning) -> Meaning:
    return lambda asked: second(first(asked))


def _counted_again(group: tuple[Places, Numbers], came: NDArray[np.bool_], weights: Numbers) -> _Counted:
    places, scores = group
    positive, count = (
        np.bincount(places, weights=each, minlength=len(scores)).astype(np.float64)
        for each in (weights * came, weights)
    )
    return scores, positive, count


def _told(meanings: Sequence[Meaning], rows: ScoredRows) -> Numbers:
    """Return what the scores of each class mean, made to sum to 1 in each row."""
    found = np.column_stack([means(rows.scores[:, at]) for at, means in enumerate(meanings)])
    sums = found.sum(axis=1, keepdims=True)
    shares: Numbers = np.where(sums > 0, found / np.where(sums > 0, sums, 1.0), 1 / found.shape[1])
    return shares


def _certain(outcomes: Places, size: int) -> Numbers:
    found: Numbers = (outcomes[:, None] == np.arange(size)).astype(np.float64)
    return found


def _rows(classes: tuple[str, ...], scores: Mapping[str, Column], outcomes: Column | None, what: str) -> ScoredRows:
    told = np.column_stack([probabilities(scores[name], what) for name in classes])
    there = ~np.isnan(told).any(axis=1)
    came = np.full(len(told), -1) if outcomes is None else _places(classes, outcomes, what)
    return ScoredRows(told[there], told[there].argmax(axis=1), came[there])


def _places(classes: tuple[str, ...], outcomes: Column, what: str) -> Places:
    place = {name: at for at, name in enumerate(classes)}
    levels = as_levels(outcomes).tolist()
    strange = next((level for level in levels if level is not None and level not in place), None)
    if strange is not None:
        raise InvalidInput(
            f"an outcome of {what} is none of the classes",
            subject="outcomes",
            expected=", ".join(classes)[:200],
            got=strange[:40],
        )
    return np.array([-1 if level is None else place[level] for level in levels], dtype=np.intp)


def _flags(classes: tuple[str, ...], outcomes: Column) -> Numbers:
    places = _places(classes, outcomes, "the data")
    return np.where(places < 0, np.nan, places).astype(np.float64)
