"""Whether two answers agree: places, tolerances, and what no tolerance touches."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.judge.agreement import EXACTLY, NOTHING, Allowed, Difference, differences, disagreement

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_an_answer_agrees_with_itself(value: Any) -> None:
    assert list(differences(value, value, EXACTLY)) == []


@given(number=st.floats(-1e6, 1e6), off=st.floats(0, 1), relative=st.floats(0, 0.5), absolute=st.floats(0, 10))
def test_a_number_within_its_tolerance_agrees(number: float, off: float, relative: float, absolute: float) -> None:
    near = number + off * max(absolute, relative * abs(number)) * (1 - 1e-9)
    assert list(differences(number, near, Allowed(absolute, relative))) == []


@pytest.mark.parametrize(
    ("expected", "got", "place"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.5]}, "a[1]"),
        ({"a": {"late": 0.7}}, {"a": {}}, "a.late"),
        (["late"], ["on time"], "[0]"),
        (1.0, 1.02, ""),
        (True, 1, ""),
        (None, 0.0, ""),
        ([1.0], [1.0, 2.0], ""),
        (math.inf, 1e300, ""),
    ],
)
def test_what_differs_is_found_at_its_place(expected: Any, got: Any, place: str) -> None:
    assert [found.place for found in differences(expected, got, Allowed(relative=0.01))] == [place]


def test_numbers_that_are_none_agree_and_a_place_that_is_not_there_is_a_difference() -> None:
    assert list(differences(math.nan, math.nan, EXACTLY)) == []
    (found,) = differences({"a": 1}, {}, EXACTLY)
    assert found.got is NOTHING


def test_outputs_are_compared_each_within_its_own_tolerance() -> None:
    stable, candidate = {"label": ["late"], "score": [0.70]}, {"label": ["late"], "score": [0.72], "new": [1]}
    assert disagreement(stable, candidate, lambda _: Allowed(relative=0.05)) is None
    allowed = {"label": Allowed(1, 1), "score": Allowed(absolute=0.01)}
    assert disagreement(stable, candidate, allowed.__getitem__) == Difference("score[0]", 0.70, 0.72)
