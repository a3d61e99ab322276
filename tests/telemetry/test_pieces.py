"""How long a prediction log pauses between the pieces that it sends to a database."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.telemetry.postgresql import pause_seconds


def test_who_writes_all_the_time_writes_without_a_pause() -> None:
    assert pause_seconds(0.0, 16) == 0.0


def test_who_has_time_pauses_for_some_milliseconds() -> None:
    assert pause_seconds(10.0, 16) == pause_seconds(100.0, 1) == 0.005


@given(st.floats(0, 1e6), st.integers(1, 10_000))
def test_pauses_take_no_more_than_a_quarter_of_the_time_before(idle_seconds: float, pieces: int) -> None:
    assert 0 <= pieces * pause_seconds(idle_seconds, pieces) <= 0.25 * idle_seconds * (1 + 1e-9)
