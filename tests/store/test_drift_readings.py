"""Readings of drift in the store: with their event or not at all, read back newest last, let go of in time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import rollouts
from tidegate.contract.errors import NotFound
from tidegate.store import Addressee, DriftColumn, DriftReading, NewEvent, Store
from tidegate.store.address import Address
from tidegate.store.aspect_readings import AspectRow
from tidegate.store.drift_readings import DriftOrder
from tidegate.store.maintenance import maintain
from tidegate.store.schema.telemetry import drift_readings

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
LONG_AGO = NOW - timedelta(days=1000)


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    opened = Store(address, lambda _request, kind: [Addressee("hook", "ada", kind, {"url": "http://a"})])
    rollouts.finish(opened, rollouts.start(opened))
    yield opened
    opened.close()


def reading(at: datetime = NOW, *, revision: int = 1, name: str = "churn", **psi: float) -> DriftReading:
    columns = tuple(
        DriftColumn(column, 100, value, "large" if value > 0.25 else "none", {"chance": 1e-9, "counts": [1, 2]})
        for column, value in sorted((psi or {"age": 0.5, "kind": 0.1}).items(), key=lambda one: -one[1])
    )
    return DriftReading(at, name, revision, columns, {"state": "large", "look": 1, "drifted": True})


def newest(store: Store, limit: int = 10, **wanted: object) -> list[DriftReading]:
    return store.drift.newest("churn", since=LONG_AGO, limit=limit, **wanted)  # type: ignore[arg-type]


def test_what_was_stored_is_what_is_read_the_largest_first(store: Store) -> None:
    some = [reading(NOW + at * MINUTE) for at in range(3)]
    for one in some:
        store.save_drift(1, one, None)
    assert newest(store) == some
    assert newest(store, limit=2) == some[1:]
    assert store.drift.newest("churn", since=NOW + 2 * MINUTE, limit=10) == some[2:]
    assert store.drift.newest("other", since=LONG_AGO, limit=10) == []


def test_one_column_or_one_revision_is_read_alone(store: Store) -> None:
    store.save_drift(1, reading(NOW, age=0.5, kind=0.1), None)
    store.save_drift(1, reading(NOW + MINUTE, revision=2, kind=0.2), None)
    assert [[column.name for column in one.columns] for one in newest(store, column="age")] == [["age"]]
    assert [one.columns[0].psi for one in newest(store, column="kind")] == [0.1, 0.2]
    assert [one.revision for one in newest(store, revision=2)] == [2]
    assert newest(store, column="nobody") == []


def test_readings_may_be_asked_for_until_a_moment(store: Store) -> None:
    some = [reading(NOW + at * MINUTE) for at in range(3)]
    for one in some:
        store.save_drift(1, one, None)
    assert newest(store, until=NOW + MINUTE) == some[:2]
    assert newest(store, until=NOW - MINUTE) == []


def test_readings_are_found_one_at_a_time_whichever_columns_they_have(store: Store) -> None:
    some = [
        reading(NOW, age=0.5, kind=0.1),
        reading(NOW + MINUTE, zone=0.2),
        reading(NOW + 2 * MINUTE, revision=2, kind=0.2, age=0.1),
    ]
    for one in some:
        store.save_drift(1, one, None)
    store.save_drift(1, reading(NOW + 3 * MINUTE), None)
    with store.database.write() as db:
        db.execute(drift_readings.update().where(drift_readings.c.at > some[-1].at).values(deployment="other"))
        # What the log says stands beside them, and may be called what a column is.
        aspects = [
            (moment, name) for moment in (NOW, NOW + MINUTE / 2, NOW + 9 * MINUTE) for name in ("age", "quality")
        ]
        store.aspects.add(db, [AspectRow(at, "churn", 1, name, "worse", 10, {}) for at, name in aspects])
    moments = [NOW + at * MINUTE / 2 for at in range(-1, 7)]
    with store.drift.in_order("churn") as order:
        for moment in moments:
            assert order.last(moment) == next((one for one in some[::-1] if one.at <= moment), None)
            assert order.first(moment) == next((one for one in some if one.at > moment), None)
    with store.drift.in_order("nobody") as order:
        assert order.last(NOW) is order.first(LONG_AGO) is None


def test_a_reading_is_found_by_the_index_however_many_there_are(tmp_path: Path) -> None:
    store = Store(tmp_path / "tidegate.db")
    rows = [
        {"at": NOW - at * MINUTE, "deployment": "churn", "revision": 1, "column": column, "rows": 1, "psi": 0.1}
        | {"level": "none", "data": {}}
        for at in range(3_000)
        for column in ("age", "kind", "zone")
    ]
    with store.database.write() as db:
        db.execute(drift_readings.insert(), rows)
    steps = []
    with store.database.read() as db:
        driver = db.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_progress_handler(lambda: steps.append(100), 100)
        found = DriftOrder(db, "churn").last(NOW - 1_500 * MINUTE)
        driver.set_progress_handler(None, 0)
    store.close()
    assert found is not None
    assert (found.at, len(found.columns)) == (NOW - 1_500 * MINUTE, 3)
    # A look at each row takes several steps of SQLite's machine.
    assert sum(steps) < len(rows) / 3


def test_a_reading_and_its_event_are_stored_together_and_who_is_told_is_told(store: Store) -> None:
    store.save_drift(1, reading(), NewEvent("drifted", "drift in age", 1, {"look": 1}))
    (event,) = (one for one in store.events(1) if one.kind == "drifted")
    assert (event.at, event.rollout, event.revision, event.data) == (NOW, None, 1, {"look": 1})
    assert [one.event.kind for one in store.outbox.latest(1)][-1] == "drifted"


def test_of_a_deployment_that_is_gone_nothing_is_stored(store: Store) -> None:
    store.delete_deployment("churn", NewEvent("deleted", "gone"), NOW)
    rollouts.start(store)  # another one of the name
    with pytest.raises(NotFound):
        store.save_drift(1, reading(), NewEvent("drifted", "drift"))
    with pytest.raises(NotFound):
        store.save_drift(7, reading(name="nobody"), None)
    assert newest(store) == []


def test_readings_past_retention_go(store: Store) -> None:
    store.save_drift(1, reading(NOW - timedelta(days=100)), None)
    store.save_drift(1, reading(NOW), None)
    report = next(one for one in maintain(store.database, NOW, {"drift_readings": 30}) if one.table == "drift_readings")
    # Where there was a partition for them, they go with it.
    assert report.deleted == (0 if report.dropped else 2)
    assert [one.at for one in newest(store)] == [NOW]
