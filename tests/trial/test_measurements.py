"""What one measurement says: by conditions as in Argo, beside stable, and as growth of counters."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.metrics import Compared, Metric, MetricTolerance
from tidegate.trial.measurements import (
    Counters,
    NoNumberError,
    beside_stable,
    by_conditions,
    one_number,
    shown,
)

HTTP = {"url": "http://127.0.0.1:1/"}


def metric(**fields: Any) -> Metric:
    return Metric.model_validate({"name": "m", "http": HTTP, **fields}, by_alias=True, by_name=False)


@pytest.mark.parametrize(
    ("fields", "result", "went"),
    [
        ({"successCondition": "result > 1"}, 2, "success"),
        ({"successCondition": "result > 1"}, 1, "failure"),
        ({"failureCondition": "result > 1"}, 2, "failure"),
        ({"failureCondition": "result > 1"}, 1, "success"),
        ({"successCondition": "result > 9", "failureCondition": "result < 1"}, 10, "success"),
        ({"successCondition": "result > 9", "failureCondition": "result < 1"}, 0, "failure"),
        ({"successCondition": "result > 9", "failureCondition": "result < 1"}, 5, "inconclusive"),
        ({"successCondition": "result > 9", "failureCondition": "result > 5"}, 10, "failure"),
        ({"successCondition": "result > 9"}, "text", "error"),
        ({"failureCondition": "result[0] > 9"}, [], "error"),
    ],
)
def test_conditions_are_those_of_argo(fields: dict[str, str], result: Any, went: str) -> None:
    measured = by_conditions(metric(**fields), result)
    assert measured.went == went
    assert shown(result) in measured.detail


numbers = st.floats(-1e9, 1e9)


@given(numbers, numbers, st.floats(0, 10), st.floats(0, 1e6), st.sampled_from(["increase", "decrease", "either"]))
def test_beside_stable_the_larger_tolerance_and_the_direction_decide(
    candidate: float, stable: float, relative: float, absolute: float, direction: Any
) -> None:
    compared = Compared(direction=direction, tolerance=MetricTolerance(relative=relative, absolute=absolute))
    off, allowed = candidate - stable, max(absolute, relative * abs(stable))
    harm = (off > allowed and direction != "decrease") or (-off > allowed and direction != "increase")
    assert beside_stable(compared, candidate, stable).went == ("failure" if harm else "success")


@pytest.mark.parametrize(
    "result", [None, "1", True, [], [1, 2], [[1]], {}, math.nan, [math.inf], 10**400, ["1"]]
)  # fmt: skip
def test_what_is_not_one_finite_number_is_told(result: Any) -> None:
    with pytest.raises(NoNumberError):
        one_number(result)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_growth_of_counters_adds_up_also_when_they_are_read_apart(looks: list[tuple[int, int, int]]) -> None:
    """Each look brings good and bad events; some of the bad ones are in their own counter before the total has them."""
    last = Counters.of([0, 0], None, is_new=True)
    bad = total = counted_bad = counted = 0
    for good, more, early in [*looks, (0, 0, 0)]:
        bad, total = bad + more, total + good + more
        read = [bad, max(last.total, total - min(early, more))]
        tally, last = Counters.of(read, last, is_new=True).since(last)
        counted_bad, counted = counted_bad + tally.bad, counted + tally.requests
        assert counted == read[1]
        assert counted_bad <= bad
    tally, last = Counters.of([bad, total], last, is_new=True).since(last)
    assert counted + tally.requests == total
    # What was early is counted once there is room for it; a look without events has none.
    left = bad - counted_bad - tally.bad
    tally, _ = Counters.of([bad, total + left], last, is_new=True).since(last)
    assert tally.bad == left


def test_counters_that_were_begun_anew_count_from_zero() -> None:
    last = Counters(5, 100)
    tally, last = Counters.of([1, 10], last, is_new=False).since(last)
    assert (tally.requests, tally.bad) == (10, 1)
    assert last == Counters(1, 10)


def test_a_series_that_is_not_there_yet_is_at_zero_and_one_that_has_gone_is_an_error() -> None:
    assert Counters.of([[], []], None, is_new=True) == Counters(0, 0)
    assert Counters.of([[], [9.9]], Counters(0, 3), is_new=False) == Counters(0, 9)
    with pytest.raises(NoNumberError, match="total: nothing was found"):
        Counters.of([[], []], None, is_new=False)
    with pytest.raises(NoNumberError, match="total: nothing was found"):
        Counters.of([0, []], Counters(0, 3), is_new=True)
    with pytest.raises(NoNumberError, match="bad: nothing was found"):
        Counters.of([[], 7], Counters(2, 3), is_new=True)


@pytest.mark.parametrize("read", [[-1, 5], [1, 1e300], [math.nan, 1], ["a", 1], [0, [1, 2]]])
def test_what_no_counter_can_be_is_an_error(read: list[Any]) -> None:
    with pytest.raises(NoNumberError):
        Counters.of(read, None, is_new=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_a_result_is_shown_in_a_few_words(result: Any) -> None:
    assert 0 < len(shown(result)) <= 200
