"""Freezes stay on record: who added one, who removed it, and that nobody changes one that is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from tidegate.contract.errors import Conflict, NotFound
from tidegate.store import FreezeRow, Store
from tidegate.store.address import Address
from tidegate.store.schema import delivery

NOW = datetime(2026, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    opened = Store(address)
    yield opened
    opened.close()


def added(store: Store, deployment: str | None = "churn") -> FreezeRow:
    return store.freezes.add(deployment, reason="audit", by="ada", starts_at=NOW, ends_at=NOW + HOUR, now=NOW - HOUR)


def test_what_was_added_is_what_is_read(store: Store) -> None:
    one, all_of_them = added(store), added(store, None)
    assert store.freezes.all() == [one, all_of_them]
    assert one == FreezeRow(1, "churn", "audit", "ada", NOW, NOW + HOUR, NOW - HOUR)


def test_a_freeze_is_removed_once_and_stays_on_record(store: Store) -> None:
    freeze = added(store)
    removed = store.freezes.remove(freeze.id, by="bob", now=NOW)
    assert (removed.removed_by, removed.removed_at) == ("bob", NOW)
    assert store.freezes.all() == [removed]
    with pytest.raises(Conflict, match="removed before, by bob"):
        store.freezes.remove(freeze.id, by="eve", now=NOW)
    with pytest.raises(NotFound, match="no freeze 7"):
        store.freezes.remove(7, by="eve", now=NOW)


def test_the_database_itself_keeps_freezes_and_refuses_one_without_a_span(store: Store) -> None:
    freeze = added(store)
    table = delivery.freezes
    with pytest.raises(IntegrityError, match="stay on record"), store.database.write() as db:
        db.execute(delete(table))
    store.freezes.remove(freeze.id, by="bob", now=NOW)
    with pytest.raises(IntegrityError, match="is over"), store.database.write() as db:
        db.execute(update(table).values(removed_at=None))
    with pytest.raises(IntegrityError):
        store.freezes.add("churn", reason="audit", by="ada", starts_at=NOW, ends_at=NOW, now=NOW)
