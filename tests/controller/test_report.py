"""The report tells what happened from the events alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.controller.page import html
from tidegate.controller.report import build, markdown
from tidegate.controller.service import merged
from tidegate.rollout import Arm, Phase, Plan, Rollout, Step
from tidegate.store import Event, RevisionRow, RolloutRow

START = datetime(2026, 3, 1, tzinfo=UTC)
COUNTS = {
    "1": {"requests": 285, "errors": 0, "rejections": 0, "slow": 1},
    "2": {"requests": 39, "errors": 5, "rejections": 0, "slow": 0},
}
VERDICT = {"outcome": "fail", "reason": "5 of 39 failed", "signals": [{"reason": "errors: 5 of 39 failed"}]}

REQUEST = {"modelArtifact": {"path": "/v2.onnx"}, "servingRequirements": {}, "analysis": {"alpha": "1%"}}
PROMISED = "with a chance of 1% at most over the whole rollout, for errors, latency and rejections together"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(seq: int, kind: str, seconds: float, **data: Any) -> Event:
    return Event(seq, at(seconds), "churn", 7, 2, kind, f"it is {kind}", data)


def rolled_back(**decision: Any) -> tuple[RolloutRow, RevisionRow, list[Event]]:
    plan = Plan(2, 1, (Step(10, 30.0), Step(100, 30.0)), 2, 2, 5.0, 60.0, 5.0, 3, "pause")
    state = Rollout(plan=plan, phase=Phase.ROLLED_BACK, phase_since=at(20), step=0, reason="5 of 39 failed")
    row = RolloutRow(7, 1, "churn", 1, 2, "rolled_back", 9, state.for_storage(), {}, START, at(20))
    candidate = RevisionRow(1, 2, "ab" * 32, REQUEST, START)
    events = [
        event(1, "preparing", 0, digest="ab"),
        event(2, "baseline", 4, **{"from": "preparing", "weight": 0}),
        event(3, "shifting", 9, **{"from": "baseline", "weight": 10, "step": 0}),
        event(4, "analyzing", 9, **{"from": "shifting", "weight": 10, "step": 0, "split_in_force_ms": 8.5}),
        event(5, "replica_died", 12, restarts=1),
        event(6, "rolling_back", 19, **{"from": "analyzing", "weight": 0, "in_step": COUNTS, "verdict": VERDICT,
                                        "split_observed": {"1": 87.96, "2": 12.04}, "requests": COUNTS, **decision}),
        event(7, "rolled_back", 20, **{"from": "rolling_back", "weight": 0, "split_in_force_ms": 6.25}),
    ]  # fmt: skip
    return row, candidate, events


def test_a_rollback_is_told_with_its_step_its_numbers_and_the_time_to_zero() -> None:
    report = build(*rolled_back())
    assert (report["outcome"], report["decided_by"], report["preparing_seconds"]) == ("rolled_back", "tidegate", 4.0)
    (step,) = report["steps"]
    assert (step["weight"], step["observed_percent"], step["split_in_force_ms"]) == (10, 12.04, 8.5)
    assert (step["seconds"], step["requests"], step["verdict"]["outcome"]) == (10.0, COUNTS, "fail")
    assert report["rollback"]["split_in_force_ms"] == 6.25
    assert report["rollback"]["weight_before"] == 10


def test_what_was_warned_of_when_it_began_is_told() -> None:
    row, candidate, events = rolled_back()
    events[0] = event(1, "preparing", 0, warnings=["throughput: <too much>"])
    report = build(row, candidate, events)
    assert report["warnings"] == ["throughput: <too much>"]
    assert "- warning: throughput: <too much>" in markdown(report)
    assert "<dt>warning</dt><dd>throughput: &lt;too much&gt;</dd>" in html(report)
    assert build(*rolled_back())["warnings"] == []


def test_a_person_who_decided_is_named() -> None:
    assert build(*rolled_back(by="ada"))["decided_by"] == "ada"


def test_the_page_for_people_says_the_same() -> None:
    page = markdown(build(*rolled_back()))
    assert page.startswith("# Rollout 7 of churn: rolled back")
    assert "| 1 | 10 % | 12.0 % | 8.5 ms | 10.0 s | 39 requests, 5 failed, 0 slow |" in page
    assert "at 0 % after 6.25 ms" in page
    assert PROMISED in page


def test_a_rollout_that_was_not_judged_promises_nothing() -> None:
    row, candidate, events = rolled_back()
    report = build(row, candidate, events[:3])
    assert report["promise"] == ""
    assert "healthy candidate" not in markdown(report)


@pytest.mark.parametrize("page", [markdown, html], ids=["markdown", "html"])
def test_an_ab_test_says_how_seldom_a_healthy_arm_is_taken_out(page: Callable[[dict[str, Any]], str]) -> None:
    row, candidate, events = rolled_back()
    plan = Plan(
        2, 1, (Step(50, 0.0, until="person"),), 2, 2, 5.0, 60.0, 5.0, 3, "pause", arms=(Arm(2, 50, "candidate"),)
    )
    state = Rollout(plan=plan, phase=Phase.ROLLED_BACK, phase_since=at(20), step=0, reason="5 of 39 failed")
    report = build(replace(row, state=state.for_storage()), candidate, events)
    assert [arm["name"] for arm in report["arms"]] == ["stable", "candidate"]
    assert page(report).count(PROMISED) == 1


def test_failures_are_told_by_their_status() -> None:
    report = build(*rolled_back())
    report["steps"][0]["requests"] = {"2": {**COUNTS["2"], "failed_as": {"500": 1, "504": 4}}}
    assert "39 requests, 5 failed (4 × 504, 1 × 500), 0 slow" in markdown(report)


@pytest.mark.parametrize("lines", [[], ["Segmentation fault"]])
def test_logs_of_several_replicas_are_merged_by_time(lines: list[str]) -> None:
    first = ['{"at":"2026-01-01T10:00:00","message":"a"}', '{"at":"2026-01-01T10:00:05","message":"c"}', *lines]
    second = ['{"at":"2026-01-01T10:00:01","message":"b"}', '{"at":"2026-01-01T10:00:09","message":"d"}']
    assert merged([first, second]) == [first[0], second[0], first[1], *lines, second[1]]


def test_rejected_requests_are_counted_where_there_were_any() -> None:
    row, candidate, events = rolled_back()
    report = build(row, candidate, events)
    report["steps"][0]["requests"] = {"1": COUNTS["1"], "2": {**COUNTS["2"], "rejections": 3}}
    assert "39 requests, 5 failed, 0 slow, 3 rejected | 285 requests, 0 failed, 1 slow |" in markdown(report)
