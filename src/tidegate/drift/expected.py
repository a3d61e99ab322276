"""What is expected of a classifier's logged answers, by those of which what really was is known; see `performance`.

Of each request one row is taken: rows of one request are answered together, and are no observations of their own. Pure.
"""

from __future__ import annotations

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.drift.columns import Numbers
from tidegate.drift.multiclass import MulticlassEstimator
from tidegate.drift.performance import Estimator, Performance
from tidegate.drift.sums import ClassRows, Places

#: The share of answers that go by their scores, so that scores say how many are right. Equal scores are few.
_AGREE = 0.99
#: Scores of several classes that are looked at, of either side; of more every so many-th row.
_MOST_SCORES = 200_000


def expect(reference: ClassRows, current: ClassRows, *, drop: float, alpha: float) -> Performance:
    """Return what is to be expected of the current answers.

    Args:
        reference, current: with scores, of the same classes. What really was is asked of the reference alone.
        drop, alpha: see `Estimator.estimate`.

    Raises:
        InvalidInput: of the reference too little is known, scores are no probabilities, or answers do not go by them.
    """
    before, now = _first_of_each(reference), _first_of_each(current)
    if len(reference.classes) > 2:
        return _of_several(before, now, drop, alpha)
    positive = 1 if reference.positive is None else reference.positive
    scores = [_scores(rows)[:, positive] for rows in (before, now)]
    said = np.concatenate([rows.answers == positive for rows in (before, now)])
    threshold = threshold_of(np.concatenate(scores), said)
    known = Estimator.of(scores[0], (before.actuals == positive).astype(np.float64), threshold=threshold)
    return known.estimate(scores[1], drop=drop, alpha=alpha)


def threshold_of(scores: Numbers, said: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """Return from which score on the answer is positive: 0.5 where answers allow it.

    Args:
        said: by row, whether the answer is the positive one.

    Raises:
        InvalidInput: no score parts the positive answers from the others.
    """
    low, high = float(scores[~said].max(initial=0.0)), float(scores[said].min(initial=1.0))
    if low < 0.5 <= high:
        return 0.5
    if low < high:
        return (low + high) / 2
    _require_agreement(float(np.mean((scores >= 0.5) == said)))
    return 0.5


def _of_several(before: ClassRows, now: ClassRows, drop: float, alpha: float) -> Performance:
    before, now = _some(before), _some(now)
    for rows in (before, now):
        _require_agreement(float(np.mean(_scores(rows).argmax(axis=1) == rows.answers)))
    told = [{name: _scores(rows)[:, at] for at, name in enumerate(rows.classes)} for rows in (before, now)]
    outcomes = np.array([before.classes[at] for at in before.actuals], dtype=object)
    return MulticlassEstimator.of(told[0], outcomes).estimate(told[1], drop=drop, alpha=alpha)


def _require_agreement(share: float) -> None:
    if share < _AGREE:
        raise InvalidInput(
            "answers do not go by the scores, so scores cannot tell how many are right",
            subject="scores",
            expected="the class with the highest score, or the positive one from some score on",
            got=f"{share:.0%} of the answers",
        )


def _first_of_each(rows: ClassRows) -> ClassRows:
    _, first = np.unique(rows.requests, return_index=True)
    return _taken(rows, first.astype(np.intp))


def _some(rows: ClassRows) -> ClassRows:
    step = -(-_scores(rows).size // _MOST_SCORES)
    return _taken(rows, np.arange(0, len(rows.answers), step, dtype=np.intp))


def _taken(rows: ClassRows, chosen: Places) -> ClassRows:
    places: Places = np.arange(len(chosen), dtype=np.intp)
    return ClassRows(
        rows.classes, rows.positive, rows.answers[chosen], rows.actuals[chosen], _scores(rows)[chosen], places
    )


def _scores(rows: ClassRows) -> Numbers:
    if rows.scores is None:
        raise InvalidInput("the answers have no scores", subject="scores", expected="a probability of each class")
    return rows.scores
