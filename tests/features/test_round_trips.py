"""What a look-up costs on the wire: one round trip, however many entities and whatever time it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL

from tests.features.conftest import NOON
from tests.support.postgresql import Postgresql
from tidegate.contract.errors import NotFound
from tidegate.features import FeatureStore

#: After these a client waits for the server: the ends of a question in the extended and in the simple protocol.
_WAITS = re.compile(r"\tF\t\d+\t(Sync|Query)\b")
#: So often a statement is asked until the driver keeps it prepared, which takes a round trip of its own, once.
_UNTIL_PREPARED = 8


@pytest.fixture
def url(server: Postgresql) -> Iterator[URL]:
    made = server.fresh()
    yield made
    server.drop(made)


@pytest.fixture
def round_trips(tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Returns how many round trips there were since it was called before, on connections that were made meanwhile."""
    path = tmp_path / "trace"
    with path.open("w") as written, path.open() as read:

        def begin(connection: Any, _record: Any) -> None:
            connection.pgconn.trace(written.fileno())

        event.listen(Engine, "connect", begin)
        yield lambda: len(_WAITS.findall(read.read()))
        event.remove(Engine, "connect", begin)


def test_a_look_up_is_one_round_trip(url: URL, round_trips: Callable[[], int]) -> None:
    with FeatureStore(url) as store:
        store.create("customers", "customer")
        store.load("customers", [{"customer": number, "at": NOON, "n": number} for number in range(200)])
        some = list(range(100))
        for look in (
            lambda: store.get("customers", [7]),
            lambda: store.get("customers", some),
            lambda: store.get("customers", some, true_at=NOON, known_at=NOON),
        ):
            for _ in range(_UNTIL_PREPARED):
                look()
            assert round_trips() >= _UNTIL_PREPARED
            look()
            assert round_trips() == 1


def test_a_look_up_whose_connection_was_ended_gets_another_one(server: Postgresql, url: URL) -> None:
    with FeatureStore(url) as store:
        store.create("customers", "customer")
        store.load("customers", [{"customer": "1", "at": NOON, "n": 1}])
        for _ in range(3):
            assert store.get("customers", ["1"])["1"].vector == {"n": 1}
            server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'")  # noqa: S608
        with pytest.raises(NotFound, match="no feature view 'others'"):
            store.get("others", ["1"])
