"""What the log of predictions says of a model beside the columns that replicas count: one aspect, one reading.

A reading says a state, or it is said why there is none: that nothing is known is never "no drift". Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.drift.classes import rows_of
from tidegate.drift.domain import compare_together
from tidegate.drift.expected import expect
from tidegate.drift.labelled import Case, Choice, Labelled, answered, labelled
from tidegate.drift.quality import LEAST_REQUESTS, Limits, compare
from tidegate.drift.reading import Policy
from tidegate.drift.sums import ClassRows, NumberRows, Rows
from tidegate.drift.wording import performance_sentences, quality_sentences, together_sentence


class Aspect(StrEnum):
    """What is read of the log.

    QUALITY: how right answers are, by what really was. PERFORMANCE: how right they are expected to be, by their scores.
    TOGETHER: all inputs at once.
    """

    QUALITY = "quality"
    PERFORMANCE = "performance"
    TOGETHER = "together"


@dataclass(frozen=True)
class AspectReading:
    """What is said of an aspect.

    Attributes:
        state: of `quality.Fared`, `performance.Kept` or `reading.State`.
        requests: of the time that was compared with the reference.
        said: in words.
        data: all that was measured, in JSON form.
    """

    state: str
    requests: int
    said: tuple[str, ...]
    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"state": self.state, "requests": self.requests, "said": list(self.said), "data": dict(self.data)}


@dataclass(frozen=True)
class Unread:
    """Why there is no reading, a sentence without its point."""

    why: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"why": self.why}


Read = AspectReading | Unread


def read_quality(
    reference: Sequence[Case], current: Sequence[Case], logged: tuple[int, int], choice: Choice, limits: Limits
) -> Read:
    """Compare how right answers are with how right those of the reference were.

    Args:
        reference, current: requests of which what really was is known.
        logged: requests of both, whether or not it is known.
    """
    for cases, all_, words in zip((reference, current), logged, ("in the reference", "since then"), strict=True):
        if len(cases) < LEAST_REQUESTS:
            return Unread(_too_few(len(cases), all_, words))
    try:
        sides = [labelled(cases, choice) for cases in (reference, current)]
        for side, all_, words in zip(sides, logged, ("in the reference", "since then"), strict=True):
            if len(side.moments) < LEAST_REQUESTS:
                return Unread(f"{_too_few(len(side.moments), all_, words)}; {side.misfits:,} actuals fit no answer")
        before, now = rows_of(sides, choice)
    except InvalidInput as wrong:
        return Unread(sentence(wrong))
    found = compare(before, now, limits)
    positive = _positive(before)
    data = {**found.as_dict(), "positive": positive, "logged": {"reference": logged[0], "current": logged[1]}}
    return AspectReading(str(found.state), found.requests[1], tuple(quality_sentences(found, logged, positive)), data)


def read_performance(
    reference: Sequence[Case], current: Sequence[Case], choice: Choice, drop: float, alpha: float
) -> Read:
    """Say how right answers are expected to be, by their scores.

    Args:
        reference: requests of which what really was is known.
        current: any, with their outputs.
        drop, alpha: see `performance.Estimator.estimate`.
    """
    if not current:
        return Unread("nothing was answered since the reference and within the period")
    if len(reference) < LEAST_REQUESTS:
        return Unread(
            f"what really was is known of {len(reference):,} requests of the reference; it takes {LEAST_REQUESTS} to "
            "tell what scores mean"
        )
    try:
        sides: list[Labelled] = [labelled(reference, choice), answered(current, choice)]
        if not all(side.answers for side in sides):
            return Unread("no answer fits what was told of it")
        before, now = rows_of(sides, choice)
        if isinstance(before, NumberRows) or isinstance(now, NumberRows):
            return Unread("answers are numbers: without outcomes only the scores of a classifier tell how right it is")
        if before.scores is None or now.scores is None:
            return Unread("the log has no scores of the classes (probabilities), which tell how right answers are")
        found = expect(before, now, drop=drop, alpha=alpha)
    except InvalidInput as wrong:
        return Unread(sentence(wrong))
    return AspectReading(str(found.state), found.rows[1], tuple(performance_sentences(found)), found.as_dict())


def read_together(
    reference: Sequence[Mapping[str, Any]],
    current: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    policy: Policy,
) -> Read:
    """Compare all inputs at once with those of the reference, a row of each request.

    Args:
        reference, current: inputs of requests, columns with a value for each row.
        columns: that are compared; all when empty.
    """
    sides = [rows_with_numbers_or_texts(side, columns) for side in (reference, current)]
    for side, words in zip(sides, ("in the reference", "since then and within the period"), strict=True):
        if not side:
            return Unread(f"no request that was logged {words} has inputs that are numbers or texts by name")
    try:
        found = compare_together(sides[0], sides[1], policy)
    except InvalidInput as wrong:
        return Unread(sentence(wrong))
    return AspectReading(str(found.state), found.used[1], (together_sentence(found),), found.as_dict())


def rows_with_numbers_or_texts(inputs: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, list[Any]]:
    """Return one row of each request, as columns by name; those that hold lists, as tensors do, are left out."""
    rows = [{name: values[0] for name, values in one.items() if isinstance(values, list) and values} for one in inputs]
    names = dict.fromkeys(name for row in rows for name in row)
    nested = {name for row in rows for name, value in row.items() if isinstance(value, list | dict)}
    chosen = [name for name in names if name not in nested and (not columns or name in columns)]
    return {name: [row.get(name) for row in rows] for name in chosen}


def sentence(wrong: InvalidInput) -> str:
    """Return an error as one sentence, and which field of the request document helps."""
    parts = [wrong.message]
    if wrong.expected is not None:
        parts.append(f"expected {wrong.expected}" + ("" if wrong.got is None else f", got {wrong.got}"))
    if wrong.subject is not None and wrong.subject.startswith("--"):
        parts.append(f"name it as drift.quality.{wrong.subject.removeprefix('--')}")
    return "; ".join(parts)


def _too_few(known: int, logged: int, words: str) -> str:
    return (
        f"what really was is known of {known:,} of {logged:,} requests that were logged {words}; "
        f"it takes {LEAST_REQUESTS}"
    )


def _positive(rows: Rows) -> str | None:
    return rows.classes[rows.positive] if isinstance(rows, ClassRows) and rows.positive is not None else None
