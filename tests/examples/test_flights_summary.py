"""The summary counts what the client saw, and a claim that does not hold is said not to hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights import summary
from examples.flights.load import Record

START = 1_700_000_000.0


def record(at: float = 0.0, *, revision: int | None = 1, status: int | None = 200, latency: float = 5.0) -> Record:
    error = None if status == 200 else f"http_{status}" if status is not None else "timeout"
    return Record(0, START + at, 0.0, latency, status, revision, error)


def event(kind: str, at: float, **data: Any) -> dict[str, Any]:
    moment = datetime.fromtimestamp(START + at, UTC).isoformat()
    return {"kind": kind, "at": moment, "message": kind, "data": data}


TAKEN_BACK = [
    event("preparing", 0),
    event("baseline", 3),
    event("shifting", 8, weight=10),
    event("analyzing", 8.1, weight=10, step=0, split_in_force_ms=2.5),
    event("rolling_back", 12.1, weight=0),
    event("rolled_back", 12.2, weight=0, split_in_force_ms=3.25),
]


def good_report() -> dict[str, Any]:
    return {
        "v2": {"outcome": "promoted"},
        "v3": {"outcome": "rolled_back"},
        "failed_requests": {"1": 0, "2": 0, "3": 12, "none": 0},
        "split_changes_ms": {"max": 4.0, "all": [2.0, 4.0]},
        "controller_kill": {
            "requests": 600,
            "candidate_requests": 61,
            "seen_percent": 10.2,
            "weight": 10,
            "same_processes": True,
            "same_rollout": True,
        },
        "replicas": {"doubled": [], "started": {"1/0": 1, "1/1": 1, "2/0": 1}},
        "processes_left": [],
    }


def test_requests_are_counted_by_the_revision_that_answered() -> None:
    records = [record(), record(latency=7), record(revision=3, status=500), record(revision=None, status=None)]
    counted = summary.traffic_by_revision(records)
    assert {key: (value["requests"], value["failed"]) for key, value in counted.items()} == {
        "1": (2, 0),
        "3": (1, 1),
        "none": (1, 1),
    }
    assert counted["3"]["failed_by_kind"] == {"http_500": 1}
    assert counted["3"]["latency_ms"] is None
    assert counted["1"]["latency_ms"]["max"] == 7


def test_a_failure_without_an_answer_is_blamed_on_nobody_and_not_lost() -> None:
    records = [record(), record(revision=None, status=503), record(revision=2, status=500)]
    assert summary.failed_requests(records, (1, 2, 3)) == {"1": 0, "2": 1, "3": 0, "none": 1}


def test_the_share_is_of_requests_that_left_within_the_time() -> None:
    records = [record(0, revision=2), record(1, revision=2), record(1.5), record(2, revision=2)]
    assert summary.share_of(records, 2, START + 1, START + 2) == (1, 2)


def test_a_step_lasts_from_its_split_in_force_to_the_next_event() -> None:
    assert summary.spans(TAKEN_BACK) == [
        summary.Span(10, pytest.approx(START + 8.1), pytest.approx(START + 12.1))  # type: ignore[arg-type]
    ]
    records = [record(8 + 0.04 * n, revision=3 if n % 10 == 0 else 2) for n in range(100)]
    (step,) = summary.steps_seen(TAKEN_BACK, records, 3)
    assert step["weight"] == 10
    assert step["requests"] == 97
    assert step["candidate"] == 9
    assert step["agrees"]


def test_time_to_zero_traffic_is_when_the_last_request_left_for_the_candidate() -> None:
    records = [record(9, revision=3), record(12.25, revision=3), record(13)]
    assert summary.taken_back(TAKEN_BACK, records, 3) == {
        "time_to_verdict": pytest.approx(4.0),
        "verdict_to_zero_percent": pytest.approx(0.1),
        "verdict_to_last_request": pytest.approx(0.15),
    }


def test_no_request_after_the_verdict_is_zero_seconds() -> None:
    assert summary.taken_back(TAKEN_BACK, [record(9, revision=3)], 3)["verdict_to_last_request"] == 0.0


def test_a_candidate_that_was_not_taken_back_has_no_times() -> None:
    times = summary.taken_back(TAKEN_BACK[:4], [record(9, revision=3)], 3)
    assert times == {"time_to_verdict": None, "verdict_to_zero_percent": None, "verdict_to_last_request": None}


def test_split_changes_are_those_that_were_measured() -> None:
    assert summary.split_changes(TAKEN_BACK) == [2.5, 3.25]


@given(st.integers(1, 99), st.integers(100, 100_000))
def test_the_expected_share_agrees_and_a_very_different_one_does_not(weight: int, requests: int) -> None:
    assert summary.agrees(round(requests * weight / 100), requests, weight)
    assert not summary.agrees(0 if weight > 50 else requests, requests, weight)


def test_a_good_run_bears_out_every_claim() -> None:
    assert all(claim.holds for claim in summary.claims(good_report()))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("v2", {"outcome": "rolled_back"}),
        ("v3", {"outcome": "promoted"}),
        ("failed_requests", {"1": 0, "2": 1, "3": 12, "none": 0}),
        ("failed_requests", {"1": 0, "2": 0, "3": 12, "none": 1}),
        ("failed_requests", {"1": 0, "2": 0, "3": 100, "none": 0}),
        ("split_changes_ms", {"max": 52.0, "all": [2.0, 51.0, 52.0]}),
        ("split_changes_ms", {"max": None, "all": []}),
        ("controller_kill", {**good_report()["controller_kill"], "candidate_requests": 300}),
        ("controller_kill", {**good_report()["controller_kill"], "requests": 0, "candidate_requests": 0}),
        ("controller_kill", {**good_report()["controller_kill"], "same_processes": False}),
        ("controller_kill", {**good_report()["controller_kill"], "same_rollout": False}),
        ("replicas", {"doubled": ["2/0"], "started": {"2/0": 2}}),
        ("replicas", {"doubled": [], "started": {"1/0": 1, "2/0": 2}}),
        ("replicas", {"doubled": [], "started": {}}),
        ("processes_left", ["envoy -c envoy.yaml"]),
    ],
)
def test_each_thing_that_goes_wrong_breaks_exactly_one_claim(part: str, value: dict[str, Any]) -> None:
    claims = summary.claims({**good_report(), part: value})
    assert sum(not claim.holds for claim in claims) == 1


def test_a_run_that_was_kept_makes_no_claim_about_processes_left() -> None:
    report = good_report()
    del report["processes_left"]
    assert not any("process left" in claim.text for claim in summary.claims(report))
