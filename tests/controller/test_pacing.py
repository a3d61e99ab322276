"""How long a rollout is left alone between two ticks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.controller.pacing import IDLE_SECONDS, TICK_SECONDS, seconds_to_next
from tidegate.rollout import Phase, Plan, Rollout, Step

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _rollout(phase: Phase, elapsed: float = 0.0, lasts: float = 60.0) -> Rollout:
    begun = NOW - timedelta(seconds=elapsed)
    plan = Plan(
        candidate=2,
        stable=1,
        steps=(Step(weight=10, duration_seconds=lasts),),
        replicas=1,
        stable_replicas=1,
        baseline_seconds=1.0,
        ready_within_seconds=60.0,
        unready_seconds=5.0,
        max_restarts=1,
        on_inconclusive="pause",
    )
    return Rollout.begin(plan, begun).evolve(phase=phase, step=0, phase_since=begun)


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.ANALYZING, Phase.PAUSED}))
def test_where_replicas_or_traffic_change_the_next_tick_is_soon(phase: Phase) -> None:
    assert seconds_to_next(_rollout(phase), 60.0, NOW) == TICK_SECONDS


@given(
    phase=st.sampled_from([Phase.ANALYZING, Phase.PAUSED]),
    elapsed=st.floats(0, 1000),
    lasts=st.floats(0.1, 1000),
    interval=st.floats(0.1, 600),
)
def test_neither_a_look_nor_the_end_of_a_step_comes_late_by_more_than_a_tick(
    phase: Phase, elapsed: float, lasts: float, interval: float
) -> None:
    pause = seconds_to_next(_rollout(phase, elapsed, lasts), interval, NOW)
    assert TICK_SECONDS <= pause < IDLE_SECONDS
    assert pause <= max(TICK_SECONDS, interval / 2)
    if elapsed < lasts:
        assert pause <= max(TICK_SECONDS, lasts - elapsed + 1e-6)


def test_a_step_that_lasts_is_left_alone_for_half_a_second() -> None:
    assert seconds_to_next(_rollout(Phase.ANALYZING), 1.0, NOW) == 0.5
