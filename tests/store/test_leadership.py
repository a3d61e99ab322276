"""One controller of a PostgreSQL database leads; what one writes that no longer does is refused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import URL, event, text

from tests.server.processes import wait_until
from tests.support.elsewhere import elsewhere
from tests.support.ports import kept_port
from tests.support.postgresql import pip_postgresql
from tests.support.rollouts import start
from tidegate.store import Store
from tidegate.store.leadership import Leadership, NoLongerLeading

NOW = datetime(2026, 3, 1, tzinfo=UTC)
#: Within which another is to lead when the machine of the one that led is gone.
SUCCESSION_SECONDS = 10.0


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


def test_a_connection_that_leads_ends_within_seconds_at_either_end_when_the_other_one_is_gone() -> None:
    with pip_postgresql() as server:
        url, port = server.fresh(), kept_port()
        server.listen("127.0.0.1", port, "127.0.0.1/32")
        with closing(Store(url._replace(host="127.0.0.1", port=port, query={}))) as store:
            used: list[Any] = []
            event.listen(store.database.engine, "checkout", lambda connection, *_: used.append(connection))
            assert Leadership(store.database, "a").try_take(NOW)
            session = used[-1]  # the one that leads
            names = ("user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count")
            assert [session.execute(f"SHOW tcp_{name}").fetchone()[0] for name in names] == ["6000", "2", "2", "2"]
            with socket.socket(fileno=socket.dup(session.fileno())) as ours:
                options = ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
                assert [ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, one)) for one in options] == [6000, 2, 2, 2]


def test_another_leads_within_ten_seconds_when_the_network_between_the_leader_and_the_database_is_gone() -> None:
    with elsewhere() as machine, pip_postgresql() as server:
        near = server.fresh()
        server.listen(machine.address, 5432, machine.network, machine.command)
        far = near._replace(host=machine.address, query={})
        with closing(Store(far)) as over_the_cable, closing(Store(near)) as beside_it:
            first, second = Leadership(over_the_cable.database, "a"), Leadership(beside_it.database, "b")
            assert first.try_take(NOW)
            assert first.is_held()
            assert not second.try_take(NOW)
            machine.pull()
            noticed = threading.Event()

            def look() -> None:
                if not first.is_held():
                    noticed.set()

            # It would wait for minutes if the connection did.
            threading.Thread(target=look, daemon=True).start()
            wait_until(lambda: second.try_take(NOW), "the other one leads", SUCCESSION_SECONDS)
            wait_until(noticed.is_set, "the one that led knows", SUCCESSION_SECONDS)
            assert second.led_by() == "b"
