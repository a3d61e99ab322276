"""Whether to retrain: one reading, and what the caller asks of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.client.sensing import REASONS, Asked, Sensed, require_reasons, sense, sense_aspects, together
from tidegate.contract.errors import InvalidInput

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATES = ("none", "inconclusive", "moderate", "large")


def reading(at: datetime = NOW, requests: int = 1000, **states: str) -> dict[str, Any]:
    columns = [
        {"column": name, "state": state, "psi": 1.0 - nth / 10}
        for nth, (name, state) in enumerate((states or {"age": "large", "kind": "moderate", "city": "none"}).items())
    ]
    return {"at": at.isoformat(), "requests": requests, "columns": columns}


def test_a_column_that_has_drifted_as_far_as_was_asked_is_a_reason() -> None:
    assert sense(reading(), NOW).columns == {"age": 1.0, "kind": 0.9}
    assert sense(reading(), NOW, at_least="large").columns == {"age": 1.0}
    found = sense(reading(age="none", kind="moderate"), NOW, at_least="large")
    assert (found.is_due, found.why) == (False, "no column has drifted (large)")
    assert "drift in age (PSI 1.00), kind (PSI 0.90)" in sense(reading(), NOW).why


def test_columns_that_do_not_count_are_no_reason_and_strangers_are_refused() -> None:
    assert not sense(reading(), NOW, columns=["city"]).is_due
    assert sense(reading(), NOW, columns=["kind"]).columns == {"kind": 0.9}
    with pytest.raises(InvalidInput, match="no column 'town'") as refused:
        sense(reading(), NOW, columns=["town"])
    assert refused.value.expected == "age, kind, city"
    with pytest.raises(InvalidInput, match="no degree"):
        sense(reading(), NOW, at_least="huge")  # type: ignore[arg-type]


def test_few_requests_an_old_reading_and_none_at_all_are_no_reason() -> None:
    assert not sense(None, NOW).is_due
    found = sense(reading(requests=999), NOW, min_requests=1000)
    assert (found.is_due, "999 requests, and 1,000 are asked for" in found.why) == (False, True)
    old = reading(NOW - 2 * HOUR)
    assert sense(old, NOW).is_due
    assert not sense(old, NOW, max_age=HOUR).is_due


def test_after_a_training_nothing_is_due_until_a_reading_of_after_the_cool_down() -> None:
    trained = NOW - 3 * HOUR
    assert sense(reading(), NOW, retrained_at=trained).is_due
    assert sense(reading(), NOW, retrained_at=trained, cool_down=3 * HOUR).is_due
    assert not sense(reading(), NOW, retrained_at=trained, cool_down=4 * HOUR).is_due
    assert not sense(reading(NOW - 4 * HOUR), NOW, retrained_at=trained).is_due


@given(
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(STATES), min_size=1),
    st.sampled_from(["moderate", "large"]),
    st.integers(0, 2000),
)
def test_it_is_due_just_where_something_counts_and_asking_for_more_never_makes_it_due(
    states: dict[str, str], at_least: Any, min_requests: int
) -> None:
    found = sense(reading(**states), NOW, at_least=at_least, min_requests=min_requests)
    counting = {"large"} if at_least == "large" else {"moderate", "large"}
    assert found.is_due == (min_requests <= 1000 and bool(counting & set(states.values())))
    assert set(found.columns) == {name for name, state in states.items() if state in counting} or not found.columns
    if found.is_due:
        assert sense(reading(**states), NOW).is_due


def aspect(name: str = "quality", state: str = "worse", at: datetime = NOW, requests: int = 400) -> dict[str, Any]:
    said = [f"This is said of {name}.", "And this."]
    return {"aspect": name, "state": state, "at": at.isoformat(), "requests": requests, "said": said}


def by_the_log(*readings: dict[str, Any], aspects: Any = REASONS, **asked: Any) -> Sensed:
    return sense_aspects(readings, {}, Asked(NOW, **asked), aspects)


def test_answers_that_are_less_right_are_a_reason_and_those_that_are_kept_are_none() -> None:
    found = by_the_log(aspect(), aspect("performance", "kept"))
    assert (found.is_due, found.why) == (True, "quality is worse: This is said of quality")
    assert [one["aspect"] for one in found.as_dict()["aspects"]] == ["quality"]
    found = by_the_log(aspect(state="inconclusive"), aspect("performance", "kept"))
    assert (found.is_due, found.why) == (False, "quality is inconclusive; performance is kept")


def test_all_inputs_together_count_from_the_degree_on_that_was_asked() -> None:
    moderate = aspect("together", "moderate")
    assert by_the_log(moderate).is_due
    assert not by_the_log(moderate, at_least="large").is_due
    assert not by_the_log(moderate, aspects=["quality"]).is_due


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"min_requests": 401}, "is of 400 requests, and 401 are asked for"),
        ({"max_age": HOUR, "now": NOW + 2 * HOUR}, "which is too long ago"),
        ({"retrained_at": NOW, "cool_down": HOUR}, "until when nothing is due"),
    ],
)
def test_what_speaks_against_a_reading_of_columns_speaks_against_one_of_the_log(asked: Any, words: str) -> None:
    found = sense_aspects([aspect()], {}, Asked(**{"now": NOW, **asked}), REASONS)
    assert (found.is_due, found.aspects) == (False, ())
    assert f"the last reading of quality {words}" in found.why or words in found.why


def test_of_what_nothing_is_known_it_is_said_why_and_not_that_nothing_has_drifted() -> None:
    unread = {"quality": "nobody told", "performance": "nobody told", "together": "no rows"}
    found = sense_aspects([], unread, Asked(NOW), REASONS)
    assert found.why == (
        "nothing is known of quality and performance: nobody told; nothing is known of together: no rows"
    )
    # What was known is, until something newer is.
    assert sense_aspects([aspect()], unread, Asked(NOW), REASONS).is_due


def test_one_reason_is_enough_and_only_what_counts_is_one() -> None:
    columns, none = sense(reading(), NOW), sense(reading(age="none"), NOW)
    assert together(columns, by_the_log(aspect(state="kept"))).why == columns.why
    found = together(none, by_the_log(aspect()))
    assert (found.is_due, found.why, found.reading) == (True, "quality is worse: This is said of quality", none.reading)
    assert together(none, by_the_log(aspect(state="kept"))).why == (
        "no column has drifted (moderate or large); quality is kept"
    )
    assert not together(None, by_the_log()).is_due
    assert require_reasons([]) == REASONS
    with pytest.raises(InvalidInput, match="no reason 'luck'"):
        require_reasons(["luck"])
