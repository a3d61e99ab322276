"""What callers send is read entry by entry; a wrong one costs the others nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.contract.outcomes import BadWhen
from tidegate.controller.outcomes.entries import MOST_ENTRIES, listed, read
from tidegate.store import Told

NOW = 1_764_000_000_000
RULE = BadWhen(labels=("refund", "complaint"), below=3, above=100)


def test_an_outcome_is_bad_or_good_or_judged_by_the_rule_of_the_document() -> None:
    sent = [
        {"request_id": "a", "bad": True},
        {"request_id": "b", "outcome": "refund"},
        {"request_id": "c", "outcome": "kept"},
        {"request_id": "d", "outcome": 2.5},
        {"request_id": "e", "outcome": 101},
        {"request_id": "f", "outcome": 50},
    ]
    told, refused = read(sent, RULE, NOW)
    assert not refused
    assert [one.is_bad for one in told] == [True, True, False, True, True, False]


def test_what_really_was_is_told_alone_or_beside_whether_that_is_bad() -> None:
    actuals = [3, 2.5, "late", False, {"price": 3.5, "class": ["a"]}, [1, None, 0], [{"price": 3}, {"price": 4}]]
    told, refused = read([{"request_id": "a", "actual": one} for one in actuals], None, NOW)
    assert not refused
    assert [(one.is_bad, one.actual) for one in told] == [(None, one) for one in actuals]
    told, refused = read([{"request_id": "a", "actual": 3, "bad": True}], None, NOW)
    assert told == [Told("a", is_bad=True, at=NOW, actual=3)]


def test_without_a_rule_good_and_bad_are_the_only_labels() -> None:
    sent = [{"request_id": "a", "outcome": "bad"}, {"request_id": "b", "outcome": "refund"}]
    told, refused = read(sent, None, NOW)
    assert told == [Told("a", is_bad=True, at=NOW)]
    assert refused[0].index == 1
    assert "badWhen" in refused[0].message


def test_the_time_has_a_zone_and_is_past() -> None:
    sent = [
        {"request_id": "a", "bad": False, "at": "2025-11-24T10:00:00+01:00"},
        {"request_id": "b", "bad": False, "at": "2025-11-24T10:00:00"},
        {"request_id": "c", "bad": False, "at": "2099-01-01T00:00:00Z"},
    ]
    told, refused = read(sent, None, NOW)
    assert told == [Told("a", is_bad=False, at=1_763_974_800_000)]
    assert [one.request_id for one in refused] == ["b", "c"]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "a",
        {},
        {"request_id": 1, "bad": True},
        {"request_id": "", "bad": True},
        {"request_id": "x" * 201, "bad": True},
        {"request_id": "a\nb", "bad": True},
        {"request_id": "a"},
        {"request_id": "a", "bad": True, "outcome": "good"},
        {"request_id": "a", "bad": 1},
        {"request_id": "a", "outcome": None},
        {"request_id": "a", "outcome": float("nan")},
        {"request_id": "a", "outcome": True},
        {"request_id": "a", "outcome": 10**400},
        {"request_id": "\ud800", "bad": True},
        {"request_id": "a", "bad": True, "more": 1},
        {"request_id": "a", "bad": True, "actual": None},
        {"request_id": "a", "bad": True, "actual": float("nan")},
        {"request_id": "a", "actual": [1.0, float("inf")]},
        {"request_id": "a", "actual": 10**400},
        {"request_id": "a", "actual": "x" * 1001},
        {"request_id": "a", "actual": "a\0"},
        {"request_id": "a", "actual": {"\ud800": 1}},
        {"request_id": "a", "actual": [[[[[1]]]]]},
        {"request_id": "a", "actual": []},
        {"request_id": "a", "actual": [0] * 5000},
    ],
)
def test_what_is_no_outcome_is_refused_beside_one_that_is(entry: Any) -> None:
    told, refused = read([entry, {"request_id": "fine", "bad": False}], RULE, NOW)
    assert [one.request_id for one in told] == ["fine"]
    assert [one.index for one in refused] == [0]


@pytest.mark.parametrize("body", [1, "a", None, [], {"outcomes": []}, {"outcomes": {}}, [{}] * (MOST_ENTRIES + 1)])
def test_a_body_that_is_none_is_refused_whole(body: Any) -> None:
    with pytest.raises(InvalidInput):
        listed(body)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from([400, 20_000]).map(lambda bits: -(2**bits))
    | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(("request_id", "bad", "outcome", "actual", "at"), anything))


@given(st.lists(anything | fields, max_size=10))
def test_whatever_is_sent_is_told_or_refused(entries: list[Any]) -> None:
    told, refused = read(entries, RULE, NOW)
    assert len(told) + len(refused) == len(entries)
    # What an answer of the API can hold.
    json.dumps([one.as_dict() for one in refused], ensure_ascii=False, allow_nan=False).encode()
