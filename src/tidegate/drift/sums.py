"""Figures of quality as functions of sums over rows, and how far chance moves them. Pure.

Rows of one request are answered and told together, so requests are what is drawn anew: a request of a thousand rows is
no thousand observations. Every figure is a smooth function of a few sums, the area under a ROC curve by its placements
(E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
characteristic curves", 1988), so that a thousand draws cost little more than one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.drift.columns import Numbers

Places = NDArray[np.intp]
#: Of a model that answers with classes, those by scores last, and of one that answers with numbers.
OF_CLASSES = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")
OF_NUMBERS = ("mae", "rmse", "bias")
#: Smaller is better, and so is nearer to 0 of the bias.
ERRORS = frozenset({"log_loss", *OF_NUMBERS})
_DRAWS = 1_000
#: Requests are put together into so many groups at most.
_MOST_GROUPS = 2_000
_SEED = 20_13
#: As near to 0 as a probability is taken to be, as scikit-learn does.
_LEAST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ClassRows:
    """Answers and what really was, as places in `classes`, by row.

    Attributes:
        positive: place of the class that precision, recall and F1 are of; None for the mean over classes.
        scores: probabilities, a column for each class; None without.
        requests: which request each row belongs to, from 0.
    """

    classes: tuple[str, ...]
    positive: int | None
    answers: Places
    actuals: Places
    scores: Numbers | None
    requests: Places


@dataclass(frozen=True)
class NumberRows:
    """Answers and what really was, in the unit of the output, by row; see `ClassRows`."""

    answers: Numbers
    actuals: Numbers
    requests: Places


Rows = ClassRows | NumberRows


@dataclass(frozen=True)
class Measured:
    """Figures of some rows.

    Attributes:
        values: by name; NaN where a figure is not defined.
        draws: of each name, as chance may have it.
        spread: standard deviation of each, at least what so few rows can tell of a share.
        least: rows of the rarest class, by name.
    """

    values: dict[str, float]
    draws: dict[str, Numbers]
    spread: dict[str, float]
    requests: int
    rows: int
    rarest: tuple[str, int] | None


def measure(rows: Rows) -> Measured:
    """Return the figures of at least one row."""
    names, terms, figures, floors = _of_numbers(rows) if isinstance(rows, NumberRows) else _of_classes(rows)
    requests = int(rows.requests.max()) + 1
    groups = _grouped(terms, rows.requests, requests)
    chance = np.random.default_rng(_SEED)
    weights = chance.poisson(1.0, (_DRAWS, len(groups))).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = figures(groups.sum(axis=0)[None, :])[0]
        draws = figures(weights @ groups)
        spread = _deviation(draws)
    spread = np.maximum(spread, floors)
    return Measured(
        values=dict(zip(names, values.tolist(), strict=True)),
        draws={name: draws[:, place] for place, name in enumerate(names)},
        spread=dict(zip(names, spread.tolist(), strict=True)),
        requests=requests,
        rows=len(rows.requests),
        rarest=_rarest(rows) if isinstance(rows, ClassRows) else None,
    )


def _deviation(draws: Numbers) -> Numbers:
    """Return the standard deviation of each column's numbers; NaN for one without any."""
    number = np.count_nonzero(~np.isnan(draws), axis=0)
    mean = np.nansum(draws, axis=0) / number
    return np.asarray(np.sqrt(np.nansum((draws - mean) ** 2, axis=0) / number))


_Figures = Callable[[Numbers], Numbers]
_Parts = tuple[tuple[str, ...], Numbers, _Figures, Numbers]


def _grouped(terms: Numbers, requests: Places, number: int) -> Numbers:
    # Neighbours in time are apart: a group is like any other.
    place = requests % _MOST_GROUPS
    groups = min(number, _MOST_GROUPS)
    return np.column_stack([np.bincount(place, weights=column, minlength=groups) for column in terms.T])


