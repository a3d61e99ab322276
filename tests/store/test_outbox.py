"""The outbox and its event are one transaction, and older files get the tables that they lack."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from tidegate.notify.schedule import LONGEST_RETRY_AFTER_SECONDS, LONGEST_WAIT_SECONDS
from tidegate.store import Addressee, AttemptRow, NewEvent, RolloutRow, StaleState, Store
from tidegate.store.address import Address
from tidegate.store.outbox import LONGEST_WAIT
from tidegate.store.schema import delivery

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVERYBODY = Addressee("notification", "a", "started", {"name": "a", "url": "http://a/b"})


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    opened = Store(address, lambda _request, _kind: [EVERYBODY])
    yield opened
    opened.close()


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


def test_a_transition_that_is_refused_leaves_no_notification(store: Store) -> None:
    row = start(store)
    store.save_look(row, {"phase": "preparing"}, {})
    told = [NewEvent("promoted", "done")]
    with pytest.raises(StaleState):
        store.save_transition(row, {"phase": "promoted"}, {}, told, NOW, ended=True, promoted=row.to_revision)
    assert [one.event.kind for one in store.outbox.latest(row.deployment_id)] == ["preparing"]


def test_each_receiver_has_one_notification_due_the_oldest(store: Store) -> None:
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


def test_a_settled_notification_stays_and_attempts_are_append_only(store: Store) -> None:
    start(store)
    (one,) = store.outbox.due(NOW)
    store.outbox.record(one, attempt(1, delivered=True), None, NOW)
    assert store.outbox.due(NOW + timedelta(days=9)) == []
    with pytest.raises(IntegrityError):
        store.outbox.record(one, attempt(2, delivered=False), None, NOW)
    with pytest.raises(IntegrityError, match="append-only"), store.database.write() as db:
        db.execute(update(delivery.delivery_attempts).values(delivered=False))


def test_a_clock_that_was_set_back_holds_no_notification_for_long(store: Store) -> None:
    start(store)
    first = store.outbox.due(NOW)[0]
    store.outbox.record(first, attempt(1, delivered=False), NOW + timedelta(seconds=5), NOW)
    assert store.outbox.due(NOW) == []
    assert [one.id for one in store.outbox.due(NOW - timedelta(days=1))] == [first.id]
    assert LONGEST_WAIT.total_seconds() >= max(LONGEST_RETRY_AFTER_SECONDS, LONGEST_WAIT_SECONDS)
