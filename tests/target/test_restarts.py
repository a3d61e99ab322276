"""One at a time: when a replica that is not live may be restarted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.target.restarts import LONGEST_PAUSE_SECONDS, Restarted, may_restart, pause_seconds

restarted = st.builds(Restarted, st.integers(1, 30), st.floats(0, 1e6), st.booleans())


def test_the_first_one_is_restarted_at_once() -> None:
    assert may_restart([], 0.0)


@given(st.lists(restarted, min_size=1, max_size=6))
def test_after_one_that_did_not_help_there_is_a_pause_and_it_ends(unhelpful: list[Restarted]) -> None:
    last = max(one.at for one in unhelpful)
    assert not may_restart(unhelpful, last)
    assert may_restart(unhelpful, last + LONGEST_PAUSE_SECONDS)


@given(st.lists(restarted, max_size=6), restarted)
def test_more_restarts_that_did_not_help_never_shorten_the_pause(before: list[Restarted], one: Restarted) -> None:
    assert pause_seconds([*before, one]) >= pause_seconds(before)


def test_the_pause_doubles_and_is_longest_while_a_restarted_one_is_away() -> None:
    pauses = [pause_seconds([Restarted(times, 0.0, is_back=True)]) for times in (1, 2, 3, 6, 7)]
    assert pauses == [10.0, 20.0, 40.0, 300.0, 300.0]
    assert pause_seconds([Restarted(1, 0.0, is_back=False)]) == LONGEST_PAUSE_SECONDS
