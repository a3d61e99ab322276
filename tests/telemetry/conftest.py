"""Each test of a sink runs on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from tests.support.postgresql import Postgresql, postgresql
from tidegate.store.address import Address
from tidegate.store.database import Database
from tidegate.store.versions import bring_to_date, connected
from tidegate.telemetry.opening import STORE_VARIABLE, store
from tidegate.telemetry.sink import TableSink


@pytest.fixture(scope="session")
def server() -> Iterator[Postgresql]:
    with postgresql() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Address]:
    """Where a store is that has nothing in it."""
    if request.param == "sqlite":
        path = tmp_path / "tidegate.db"
        database = connected(path)
        with database.write() as db:
            bring_to_date(db, path)
        database.close()
        yield path
        return
    running: Postgresql = request.getfixturevalue("server")
    url = running.fresh()
    yield url
    running.drop(url)


@pytest.fixture
def database(address: Address) -> Iterator[Database]:
    found = connected(address)
    yield found
    found.close()


def said(address: Address) -> str:
    """Return the address as TIDEGATE_STORE has it."""
    return address.render_as_string(hide_password=False) if isinstance(address, URL) else str(address)


@pytest.fixture
def sink(address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[TableSink]:
    monkeypatch.setenv(STORE_VARIABLE, said(address))
    opened = store("")
    yield opened
    opened.close()


Record = Callable[..., bytes]


def record(request_id: str = "r", **changes: Any) -> bytes:
    """Return a record as the prediction log writes it."""
    document = {
        "at": "2026-11-29T12:00:00.250+00:00",
        "request_id": request_id,
        "deployment": "churn",
        "revision": 3,
        "model": "churn",
        "model_version": "3",
        "rows": 2,
        "inputs": {"age": [41, None], "name": ["Ada", "Bo"]},
        "outputs": {"score": [0.5, 0.25]},
        **changes,
    }
    return json.dumps(document).encode()
