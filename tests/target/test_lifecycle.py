"""Decisions over one replica, without a process."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.target.lifecycle import (
    EXIT_LOCKED,
    LONGEST_DELAY_SECONDS,
    SETTLE_SECONDS,
    SETTLED_SECONDS,
    SlotRecord,
    Step,
    after_reboot,
    buried,
    delay_seconds,
    exit_text,
    next_step,
    spawned,
)

GRACE = 10.0


def step(record: SlotRecord, *, alive: bool, wanted: bool, now: float = 1000.0) -> Step:
    return next_step(record, alive=alive, wanted=wanted, now=now, grace_seconds=GRACE)


def test_a_new_replica_is_started() -> None:
    assert step(SlotRecord(), alive=False, wanted=True) is Step.SPAWN


def test_a_living_replica_is_let_live_even_without_a_record_of_its_start() -> None:
    assert step(SlotRecord(), alive=True, wanted=True) is Step.WAIT
    assert step(SlotRecord(spawned_at=1.0), alive=True, wanted=True) is Step.WAIT


def test_a_dead_replica_is_counted_then_started_again_after_its_delay() -> None:
    record = SlotRecord(spawned_at=990.0, pid=1)
    assert step(record, alive=False, wanted=True) is Step.BURY
    after = buried(record, -9, 1000.0)
    assert (after.restarts, after.last_exit, after.spawned_at) == (1, "SIGKILL", None)
    assert step(after, alive=False, wanted=True) is Step.WAIT
    assert step(after, alive=False, wanted=True, now=after.not_before) is Step.SPAWN


def test_the_delay_doubles_up_to_the_longest() -> None:
    assert [delay_seconds(deaths) for deaths in range(1, 9)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
    assert delay_seconds(10**9) == LONGEST_DELAY_SECONDS


def test_a_replica_that_lived_for_long_starts_afresh() -> None:
    record = SlotRecord(spawned_at=0.0, restarts=7, early_deaths=7)
    after = buried(record, 1, SETTLED_SECONDS + 1)
    assert (after.restarts, after.early_deaths) == (8, 1)
    assert after.not_before == pytest.approx(SETTLED_SECONDS + 1 + 0.1)


def test_a_second_copy_that_found_the_lock_taken_is_no_death() -> None:
    after = buried(SlotRecord(spawned_at=1.0), EXIT_LOCKED, 2.0)
    assert (after.restarts, after.early_deaths) == (0, 0)
    assert after.not_before > 2.0


def test_the_reason_of_a_kill_is_the_last_exit() -> None:
    record = SlotRecord(spawned_at=1.0, killed_because="killed: it did not answer for 10 s")
    assert buried(record, -9, 2.0).last_exit == "killed: it did not answer for 10 s"


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit code 0"), (78, "exit code 78"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (None, "gone")]
)
def test_an_exit_is_said_in_words(code: int | None, text: str) -> None:
    assert exit_text(code) == text


def test_an_unwanted_replica_leaves_the_gateway_then_is_asked_then_killed_then_cleared() -> None:
    record = SlotRecord(spawned_at=1.0)
    assert step(record, alive=True, wanted=False) is Step.DRAIN
    record = replace(record, draining_since=1000.0)
    assert step(record, alive=True, wanted=False, now=1000.0) is Step.WAIT
    asked = 1000.0 + 2 * SETTLE_SECONDS
    assert step(record, alive=True, wanted=False, now=asked) is Step.ASK
    record = replace(record, asked_to_end_at=asked)
    assert step(record, alive=True, wanted=False, now=asked + GRACE - 0.1) is Step.WAIT
    assert step(record, alive=True, wanted=False, now=asked + GRACE) is Step.KILL
    assert step(record, alive=False, wanted=False) is Step.CLEAR


def test_a_draining_replica_that_is_wanted_again_ends_first() -> None:
    record = SlotRecord(spawned_at=1.0, draining_since=1000.0, asked_to_end_at=1000.0)
    assert step(record, alive=True, wanted=True) is Step.WAIT
    assert step(record, alive=False, wanted=True) is Step.CLEAR


records = st.builds(
    SlotRecord,
    spawned_at=st.none() | st.floats(0, 2000),
    pid=st.none() | st.integers(1, 10**6),
    restarts=st.integers(0, 100),
    early_deaths=st.integers(0, 100),
    not_before=st.floats(0, 2000),
    last_exit=st.none() | st.text(max_size=5),
    draining_since=st.none() | st.floats(0, 2000),
    asked_to_end_at=st.none() | st.floats(0, 2000),
    killed_at=st.none() | st.floats(0, 2000),
)


@given(records, st.booleans(), st.booleans(), st.floats(0, 3000))
def test_whatever_is_on_record_a_second_copy_is_never_started(
    record: SlotRecord, alive: bool, wanted: bool, now: float
) -> None:
    decided = step(record, alive=alive, wanted=wanted, now=now)
    if alive:
        assert decided not in (Step.SPAWN, Step.BURY, Step.CLEAR)
    else:
        assert decided not in (Step.DRAIN, Step.ASK, Step.KILL)
    if not wanted:
        assert decided is not Step.SPAWN


@given(records, st.none() | st.integers(-15, 255), st.floats(0, 3000))
def test_a_death_never_takes_back_a_count_and_never_waits_longer_than_the_longest(
    record: SlotRecord, code: int | None, now: float
) -> None:
    after = buried(record, code, now)
    assert after.restarts - record.restarts == (0 if code == EXIT_LOCKED else 1)
    assert now < after.not_before <= now + LONGEST_DELAY_SECONDS
    assert spawned(after, 7, now).spawned_at == now


@given(records)
def test_a_record_can_be_written_and_read_back(record: SlotRecord) -> None:
    assert SlotRecord.from_dict(json.loads(json.dumps(record.as_dict()))) == record


def test_a_record_of_another_version_is_read_as_far_as_it_is_known() -> None:
    assert SlotRecord.from_dict({"restarts": 3, "colour": "red"}) == SlotRecord(restarts=3)


def test_a_record_of_an_earlier_boot_holds_nothing_back() -> None:
    """Seconds since that boot mean nothing in this one: a replica must not wait for days, or be let live for them."""
    died = after_reboot(SlotRecord(spawned_at=500_000.0, pid=7, born="1@a", restarts=2, not_before=500_005.0))
    assert (died.pid, died.born, died.restarts) == (None, None, 2)
    assert step(died, alive=False, wanted=True, now=20.0) is Step.BURY
    waiting = after_reboot(SlotRecord(not_before=500_005.0))
    assert step(waiting, alive=False, wanted=True, now=20.0) is Step.SPAWN
    leaving = after_reboot(SlotRecord(spawned_at=1.0, draining_since=500_000.0, asked_to_end_at=500_001.0))
    assert step(leaving, alive=False, wanted=False, now=20.0) is Step.CLEAR
