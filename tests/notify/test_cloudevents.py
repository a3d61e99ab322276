"""What a webhook gets is a CloudEvent 1.0."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegate.notify import cloud_event
from tidegate.notify.message import message

EVENT = {
    "seq": 41,
    "at": "2026-03-01T12:00:00.000001+00:00",
    "deployment": "churn",
    "rollout": 7,
    "revision": 2,
    "kind": "promoted",
    "message": "asked & done",
    "data": {"phase": "promoted", "weight": 100, "message": "not this one"},
}


def test_the_required_attributes_are_there_and_the_data_says_what_happened() -> None:
    event = cloud_event(EVENT, "an-id", "promoted")
    assert (event["specversion"], event["id"], event["type"]) == ("1.0", "an-id", "tidegate.rollout.promoted")
    assert (event["source"], event["subject"]) == ("/tidegate/deployments/churn", "rollouts/7")
    assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert event["data"] == {
        "deployment": "churn",
        "rollout": "7",
        "revision": 2,
        "kind": "promoted",
        "message": "asked & done",
        "phase": "promoted",
        "weight": 100,
    }
    # Names of attributes: lower-case letters and digits (specification, "Naming conventions").
    assert all(re.fullmatch("[a-z0-9]+", name) for name in event)


@given(seqs=st.lists(st.integers(0, 2**63 - 1), min_size=2))
def test_sequences_sort_as_the_events_happened(seqs: list[int]) -> None:
    texts: list[Any] = [cloud_event({**EVENT, "seq": seq}, "x", "step")["sequence"] for seq in seqs]
    assert [int(text) for text in sorted(texts)] == sorted(seqs)


def test_a_message_says_what_and_why_and_what_to_type() -> None:
    title, body, tone = message({**EVENT, "kind": "paused"}, "waiting")
    assert title == "churn: rollout of revision 2 waits"
    assert body.splitlines()[0] == "asked & done"
    assert "tidegate promote churn" in body
    assert "tidegate report 7" in body
    assert tone == "warning"


def test_harm_that_shows_after_the_end_says_how_to_return() -> None:
    title, body, tone = message({**EVENT, "kind": "harm_after_end", "revision": None}, "harm-after-end")
    assert title == "churn: outcomes show harm after the rollout's end"
    assert "tidegate rollback churn" in body
    assert tone == "failure"


def test_drift_in_an_aspect_is_named_by_it_and_drift_of_columns_is_not() -> None:
    said = {"message": "answers are less right", "revision": 4, "rollout": None}
    quality = {**EVENT, **said, "kind": "drifted", "data": {"aspect": "quality"}}
    assert message(quality, "drifted")[0] == "churn: quality of revision 4 has drifted"
    assert message(quality, "drift-over")[0] == "churn: quality of revision 4 is as in its reference again"
    assert message({**quality, "data": {}}, "drifted")[0] == "churn: what revision 4 is asked or answers has drifted"
