"""Strategies become steps: what each of them asks of traffic and replicas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.rollout import Plan, Step, strategies

counts = st.integers(1, 12)


@given(replicas=counts, stable=counts, surge=st.integers(1, 5), unavailable=st.integers(0, 5))
def test_a_rolling_exchange_stays_within_its_limits_and_ends_with_the_candidate_alone(
    replicas: int, stable: int, surge: int, unavailable: int
) -> None:
    steps = strategies.rolling(
        replicas=replicas, stable_replicas=stable, surge=surge, unavailable=unavailable, hold_seconds=5.0
    )
    most = max(replicas, stable) + surge
    kept = stable
    for step in steps:
        assert step.replicas is not None
        assert step.stable_replicas is not None
        # What a step starts stands beside what the step before has left; one more where there would be no way on.
        assert step.replicas + kept <= max(most, kept + 1)
        ready = step.replicas / replicas + step.stable_replicas / stable
        assert ready >= 1 - (unavailable + 1e-9) / stable
        kept = step.stable_replicas
    assert (steps[-1].weight, steps[-1].replicas, steps[-1].stable_replicas) == (100, replicas, 0)
    Plan(2, 1, steps, replicas, stable, 5.0, 60.0, 5.0, 3, "pause")


@given(
    replicas=counts,
    stable=counts,
    surge=st.integers(1, 5),
    unavailable=st.integers(0, 64),
    needed=st.floats(0, 20),
)
def test_stable_never_has_less_than_its_share_of_the_requests_needs_at_any_point_of_a_rolling_exchange(
    replicas: int, stable: int, surge: int, unavailable: int, needed: float
) -> None:
    steps = strategies.rolling(
        replicas=replicas,
        stable_replicas=stable,
        surge=surge,
        unavailable=unavailable,
        hold_seconds=5.0,
        needed=needed,
    )
    kept, weight, started = stable, 0.0, 0
    least = min(needed, stable)
    for step in steps:
        assert step.replicas is not None
        assert step.stable_replicas is not None
        assert step.replicas > started, "every step goes on"
        # The candidate's start; then the split moves; then stable's go. What a weight is rounded by is no replica.
        for ready, share in ((kept, weight), (kept, step.weight), (step.stable_replicas, step.weight)):
            assert ready >= least * (1 - share / 100) - 1e-3
        kept, weight, started = step.stable_replicas, step.weight, step.replicas
    assert (weight, started, kept) == (100, replicas, 0)
    Plan(2, 1, steps, replicas, stable, 5.0, 60.0, 5.0, 3, "pause")


@given(replicas=counts, stable=counts, surge=st.integers(1, 5), unavailable=st.integers(0, 64))
def test_a_stable_that_needs_all_of_its_replicas_is_exchanged_as_if_none_might_be_missing(
    replicas: int, stable: int, surge: int, unavailable: int
) -> None:
    def steps(unavailable: int, needed: float) -> tuple[Step, ...]:
        return strategies.rolling(
            replicas=replicas,
            stable_replicas=stable,
            surge=surge,
            unavailable=unavailable,
            hold_seconds=5.0,
            needed=needed,
        )

    assert steps(unavailable, stable) == steps(0, 0.0) == steps(0, stable + 3.5)


def test_a_rolling_exchange_lets_as_many_be_missing_as_the_throughput_leaves() -> None:
    def kept(needed: float) -> list[int | None]:
        steps = strategies.rolling(
            replicas=8, stable_replicas=8, surge=2, unavailable=64, hold_seconds=1.0, needed=needed
        )
        return [step.stable_replicas for step in steps]

    assert kept(0.0) == [2, 0]
    assert kept(5.5) == [5, 3, 2, 0]
    assert kept(8.0) == [6, 4, 2, 0]


@given(replicas=counts, stable=counts, surge=st.integers(1, 5), unavailable=st.integers(0, 64))
def test_stable_has_two_replicas_while_it_has_requests_where_the_surge_has_room_for_both(
    replicas: int, stable: int, surge: int, unavailable: int
) -> None:
    steps = strategies.rolling(
        replicas=replicas, stable_replicas=stable, surge=surge, unavailable=unavailable, hold_seconds=5.0
    )
    for step in steps[:-1]:
        assert step.replicas is not None
        assert step.stable_replicas is not None
        room = max(replicas, stable) + surge - (step.replicas + 1)
        assert step.stable_replicas >= min(2, stable, room)


def test_a_rolling_exchange_of_three_with_room_for_two_leaves_no_revision_on_one_replica() -> None:
    steps = strategies.rolling(replicas=3, stable_replicas=3, surge=2, unavailable=0, hold_seconds=3.0)
    assert [(step.replicas, step.stable_replicas) for step in steps] == [(2, 2), (3, 0)]


def test_a_rolling_exchange_of_four_goes_one_by_one_by_default() -> None:
    steps = strategies.rolling(replicas=4, stable_replicas=4, surge=1, unavailable=0, hold_seconds=10.0)
    assert [(step.weight, step.replicas, step.stable_replicas) for step in steps] == [
        (25, 1, 3),
        (50, 2, 2),
        (75, 3, 1),
        (100, 4, 0),
    ]


def test_a_rolling_exchange_without_room_for_one_more_is_refused() -> None:
    with pytest.raises(ValueError, match="surge"):
        strategies.rolling(replicas=2, stable_replicas=2, surge=0, unavailable=1, hold_seconds=1.0)


def test_blue_green_shows_the_candidate_then_switches_and_keeps_stable_warm() -> None:
    steps = strategies.blue_green(preview_seconds=10.0, waits_for_person=True, bake_seconds=600.0)
    assert steps == (Step(0, 10.0, until="time"), Step(0, 0.0, until="person"), Step(100, 600.0, until="time"))


def test_blue_green_may_switch_at_once() -> None:
    steps = strategies.blue_green(preview_seconds=0.0, waits_for_person=False, bake_seconds=60.0)
    assert steps == (Step(100, 60.0, until="time"),)
