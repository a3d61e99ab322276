"""What becomes of what the log says: which times are compared, how an aspect stands, what is told and shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.drift import Drift
from tidegate.controller.drift.log_readings import (
    AspectSeen,
    Times,
    aspects_of,
    happened,
    look_after,
    seen_views,
    stored,
    times_of,
    view,
    why_not_logged,
)
from tidegate.drift.aspect_plots import measured as figures
from tidegate.store import AspectRow

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS = Drift.model_validate({"reference": "r.json", "referencePeriod": "48h", "quality": {"period": "24h"}})
SECONDS = st.integers(2, 1_000_000)


def times(now: datetime) -> Times:
    found = times_of(DAYS, FIRST, now)
    assert isinstance(found, Times)
    return found


def reading(
    state: str, after: AspectRow | None = None, aspect: str = "quality", at: datetime = FIRST + 72 * HOUR
) -> AspectRow:
    figure = {"figure": "accuracy", "reference": {"value": 0.9}, "current": {"value": 0.6}}
    measured: dict[str, Any] = {"figures": [figure, {**figure, "figure": "f1", "current": {"value": None}}]}
    if aspect == "performance":
        measured = {"figures": [{"figure": "accuracy", "reference": 0.9, "estimate": 0.8}]}
    elif aspect == "together":
        measured = {"area": 0.7}
    told = {"state": state, "requests": 336, "said": ["Worse: accuracy."], "data": measured}
    return stored(told, aspect, after, times(at), deployment="churn", revision=2, period=HOUR)


def test_nothing_is_compared_before_the_reference_is_over() -> None:
    assert times_of(DAYS, FIRST, FIRST + 48 * HOUR) == (
        "their reference, the first 48h of the log, is over at 2026-03-03 00:00:00 UTC"
    )


@given(SECONDS, SECONDS, SECONDS, SECONDS)
def test_what_is_compared_never_overlaps_and_is_no_longer_than_was_asked(
    reference: int, quality: int, period: int, later: int
) -> None:
    fields = {"reference_period": timedelta(seconds=reference), "period": timedelta(seconds=period)}
    drift = DAYS.model_copy(
        update={
            name: type(DAYS.quality.period).of_seconds(span.seconds + span.days * 86_400)
            for name, span in fields.items()
        }
    )
    drift = drift.model_copy(
        update={"quality": DAYS.quality.model_copy(update={"period": type(DAYS.quality.period).of_seconds(quality)})}
    )
    now = FIRST + timedelta(seconds=later)
    found = times_of(drift, FIRST, now)
    assert isinstance(found, str) == (later <= reference)
    if isinstance(found, str):
        return
    assert found.reference == (FIRST, FIRST + timedelta(seconds=reference))
    for (since, until), longest in ((found.current, quality), (found.recent, period)):
        assert found.reference[1] <= since < until == now
        assert until - since <= timedelta(seconds=longest)


def test_an_aspect_stands_as_drifted_until_for_a_period_it_was_not_and_either_is_told_once() -> None:
    rows: list[AspectRow] = []
    for minutes, state in ((0, "kept"), (5, "worse"), (10, "inconclusive"), (15, "worse"), (20, "kept"), (80, "kept")):
        before = rows[-1] if rows else None
        rows.append(reading(state, before, at=FIRST + 72 * HOUR + timedelta(minutes=minutes)))
    assert [one.data["drifted"] for one in rows] == [False, True, True, True, True, False]
    assert [one.data["look"] for one in rows] == [1, 2, 3, 4, 5, 6]
    events = [happened(before, after) for before, after in zip([None, *rows], rows, strict=False)]
    assert [event.kind if event else None for event in events] == [None, "drifted", None, None, None, "drift_over"]
    assert events[1] is not None
    assert events[1].message == ("answers are less right than in the reference, by 336 requests: Worse: accuracy")
    assert (events[1].revision, events[1].data["aspect"]) == (2, "quality")
    assert look_after(None) == 1


@pytest.mark.parametrize(
    ("aspect", "state", "measured"),
    [
        ("quality", "worse", {("accuracy", "reference"): 0.9, ("accuracy", "current"): 0.6, ("f1", "reference"): 0.9}),
        ("performance", "dropped", {("accuracy", "reference"): 0.9, ("accuracy", "current"): 0.8}),
        ("together", "large", {("area", "current"): 0.7}),
    ],
)
def test_what_was_measured_is_exported_and_shown(aspect: str, state: str, measured: dict[Any, float]) -> None:
    row = reading(state, aspect=aspect)
    assert figures(aspect, row.data["measured"]) == measured
    shown = view(row)
    assert (shown["aspect"], shown["state"], shown["requests"], shown["drifted"]) == (aspect, state, 336, True)
    assert shown["current"][0] > shown["reference"][0]
    assert happened(None, row) is not None


def test_what_is_not_known_is_shown_with_its_reason() -> None:
    (found,) = seen_views({"quality": AspectSeen(None, "nothing was told")})
    assert (found["state"], found["drifted"], found["unread"]) == (None, False, "nothing was told")


def test_all_inputs_together_are_read_where_they_are_asked_for() -> None:
    assert aspects_of(DAYS) == ("quality", "performance")
    assert aspects_of(DAYS.model_copy(update={"together": True}))[-1] == "together"


def test_only_what_is_logged_to_the_store_can_be_read() -> None:
    assert why_not_logged("store:") is None
    assert why_not_logged("postgresql://me@db/tidegate") is None
    assert why_not_logged(None) == "predictions are not logged to the store (predictionLog.sink)"
    assert "logged to jsonl:/x, not to the store" in str(why_not_logged("jsonl:/x"))
