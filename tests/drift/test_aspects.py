"""What the log says of a model: a reading, or one sentence that says why there is none, and never that all is well."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.drift.aspects import (
    AspectReading,
    Read,
    Unread,
    read_performance,
    read_quality,
    read_together,
    rows_with_numbers_or_texts,
)
from tidegate.drift.labelled import Case, Choice
from tidegate.drift.quality import Limits
from tidegate.drift.reading import Policy

START = datetime(2026, 3, 1, tzinfo=UTC)
CHOICE = Choice()


def classified(number: int, seed: int = 1, *, right: bool = True, scores: bool = True) -> list[Case]:
    """Return requests with scores that are calibrated, or that say the contrary of what comes."""
    chance = np.random.default_rng(seed)
    cases = []
    for place, score in enumerate(1 / (1 + np.exp(-chance.normal(0, 2, number)))):
        came = (chance.random() < score) == right
        outputs: dict[str, Any] = {"prediction": ["yes" if score >= 0.5 else "no"]}
        if scores:
            outputs["probabilities"] = [[float(1 - score), float(score)]]
        at = START + timedelta(seconds=place)
        cases.append(Case(at, f"{seed}-{place}", 1, 1, outputs, "yes" if came else "no"))
    return cases


def numbers(number: int, seed: int = 1, off: float = 1.0) -> list[Case]:
    chance = np.random.default_rng(seed)
    return [
        Case(START, f"{seed}-{place}", 1, 1, {"price": [float(value)]}, float(value + chance.normal(0, off)))
        for place, value in enumerate(chance.normal(100, 10, number))
    ]


def quality(reference: list[Case], current: list[Case], choice: Choice = CHOICE) -> Read:
    logged = len(reference) + 50, len(current) + 50
    return read_quality(reference, current, logged, choice, Limits(drop=0.2, rise=0.5))


def performance(reference: list[Case], current: list[Case]) -> Read:
    return read_performance(reference, current, CHOICE, 0.2, 0.01)


def why(found: Read) -> str:
    assert isinstance(found, Unread)
    return found.why


def read(found: Read) -> AspectReading:
    assert isinstance(found, AspectReading)
    json.dumps(found.as_dict(), allow_nan=False)
    return found


def test_answers_as_right_as_before_are_kept_and_wrong_ones_worse() -> None:
    before = classified(800)
    assert read(quality(before, classified(800, 2))).state == "kept"
    found = read(quality(before, classified(300, 3, right=False)))
    assert (found.state, found.requests) == ("worse", 300)
    assert found.said[0].startswith("Worse, and no chance: accuracy")
    assert read(quality(numbers(300), numbers(300, 2, off=3.0))).state == "worse"


@pytest.mark.parametrize(("reference", "current", "words"), [(99, 400, "in the reference"), (400, 99, "since then")])
def test_with_fewer_outcomes_than_it_takes_it_is_said_how_many_there_are(
    reference: int, current: int, words: str
) -> None:
    found = why(quality(classified(reference), classified(current, 2, right=False)))
    assert found == f"what really was is known of 99 of 149 requests that were logged {words}; it takes 100"


def test_what_makes_no_sense_of_the_log_is_said_with_the_field_that_helps() -> None:
    unclear = [case._replace(outputs={"a": [1], "b": [2]}) for case in classified(200)]
    assert why(quality(unclear, unclear)) == (
        "it is not clear which output is the answer; expected one of a, b; name it as drift.quality.answer"
    )
    assert "no output 'offer'" in why(quality(classified(200), classified(200, 2), Choice(answer="offer")))
    strangers = [case._replace(actual="late") for case in classified(200)]
    assert "no actual is a class that is ever answered" in why(quality(strangers, strangers))
    misfits = [case._replace(actual=["yes", "no"]) for case in classified(200)]
    assert "known of 0 of 250" in why(quality(misfits, misfits))


def test_performance_is_expected_of_rows_without_outcomes() -> None:
    known = classified(600)
    unknown = [case._replace(actual=None) for case in classified(600, 2)]
    assert read(performance(known, unknown)).state == "kept"
    unsure = [
        case._replace(outputs={"prediction": ["yes"], "probabilities": [[0.48, 0.52]]}, actual=None) for case in unknown
    ]
    assert read(performance(known, unsure)).state == "dropped"


@pytest.mark.parametrize(
    ("known", "recent", "words"),
    [
        (classified(400), [], "nothing was answered"),
        (classified(99), classified(400, 2), "known of 99 requests of the reference; it takes 100"),
        (numbers(400), numbers(400, 2), "answers are numbers"),
        (classified(400, scores=False), classified(400, 2, scores=False), "no scores of the classes"),
    ],
)
def test_where_nothing_can_be_expected_it_is_said_why(known: list[Case], recent: list[Case], words: str) -> None:
    assert words in why(performance(known, recent))


def test_outcomes_of_one_kind_alone_do_not_tell_what_scores_mean() -> None:
    known = [case._replace(actual="yes") for case in classified(400)]
    assert "10 of each outcome" in why(performance(known, classified(400, 2)))


def test_inputs_that_go_together_in_another_way_are_seen_although_each_is_as_before() -> None:
    chance = np.random.default_rng(3)
    first, noise = chance.normal(size=(2, 1_000))
    together = [
        {"a": [float(a)], "b": [float(a + b / 3)], "t": [[1.0, 2.0]]} for a, b in zip(first, noise, strict=True)
    ]
    apart = [{**one, "b": [float(-one["b"][0])]} for one in together[500:]]
    found = read(read_together(together[:500], apart, (), Policy()))
    assert (found.state, found.requests) == ("large", 500)
    assert {one["column"] for one in found.data["columns"]} == {"a", "b"}
    assert read(read_together(together[:500], together[500:], (), Policy())).state == "none"
    assert read(read_together(together[:500], apart, ("b",), Policy())).state == "none"


def test_where_inputs_cannot_be_compared_it_is_said_why() -> None:
    rows = [{"a": [1.0]}] * 30
    assert "in the reference" in why(read_together([], rows, (), Policy()))
    assert "within the period" in why(read_together(rows, [{"pixels": [[0.0] * 4]}], (), Policy()))
    assert "too few rows" in why(read_together(rows, rows[:10], (), Policy()))
    assert "no column of the reference" in why(read_together(rows, [{"b": [1.0]}] * 30, (), Policy()))


VALUES = st.one_of(st.none(), st.floats(allow_nan=False), st.text(max_size=3), st.lists(st.floats(), max_size=2))


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.lists(VALUES, max_size=3)), max_size=8),
    st.sets(st.sampled_from("ab")),
)
def test_of_each_request_the_first_row_is_taken_and_no_column_with_lists(
    inputs: list[dict[str, list[Any]]], columns: set[str]
) -> None:
    found = rows_with_numbers_or_texts(inputs, sorted(columns))
    assert not columns or found.keys() <= columns
    for name, values in found.items():
        assert values == [one[name][0] if one.get(name) else None for one in inputs]
        assert not any(isinstance(value, list) for value in values)
