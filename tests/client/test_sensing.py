"""Whether to retrain: one reading, and what the caller asks of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.client.sensing import sense
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