def _of_numbers(rows: NumberRows) -> _Parts:
    off = rows.answers - rows.actuals
    terms = np.column_stack([np.ones(len(off)), np.abs(off), off**2, off])

    def figures(sums: Numbers) -> Numbers:
        count, absolute, squares, signed = sums.T
        return np.column_stack([absolute / count, np.sqrt(squares / count), signed / count])

    return OF_NUMBERS, terms, figures, np.zeros(len(OF_NUMBERS))


def _of_classes(rows: ClassRows) -> _Parts:
    size = len(rows.classes)
    each = np.arange(size)
    really, said = (places[:, None] == each for places in (rows.actuals, rows.answers))
    parts = [really.astype(np.float64), said.astype(np.float64), (really & said).astype(np.float64)]
    names = OF_CLASSES if rows.scores is not None else OF_CLASSES[:4]
    areas = np.zeros(0)
    if rows.scores is not None:
        placements, areas = _placements(rows.scores, really)
        told = np.take_along_axis(rows.scores, rows.actuals[:, None], axis=1)[:, 0]
        parts += [placements * really, placements * ~really, -np.log(np.clip(told, _LEAST, 1.0))[:, None]]
    counted = really.any(axis=0)
    chosen = np.flatnonzero(counted) if rows.positive is None else np.array([rows.positive])

    def figures(sums: Numbers) -> Numbers:
        actual, answered, right = (sums[:, size * at : size * (at + 1)] for at in range(3))
        rows_of = actual.sum(axis=1)
        precision = right / answered
        if rows.positive is None:
            # Of a class that is never answered no answer is right.
            precision = np.where(answered > 0, precision, 0.0)
        recall, both = right / actual, 2 * right / (actual + answered)
        found = [right.sum(axis=1) / rows_of]
        found += [column[:, chosen].mean(axis=1) for column in (precision, recall, both)]
        if rows.scores is not None:
            wins, losses = (sums[:, size * at : size * (at + 1)] for at in (3, 4))
            others = rows_of[:, None] - actual
            area = wins / actual + losses / others - areas
            found += [area[:, chosen].mean(axis=1), sums[:, -1] / rows_of]
        return np.column_stack(found)

    return names, np.column_stack(parts), figures, _floors(rows, really, said, chosen)[: len(names)]


def _placements(scores: Numbers, really: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Return for each row and class the share of rows of the other kind that are on their side of it, and the areas."""
    placements = np.zeros(scores.shape)
    areas = np.full(scores.shape[1], np.nan)
    for at in range(scores.shape[1]):
        there = really[:, at]
        positive, negative = np.sort(scores[there, at]), np.sort(scores[~there, at])
        if not len(positive) or not len(negative):
            continue
        placements[there, at] = _below(negative, scores[there, at])
        placements[~there, at] = 1 - _below(positive, scores[~there, at])
        areas[at] = placements[there, at].mean()
    return placements, areas


def _below(known: Numbers, asked: Numbers) -> Numbers:
    """Return the share of `known`, which is sorted, that is below each; of those that are equal, half."""
    return (np.searchsorted(known, asked, "left") + np.searchsorted(known, asked, "right")) / (2 * len(known))


def _floors(rows: ClassRows, really: NDArray[np.bool_], said: NDArray[np.bool_], chosen: Places) -> Numbers:
    """Return what the spread of a share is at least: of n rows that were all right, one of the next n may be wrong."""
    requests = float(rows.requests.max()) + 1
    actual, answered = (np.clip(flags.sum(axis=0)[chosen], 1, requests) for flags in (really, said))
    others = np.clip((~really).sum(axis=0)[chosen], 1, requests)
    each = (answered, actual, actual, np.minimum(actual, others))
    return np.array([1 / requests, *(np.sqrt((1 / counts**2).sum()) / len(chosen) for counts in each), 0.0])


def _rarest(rows: ClassRows) -> tuple[str, int]:
    counts = np.bincount(rows.actuals, minlength=len(rows.classes))
    if rows.positive is None:
        counts = np.where(counts > 0, counts, len(rows.actuals))
    at = int(np.argmin(counts))
    return rows.classes[at], int(counts[at])
