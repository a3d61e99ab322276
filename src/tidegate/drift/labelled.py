"""Logged predictions and what really was, row by row, as quality is measured of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from tidegate.contract.actuals import UNNAMED, by_row
from tidegate.contract.errors import InvalidInput
from tidegate.drift.sums import ClassRows, NumberRows, Rows

#: Outputs that are the answer, and the scores of the classes, where the model has them.
_ANSWERS, _SCORES = ("prediction", "predict"), ("probabilities",)
#: How far scores of one row may be from 1 in sum: some are of 32 bits.
_ONE = 1e-4


class Kind(StrEnum):
    """What answers are."""

    CLASSES = "classes"
    NUMBERS = "numbers"


class Case(NamedTuple):
    """A logged request of which what really was is known; see `store.predictions.Prediction`."""

    at: datetime
    request_id: str
    revision: int
    rows: int
    outputs: Mapping[str, Any]
    actual: Any


@dataclass(frozen=True)
class Choice:
    """What is taken for what, where the model's outputs do not say it.

    Attributes:
        answer, scores: outputs by name; None for those that are called as such.
        classes: of the columns of scores, in their order; none for those that the answers tell.
        positive: the class that precision, recall and F1 are of, where there are two.
        kind: of the answers; None for what they look like.
    """

    answer: str | None = None
    scores: str | None = None
    classes: Sequence[str] = ()
    positive: str | None = None
    kind: Kind | None = None


@dataclass
class Labelled:
    """Rows with what was answered and what really was.

    Attributes:
        requests: which one each row is of, from 0, and `moments` when that was answered.
        misfits: requests whose actual fits neither their rows nor the answer.
        twice: requests whose id was answered several times, each otherwise: nobody knows which of them was told of.
    """

    answer: str
    scores: tuple[str, ...] = ()
    answers: list[Any] = field(default_factory=list)
    actuals: list[Any] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)
    misfits: int = 0
    twice: int = 0


def labelled(cases: Iterable[Case], choice: Choice) -> Labelled:
    """Put what really was beside what was answered.

    Raises:
        InvalidInput: there is no case, or it is not clear which output is the answer.
    """
    once, twice = _once(cases)
    if not once:
        raise InvalidInput("nothing is known of what really was", expected="logged predictions with actuals")
    answer = _output(once[0].outputs, choice.answer, _ANSWERS, "--answer")
    scores = _score_outputs(once[0].outputs, answer, choice.scores)
    found = Labelled(answer, scores, twice=twice)
    for case in once:
        rows = _rows(case, answer, scores)
        if rows is None:
            found.misfits += 1
            continue
        for said, really, told in rows:
            found.answers.append(said)
            found.actuals.append(really)
            found.told.append(told)
            found.requests.append(len(found.moments))
        found.moments.append(case.at)
    return found


def answered(cases: Iterable[Case], choice: Choice) -> Labelled:
    """Put answers into rows, of which nobody knows what really was: the answer itself stands in its place.

    Raises:
        InvalidInput: as `labelled`.
    """
    known = list(cases)
    if not known:
        return labelled(known, choice)
    name = _output(known[0].outputs, choice.answer, _ANSWERS, "--answer")
    said = ((case, case.outputs.get(name)) for case in known)
    return labelled(
        (
            case._replace(rows=len(values), actual={name: values})
            for case, values in said
            if isinstance(values, list) and values
        ),
        choice,
    )


def part(rows: Rows, moments: Sequence[datetime], since: datetime, until: datetime) -> Rows | None:
    """Return the rows of the requests that were answered from `since` on and before `until`; None for none.

    Args:
        moments: of the requests.
    """
    wanted = np.array([since <= at < until for at in moments], dtype=bool)
    taken = wanted[rows.requests]
    if not taken.any():
        return None
    number = np.cumsum(wanted) - 1
    requests = number[rows.requests[taken]].astype(np.intp)
    if isinstance(rows, NumberRows):
        return NumberRows(rows.answers[taken], rows.actuals[taken], requests)
    scores = None if rows.scores is None else rows.scores[taken]
    return ClassRows(rows.classes, rows.positive, rows.answers[taken], rows.actuals[taken], scores, requests)


def _once(cases: Iterable[Case]) -> tuple[list[Case], int]:
    """Return the cases whose id was answered in one way: the log may have a row twice."""
    found: dict[str, Case] = {}
    several: set[str] = set()
    for case in cases:
        other = found.setdefault(case.request_id, case)
        if (other.revision, other.outputs) != (case.revision, case.outputs):
            several.add(case.request_id)
    return [case for name, case in found.items() if name not in several], len(several)


def _output(outputs: Mapping[str, Any], wanted: str | None, usual: Sequence[str], flag: str) -> str:
    if wanted is not None:
        if wanted in outputs:
            return wanted
        problem = f"there is no output {wanted!r}"
    else:
        named = [name for name in usual if name in outputs] or (list(outputs) if len(outputs) == 1 else [])
        if named:
            return named[0]
        problem = "it is not clear which output is the answer"
    raise InvalidInput(problem, subject=flag, expected=f"one of {', '.join(outputs)}", hint=f"name it with {flag}")


def _score_outputs(outputs: Mapping[str, Any], answer: str, wanted: str | None) -> tuple[str, ...]:
    """Return the outputs that are scores: one with a list for each row, or one for each class; else none."""
    if wanted is not None:
        return (_output(outputs, wanted, (), "--scores"),)
    usual = tuple(name for name in _SCORES if name in outputs)
    others = tuple(name for name in outputs if name != answer)
    columns = [outputs[name] for name in others]
    if usual or len(others) < 2 or not all(_are_shares(column) for column in columns):
        return usual
    sums = [sum(row) for row in zip(*columns, strict=False)]
    return others if all(abs(total - 1) < _ONE for total in sums) else ()


def _are_shares(column: Any) -> bool:
    return isinstance(column, list) and all(type(value) in {int, float} and 0 <= value <= 1 for value in column)


def _told(outputs: Mapping[str, Any], scores: tuple[str, ...], rows: int) -> list[Any]:
    columns = [outputs.get(name) for name in scores]
    if not scores or not all(isinstance(column, list) and len(column) == rows for column in columns):
        return [None] * rows
    if len(scores) == 1:
        return list(outputs[scores[0]])
    return [[outputs[name][row] for name in scores] for row in range(rows)]


def _rows(case: Case, answer: str, scores: tuple[str, ...]) -> list[tuple[Any, Any, Any]] | None:
    said = case.outputs.get(answer)
    named = by_row(case.actual, case.rows)
    if named is None or not isinstance(said, list):
        return None
    really = named.get(answer, named.get(UNNAMED))
    if really is None or any(isinstance(value, list | dict) for value in (*really, *said)):
        return None
    # Of very many rows not all are logged.
    rows = zip(said, really[: len(said)], _told(case.outputs, scores, len(said)), strict=True)
    return [row for row in rows if row[0] is not None and row[1] is not None]
