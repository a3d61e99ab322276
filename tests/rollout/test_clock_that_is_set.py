"""A clock that is set, forward or back, ends no step early and leaves none without an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.rollout.test_rollout_machine import START, UNSURE, in_phase, seen
from tidegate.rollout import ClockSetting, Phase, Rollout, advance

BEFORE = ClockSetting("boot-1", 1000.0)
YEAR = 365 * 86400.0


def set_by(seconds: float) -> ClockSetting:
    return ClockSetting("boot-1", BEFORE.booted_at + seconds)


@given(st.floats(-YEAR, YEAR).filter(lambda jump: abs(jump) > 1), st.floats(0, 29.9))
def test_a_step_takes_as_long_as_it_was_to_whatever_the_clock_says(jump: float, gone: float) -> None:
    rollout = in_phase(Phase.ANALYZING, clock=BEFORE).on_clock(set_by(jump))
    now = START + timedelta(seconds=jump + gone)
    unsure = seen(split={1: 90, 2: 10}, verdict=UNSURE)
    assert advance(rollout, unsure, now).rollout.phase is Phase.ANALYZING
    over = START + timedelta(seconds=jump + 30.1)
    assert advance(rollout, unsure, over).rollout.phase is Phase.PAUSED


@given(st.floats(-YEAR, YEAR).filter(lambda jump: abs(jump) > 1))
def test_a_candidate_without_replicas_is_given_the_same_time(jump: float) -> None:
    down = in_phase(Phase.ANALYZING, clock=BEFORE, unready_since=START).on_clock(set_by(jump))
    nobody = seen(candidate_ready=0, split={1: 90, 2: 10})
    soon, late = (START + timedelta(seconds=jump + gone) for gone in (4.0, 6.0))
    assert advance(down, nobody, soon).rollout.phase is Phase.ANALYZING
    assert advance(down, nobody, late).rollout.phase is Phase.ROLLING_BACK


def test_small_corrections_and_the_time_over_a_reboot_are_left_to_the_clock() -> None:
    rollout = in_phase(Phase.ANALYZING, clock=BEFORE)
    assert rollout.on_clock(set_by(0.01)) is rollout
    booted = ClockSetting("boot-2", 9000.0)
    assert rollout.on_clock(booted) == rollout.evolve(clock=booted)
    unknown = in_phase(Phase.ANALYZING)
    assert unknown.on_clock(BEFORE) == unknown.evolve(clock=BEFORE)


def test_how_the_clock_was_set_is_stored() -> None:
    begun = Rollout.begin(in_phase(Phase.PREPARING).plan, datetime(2026, 3, 1, tzinfo=UTC), BEFORE)
    assert Rollout.from_storage(begun.for_storage()) == begun
