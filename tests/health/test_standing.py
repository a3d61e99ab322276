"""What attempts add up to, without any."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tidegate.health.base import Affects, Attempt, Check, HttpProbe
from tidegate.health.standing import UNTRIED, Standing, after, condition, is_due

PASSED, FAILED = Attempt(passed=True, detail="answered 200"), Attempt(passed=False, detail="answered 500")
USUAL = Check("readiness", "readiness", HttpProbe("/"))

thresholds = st.integers(1, 5)


def after_all(check: Check, attempts: list[bool]) -> Standing:
    standing = UNTRIED
    for number, passed in enumerate(attempts):
        standing = after(check, standing, PASSED if passed else FAILED, float(number))
    return standing


@given(thresholds, thresholds, st.lists(st.booleans(), max_size=40))
def test_a_check_changes_what_it_says_after_so_many_attempts_in_a_row(
    to_pass: int, to_fail: int, attempts: list[bool]
) -> None:
    check = replace(USUAL, success_threshold=to_pass, failure_threshold=to_fail)
    expected: bool | None = None
    for end in range(1, len(attempts) + 1):
        seen = attempts[:end]
        if seen[-to_pass:] == [True] * to_pass:
            expected = True
        if seen[-to_fail:] == [False] * to_fail:
            expected = False
    assert after_all(check, attempts).passing is expected


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_time_of_a_change_is_that_of_the_attempt_that_made_it(attempts: list[bool]) -> None:
    standings = [after_all(USUAL, attempts[:end]) for end in range(len(attempts) + 1)]
    changed = [end - 1 for end in range(1, len(standings)) if standings[end].passing is not standings[end - 1].passing]
    assert standings[-1].since == (float(changed[-1]) if changed else None)


@given(st.lists(st.booleans(), max_size=10))
def test_a_standing_can_be_written_and_read_back(attempts: list[bool]) -> None:
    standing = after_all(USUAL, attempts)
    assert Standing.from_dict(standing.as_dict()) == standing


def test_the_first_attempt_waits_for_the_initial_delay_and_the_next_for_the_period() -> None:
    check = replace(USUAL, affects="liveness", initial_delay_seconds=5.0, period_seconds=10.0)
    assert [is_due(check, UNTRIED, 100.0, now) for now in (104.9, 105.0)] == [False, True]
    tried = replace(UNTRIED, tried_at=105.0, failed=1)
    assert [is_due(check, tried, 100.0, now) for now in (114.9, 115.0)] == [False, True]


def test_readiness_is_tried_more_often_until_it_passes_for_the_first_time() -> None:
    tried = replace(UNTRIED, tried_at=100.0, failed=1)
    assert is_due(USUAL, tried, 0.0, 101.0)
    assert not is_due(USUAL, replace(tried, passing=True), 0.0, 101.0)
    assert not is_due(replace(USUAL, affects="liveness"), tried, 0.0, 101.0)


def test_before_its_first_result_a_replica_is_live_and_not_ready() -> None:
    checks = [replace(USUAL, name="readiness"), Check("liveness", "liveness", HttpProbe("/"))]
    found = condition(checks, {}, started=True)
    assert found.not_live is None
    assert found.not_ready == "readiness has not been tried yet"
    assert found.is_live is False


def test_what_affects_nothing_takes_no_traffic_and_restarts_nothing() -> None:
    check = replace(USUAL, name="drift", affects="nothing")
    found = condition([check], {"drift": after_all(check, [False] * 3)}, started=True)
    assert (found.not_started, found.not_live, found.not_ready) == (None, None, None)


@given(st.sampled_from(["startup", "liveness", "readiness"]))
def test_a_check_that_fails_says_which_and_why(affects: Affects) -> None:
    check = replace(USUAL, name="smoke", affects=affects)
    found = condition([check], {"smoke": after_all(check, [False] * 3)}, started=affects != "startup")
    told = {"startup": found.not_started, "liveness": found.not_live, "readiness": found.not_ready}
    assert told[affects] == "the check smoke fails: answered 500"


def test_a_replica_that_has_not_started_gets_no_traffic() -> None:
    assert condition([], {}, started=False).not_ready == "it has not started yet"
