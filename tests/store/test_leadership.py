"""One controller of a PostgreSQL database leads; what one writes that no longer does is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import URL, text

from tests.server.processes import wait_until
from tests.support.rollouts import start
from tidegate.store import Store
from tidegate.store.leadership import Leadership, NoLongerLeading

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def stores(url: URL) -> Iterator[tuple[Store, Store]]:
    pair = Store(url), Store(url)
    yield pair
    for one in pair:
        one.close()


def test_one_leads_and_another_does_when_it_lets_go(stores: tuple[Store, Store]) -> None:
    first, second = (Leadership(store.database, name) for store, name in zip(stores, ("a", "b"), strict=True))
    assert first.led_by() is None
    assert first.try_take(NOW)
    assert not second.try_take(NOW)
    assert first.is_held()
    assert not second.is_held()
    assert second.led_by() == "a"
    first.release()
    assert second.try_take(NOW)
    assert first.led_by() == "b"


def cut(url: URL, store: Store) -> None:
    """End all connections of this database but the one that asks."""
    with store.database.engine.connect() as db:
        db.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = :name AND pid <> pg_backend_pid()"
            ),
            {"name": url.database},
        )


def test_who_lost_its_connection_and_was_succeeded_can_write_nothing_any_more(
    url: URL, stores: tuple[Store, Store]
) -> None:
    first, second = (Leadership(store.database, name) for store, name in zip(stores, ("a", "b"), strict=True))
    assert first.try_take(NOW)
    start(stores[0])
    cut(url, stores[1])
    wait_until(lambda: second.try_take(NOW), "the other one leads")
    with pytest.raises(NoLongerLeading, match="another controller leads: b"):
        start(stores[0], "other")
    assert not first.is_held()
    start(stores[1], "other")
    assert [one.name for one in stores[0].deployments()] == ["churn", "other"]


def test_who_lost_its_connection_goes_on_when_nobody_came_in_between(url: URL, stores: tuple[Store, Store]) -> None:
    first = Leadership(stores[0].database, "a")
    assert first.try_take(NOW)
    cut(url, stores[1])
    assert not first.is_held()
    term = first.term
    assert first.try_take(NOW)
    assert first.term == term
    start(stores[0])
