"""Waits double, jitter spreads them, and there is an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tidegate.notify.schedule import (
    GIVE_UP_SECONDS,
    LONGEST_RETRY_AFTER_SECONDS,
    LONGEST_WAIT_SECONDS,
    MOST_ATTEMPTS,
    next_attempt,
    wait_seconds,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
chances = st.floats(0, 1, exclude_max=True)


@given(made=st.integers(1, 10_000), chance=chances)
def test_a_wait_is_between_half_and_the_whole_of_its_bound(made: int, chance: float) -> None:
    bound = min(LONGEST_WAIT_SECONDS, 2.0 ** min(made - 1, 30))
    assert bound / 2 <= wait_seconds(made, chance) <= bound


@given(chances=st.lists(chances, min_size=MOST_ATTEMPTS + 1, max_size=MOST_ATTEMPTS + 1))
def test_trying_ends_within_a_day_and_a_number_of_attempts(chances: list[float]) -> None:
    now, made = START, 0
    for chance in chances:
        made += 1
        again = next_attempt(made, START, now, chance)
        if again is None:
            break
        assert again > now
        now = again
    assert made <= MOST_ATTEMPTS
    assert now - START <= timedelta(seconds=GIVE_UP_SECONDS)
    assert made > 40, "a receiver that is away for hours is still tried often"


@given(made=st.integers(1, 20), chance=chances, asked=st.floats(0, 1e9))
def test_a_receiver_may_ask_for_more_time_within_bounds(made: int, chance: float, asked: float) -> None:
    again = next_attempt(made, START, START, chance, asked)
    assert again is not None
    wait = (again - START).total_seconds()
    assert wait_seconds(made, chance) - 1e-3 <= wait <= max(LONGEST_RETRY_AFTER_SECONDS, LONGEST_WAIT_SECONDS) + 1e-3
