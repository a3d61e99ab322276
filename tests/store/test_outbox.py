"""The outbox and its event are one transaction, and older files get the tables that they lack."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from tidegate.notify.schedule import LONGEST_RETRY_AFTER_SECONDS, LONGEST_WAIT_SECONDS
from tidegate.store import Addressee, AttemptRow, NewEvent, RolloutRow, StaleState, Store
from tidegate.store.outbox import LONGEST_WAIT

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVERYBODY = Addressee("notification", "a", "started", {"name": "a", "url": "http://a/b"})


def opened(path: Path) -> Store:
    return Store(path / "tidegate.db", lambda _request, _kind: [EVERYBODY])


def start(store: Store, name: str = "churn") -> RolloutRow:
    return store.start_rollout(
        name,
        digest="d" * 64,
        request={"name": name},
        plan_state=lambda stable, candidate: {"phase": "preparing"},
        to_revision=None,
        happened=NewEvent("preparing", "begun"),
        now=NOW,
    )


def attempt(number: int, *, delivered: bool) -> AttemptRow:
    return AttemptRow(number, NOW, 3, delivered, None, "" if delivered else "no")


def test_a_transition_that_is_refused_leaves_no_notification(tmp_path: Path) -> None:
    store = opened(tmp_path)
    row = start(store)
    store.save_look(row, {"phase": "preparing"}, {})
    told = [NewEvent("promoted", "done")]
    with pytest.raises(StaleState):
        store.save_transition(row, {"phase": "promoted"}, {}, told, NOW, ended=True, promoted=row.to_revision)
    assert [one.event.kind for one in store.outbox.latest(row.deployment_id)] == ["preparing"]


def test_each_receiver_has_one_notification_due_the_oldest(tmp_path: Path) -> None:
    store = opened(tmp_path)
    row = start(store)
    store.add_event(row.deployment_id, row.id, NewEvent("x", "y"), NOW)
    start(store, "other")
    assert [(one.event.deployment, one.event.kind) for one in store.outbox.due(NOW)] == [
        ("churn", "preparing"),
        ("other", "preparing"),
    ]
    first = store.outbox.due(NOW)[0]
    store.outbox.record(first, attempt(1, delivered=False), NOW + timedelta(seconds=5), NOW)
    assert [one.event.kind for one in store.outbox.due(NOW)] == ["x", "preparing"]
    assert store.outbox.due(NOW + timedelta(seconds=5))[0].id == first.id


def test_a_settled_notification_stays_and_attempts_are_append_only(tmp_path: Path) -> None:
    store = opened(tmp_path)
    start(store)
    (one,) = store.outbox.due(NOW)
    store.outbox.record(one, attempt(1, delivered=True), None, NOW)
    assert store.outbox.due(NOW + timedelta(days=9)) == []
    with pytest.raises(IntegrityError):
        store.outbox.record(one, attempt(2, delivered=False), None, NOW)
    store.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'tidegate.db'}")
    with pytest.raises(IntegrityError, match="append-only"), engine.begin() as db:
        db.execute(text("UPDATE delivery_attempts SET delivered = 0"))


def test_a_file_from_before_the_outbox_gets_its_tables_and_keeps_its_rows(tmp_path: Path) -> None:
    store = opened(tmp_path)
    row = start(store)
    store.close()
    with sqlite3.connect(tmp_path / "tidegate.db") as db:
        for table in ("delivery_attempts", "notifications", "looks"):
            db.execute(f"DROP TABLE {table}")
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    again = opened(tmp_path)
    assert again.rollout(row.id).phase == "preparing"
    again.add_event(row.deployment_id, row.id, NewEvent("x", "y"), NOW)
    assert [one.event.kind for one in again.outbox.due(NOW)] == ["x"]


def test_a_clock_that_was_set_back_holds_no_notification_for_long(tmp_path: Path) -> None:
    store = opened(tmp_path)
    start(store)
    first = store.outbox.due(NOW)[0]
    store.outbox.record(first, attempt(1, delivered=False), NOW + timedelta(seconds=5), NOW)
    assert store.outbox.due(NOW) == []
    assert [one.id for one in store.outbox.due(NOW - timedelta(days=1))] == [first.id]
    assert LONGEST_WAIT.total_seconds() >= max(LONGEST_RETRY_AFTER_SECONDS, LONGEST_WAIT_SECONDS)
