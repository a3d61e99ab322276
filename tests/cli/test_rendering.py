"""What people see of a status, a rollout, an event: the facts, in plain text, whatever is missing."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from tidegate.cli.humanize import ago, duration, percent
from tidegate.cli.output import PLAIN_WIDTH
from tidegate.cli.render import (
    deployments_table,
    event_line,
    revisions_table,
    rollouts_table,
    status_view,
    steps_text,
)
from tidegate.cli.signals import meter, tally_text

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

SIGNAL: dict[str, Any] = {
    "signal": "errors",
    "outcome": "inconclusive",
    "reason": "2 of 210 candidate requests failed, 1 of 4,000 of stable's",
    "candidate": {"requests": 210, "bad": 2},
    "stable": {"requests": 4000, "bad": 1},
    "harm": 0.42,
    "safety": 0.8,
}
ROLLOUT: dict[str, Any] = {
    "id": "17",
    "deployment": "churn",
    "from_revision": 1,
    "to_revision": 2,
    "phase": "analyzing",
    "step_index": 1,
    "steps": [{"weight": 5, "duration_seconds": 60}, {"weight": 25, "duration_seconds": 60}, {"weight": 100}],
    "weight": 25,
    "waiting_for": None,
    "phase_since": (NOW - timedelta(seconds=12)).isoformat(),
    "requests_in_step": {
        "1": {"requests": 4000, "errors": 1, "slow": 3, "rejections": 0},
        "2": {"requests": 210, "errors": 2, "slow": 4, "rejections": 5},
    },
    "reason": "the judge is watching",
    "started_at": (NOW - timedelta(seconds=75)).isoformat(),
    "ended_at": None,
    "verdict": {"outcome": "inconclusive", "reason": "too few requests yet", "signals": [SIGNAL]},
}
STATUS: dict[str, Any] = {
    "name": "churn",
    "url": "http://127.0.0.1:8080/churn",
    "phase": "analyzing",
    "stable": 1,
    "candidate": 2,
    "split_asked": {"1": 75, "2": 25},
    "split_observed": {"1": 74.6, "2": 25.4},
    "replicas": {"1": {"wanted": 2, "ready": 2, "restarts": 0}, "2": {"wanted": 2, "ready": 1, "restarts": 3}},
    "rollout": ROLLOUT,
}


def shown(renderable: RenderableType) -> str:
    """Return what a log would hold of it."""
    console = Console(file=io.StringIO(), width=PLAIN_WIDTH, highlight=False)
    console.print(renderable)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_a_status_shows_split_replicas_steps_and_signals() -> None:
    text = shown(status_view(STATUS, NOW))
    for fact in (
        "churn",
        "http://127.0.0.1:8080/churn",
        "1 stable",
        "2 candidate",
        "74.6 %",
        "25.4 %",
        "2/2",
        "1/2 (3 restarts)",
        "4,000",
        "✓ 5 %  ▶ 25 % (12 s of 1 min)  · 100 %",
        "1 min 15 s",
        "2/210 (1.0 %)",
        "1/4,000 (0.025 %)",
        "████░░░░░░  42 %",
        "too few requests yet",
    ):
        assert fact in text, fact
    assert "\x1b" not in text
    assert "waiting for" not in text


def test_a_status_tells_that_to_go_on_takes_a_reason_as_long_as_there_is_something_to_decide() -> None:
    def told(**rollout: Any) -> str:
        return shown(status_view({**STATUS, "rollout": {**ROLLOUT, **rollout}}, NOW))

    assert 'promote and resume take a reason: --reason "…"' in told(reason_required=True)
    assert "--reason" not in told(reason_required=True, ended_at=NOW.isoformat())
    assert "--reason" not in told(reason_required=False)


def test_a_status_without_a_rollout_or_observations_is_shown_too() -> None:
    text = shown(
        status_view(
            {"name": "new", "url": None, "phase": "preparing", "stable": None, "split_observed": None, "rollout": None},
            NOW,
        )
    )
    assert "preparing" in text


def test_text_that_looks_like_markup_is_shown_as_it_is() -> None:
    rollout = {**ROLLOUT, "reason": "[red]not markup[/red] [/]", "verdict": None}
    assert "[red]not markup[/red] [/]" in shown(status_view({**STATUS, "rollout": rollout}, NOW))


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("promoted", "✓ 5 %  ✓ 25 %  ✓ 100 %"),
        ("rolled_back", "✓ 5 %  ✗ 25 %  · 100 %"),
        ("paused", "✓ 5 %  ▶ 25 %  · 100 %"),
    ],
)
def test_steps_tell_where_a_rollout_stands(phase: str, expected: str) -> None:
    assert steps_text({**ROLLOUT, "phase": phase}, NOW).plain == expected


def test_lists_have_one_line_per_row_when_piped() -> None:
    text = shown(deployments_table([STATUS, {**STATUS, "name": "other"}], NOW, boxed=False))
    lines = text.rstrip().splitlines()
    assert len(lines) == 3
    assert lines[1].split()[0] == "churn"
    assert "1 → 2" in lines[1]
    assert "75 % / 25 %" in lines[1]


def test_a_history_shows_revisions_and_rollouts() -> None:
    digest = "ab" * 32
    history = {
        "revisions": [{"number": 1, "artifact": "/m/churn.skops", "digest": digest, "created_at": NOW.isoformat()}],
        "rollouts": [{**ROLLOUT, "phase": "rolled_back", "ended_at": NOW.isoformat(), "verdict": None}],
    }
    assert "abababababab" in shown(revisions_table(history, NOW, boxed=False))
    told = shown(rollouts_table(history, NOW, boxed=False))
    assert "rolled back" in told
    assert "1 → 2" in told


def test_an_event_is_one_line_with_a_time_that_a_program_can_read() -> None:
    line = event_line(
        {
            "seq": 1,
            "at": "2026-11-23T12:00:00.123456+00:00",
            "deployment": "churn",
            "kind": "analyzing",
            "message": "step 1\nbegan",
            "data": {"weight": 5},
        }
    )
    stamp, rest = line.split(" ", 1)
    assert datetime.fromisoformat(stamp) == NOW
    assert rest == "churn analyzing [5 %] step 1 began"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0421, "42 ms"),
        (4.21, "4.2 s"),
        (42, "42 s"),
        (65, "1 min 05 s"),
        (7260, "2 h 01 min"),
        (93600, "1 d 02 h"),
        (120, "2 min"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "just now"), (-5, "just now"), (12, "12 s ago"), (150, "2 min ago"), (7300, "2 h ago"), (200000, "2 d ago")],
)
def test_times_are_relative(seconds: float, expected: str) -> None:
    assert ago((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(5, "5 %"), (4.95, "4.95 %"), (4.953, "5.0 %"), (0.025, "0.025 %"), (0, "0 %")]
)
def test_percents_have_the_digits_that_matter(value: float, expected: str) -> None:
    assert percent(value) == expected


def test_what_nobody_counted_is_a_dash() -> None:
    assert tally_text({"requests": 0, "bad": 0}) == "-"
    assert meter(None) == "-"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_meter_never_leaves_its_scale(evidence: float) -> None:
    assert len(meter(evidence)) == len(meter(0.0))
