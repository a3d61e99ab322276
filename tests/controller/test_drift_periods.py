"""What was counted in a period is compared as its rows would be: each once, whatever happened to the controller."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.controller.test_drift_watcher import START, Clock, Place
from tests.drift.test_served import table
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.controller import planning
from tidegate.controller.drift import intervals, periods
from tidegate.controller.drift import watcher as module
from tidegate.controller.drift.periods import Found, Total
from tidegate.controller.drift.watcher import KEEP_SECONDS
from tidegate.drift import Policy, Reference
from tidegate.store import DriftReading

Rows = dict[str, Any]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "datetime", clock)
    made = Place(tmp_path, clock)
    made.deploy(drift=made.request)
    made.pass_by(0)
    yield made
    made.store.close()


def at(seconds: float) -> datetime:
    """The moment that is so many seconds after the deployment was made."""
    return START + timedelta(seconds=1000.0 + seconds)


def found(place: Place, since: float = 0, until: float = 1e6) -> Found:
    with place.store.drift.in_order("churn") as order:
        return periods.found_in(order, at(since), at(until))


def totals(place: Place, since: float = 0, until: float = 1e6, column: str | None = None) -> list[Total]:
    def drift_of(revision: int) -> Any:
        return planning.request_of(place.store.revision(1, revision)).drift

    return periods.totals(found(place, since, until), drift_of, column)


def assert_is_of(total: Total, *parts: Rows) -> None:
    """See that a total says what `drift check` says of the rows, all but the distances of single numbers."""
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    checked = Reference.of(table(0, 5_000)).compare(rows, Policy()).as_dict()
    for one in checked["columns"]:
        one |= {"kolmogorovSmirnov": None, "wasserstein": None}
    assert total.reading.as_dict() == checked


def test_intervals_add_up_to_what_a_check_of_all_their_rows_says(place: Place) -> None:
    parts = [table(seed, 200 + seed, shift=seed / 10) for seed in range(8)]
    for part in parts:
        place.pass_by(11, part)
    (total,) = totals(place)
    assert_is_of(total, *parts)
    assert (total.since, total.until) == (at(0), at(88))
    assert (total.intervals, total.seconds, total.reading.rows) == (8, 88.0, sum(200 + seed for seed in range(8)))
    (some,) = totals(place, 22, 66)
    assert_is_of(some, *parts[2:6])
    (one,) = totals(place, 22, 33)
    assert_is_of(one, parts[2])
    (of_column,) = totals(place, column="amount")
    assert [column.name for column in of_column.reading.columns] == ["amount"]
    with pytest.raises(InvalidInput, match="no reference has a column 'colour'"):
        totals(place, column="colour")


def test_intervals_that_reach_over_an_end_are_left_out_and_told(place: Place) -> None:
    parts = [table(seed, 200) for seed in range(4)]
    for part in parts:
        place.pass_by(11, part)
    (total,) = totals(place, 5, 40)
    assert_is_of(total, *parts[1:3])
    assert (total.since, total.until) == (at(11), at(33))
    assert [one.at for one in found(place, 5, 40).straddling] == [at(11), at(44)]
    assert totals(place, 12, 21) == []
    assert [one.at for one in found(place, 12, 21).straddling] == [at(22)]
    assert found(place, 50, 60) == Found((), (), None)


def test_a_time_without_requests_is_in_no_interval(place: Place) -> None:
    parts = [table(seed, 200) for seed in range(2)]
    place.pass_by(11, parts[0])
    place.pass_by(110)
    place.pass_by(11, parts[1])
    (total,) = totals(place)
    assert_is_of(total, *parts)
    assert (total.until - total.since, total.seconds) == (timedelta(seconds=132), 22.0)


def test_a_controller_that_goes_on_after_a_kill_counts_again_nothing_and_loses_what_was_not_kept(place: Place) -> None:
    parts = [table(seed, 200) for seed in range(5)]
    place.pass_by(11, parts[0])
    place.watcher = place.begun()
    place.pass_by(1)
    place.pass_by(1, parts[1])
    place.pass_by(KEEP_SECONDS - 2, parts[2])
    place.pass_by(0.5, parts[3])
    place.watcher = place.begun()
    place.pass_by(60)
    place.pass_by(11, parts[4])
    (total,) = totals(place)
    assert_is_of(total, *parts[:2], *parts[4:])


def test_what_is_kept_is_taken_over_once(place: Place) -> None:
    first, second = table(1, 200), table(2, 200)
    place.pass_by(1, first)
    place.watcher = place.begun()
    place.pass_by(5)
    kept = place.home.counting("churn").read_bytes()
    place.pass_by(11, second)
    (total,) = totals(place)
    assert_is_of(total, first, second)
    assert total.since == at(0)
    place.watcher = place.begun()
    place.home.counting("churn").write_bytes(kept)
    place.pass_by(1)
    place.pass_by(11, second)
    (total,) = totals(place)
    assert_is_of(total, first, second, second)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"deployment": 1, "revision": 1, "look": 0, "since": 3}'])
def test_what_is_damaged_is_not_taken_over(place: Place, content: bytes) -> None:
    place.watcher = place.begun()
    place.home.counting("churn").parent.mkdir(exist_ok=True)
    place.home.counting("churn").write_bytes(content)
    place.pass_by(1)
    place.pass_by(11, table(1, 200))
    (total,) = totals(place)
    assert_is_of(total, table(1, 200))


def test_a_controller_that_ends_keeps_what_it_has_counted(place: Place) -> None:
    parts = [table(seed, 200) for seed in range(3)]
    place.pass_by(1, parts[0])
    place.pass_by(1, parts[1])

    async def run_and_end() -> None:
        task = asyncio.create_task(place.watcher.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run_and_end())
    place.watcher = place.begun()
    place.pass_by(1)
    place.pass_by(11, parts[2])
    (total,) = totals(place)
    assert_is_of(total, *parts)


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_store_that_fails_costs_no_request_and_counts_none_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, is_stored: bool
) -> None:
    save = place.store.save_drift

    def breaks(*given: Any) -> None:
        if is_stored:
            save(*given)
        raise Unavailable("the connection broke")

    parts = [table(seed, 200) for seed in range(4)]
    place.pass_by(11, parts[0])
    monkeypatch.setattr(place.store, "save_drift", breaks)
    place.pass_by(11, parts[1])
    place.pass_by(1, parts[2])
    monkeypatch.setattr(place.store, "save_drift", save)
    place.pass_by(11)
    place.pass_by(11, parts[3])
    (total,) = totals(place)
    assert_is_of(total, *parts)
    assert total.seconds == 45.0
    assert sum(one["interval"]["requests"] for one in place.readings()) == 800


def test_each_revision_has_a_total_of_its_own_to_its_last_request(place: Place) -> None:
    parts = [table(seed, 200) for seed in range(4)]
    place.pass_by(11, parts[0])
    place.pass_by(3, parts[1])
    place.deploy(drift={**place.request, "moderate": 0.2})
    place.pass_by(1)
    place.pass_by(1)
    place.pass_by(11, parts[2])
    first, second = totals(place)
    assert (first.revision, second.revision) == (1, 2)
    assert_is_of(first, *parts[:2])
    assert second.reading.rows == 200
    assert second.reading.policy.moderate == 0.2
    # The first one serves again, and its counts go on.
    place.deploy(to_revision=1)
    place.pass_by(1)
    place.pass_by(1)
    place.pass_by(11, parts[3])
    first, second = totals(place)
    assert_is_of(first, *parts[:2], parts[3])
    assert second.reading.rows == 200


def test_the_last_reading_of_a_revision_tells_nobody_and_leaves_the_standing(place: Place) -> None:
    place.pass_by(3, table(1, 200, shift=2.0))
    place.deploy()
    place.pass_by(1)
    (reading,) = place.readings()
    assert (reading["state"], reading["drifted"]) == ("large", False)
    assert place.told() == []


def test_readings_from_before_there_were_intervals_are_told_and_no_part(place: Place) -> None:
    parts = [table(seed, 200) for seed in range(3)]
    for part in parts:
        place.pass_by(11, part)
        if part is parts[1]:
            strip(place)
    (total,) = totals(place)
    assert_is_of(total, parts[2])
    assert found(place).uncounted_until == at(22)
    shown = periods.view("churn", at(0), at(100), found(place), totals(place))
    assert shown["uncountedUntil"] == at(22).isoformat()
    assert [one["requests"] for one in shown["totals"]] == [200]


def strip(place: Place) -> None:
    """Make the stored readings such as they were before they kept their intervals."""
    old = place.store.drift.newest("churn", since=START, limit=100)
    with place.store.database.write() as db:
        db.exec_driver_sql("DELETE FROM drift_readings")
        for one in old:
            whole = {
                name: value for name, value in one.whole.items() if name not in (intervals.INTERVAL, intervals.RUN)
            }
            place.store.drift.add(db, DriftReading(one.at, one.deployment, one.revision, one.columns, whole))


def test_a_column_that_was_counted_in_some_intervals_is_not_compared(place: Place) -> None:
    place.pass_by(11, table(1, 200))
    # Texts so long are counted by their hash, which says no level.
    place.pass_by(11, {**table(2, 200), "kind": np.array(["x" * 50] * 200)})
    place.pass_by(11, table(3, 200))
    (total,) = totals(place)
    assert total.reading.skipped == {"kind": "it was counted in 1 of 3 intervals"}
    assert [one.name for one in total.reading.columns] == ["amount"]
    assert sum(total.reading.columns[0].current) == 600
    (alone,) = totals(place, column="kind")
    assert periods.view("churn", at(0), at(99), found(place), [alone])["totals"][0]["state"] == "inconclusive"
