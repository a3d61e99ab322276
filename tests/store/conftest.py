"""Each test of the store runs on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.postgresql import Postgresql, postgresql
from tidegate.store.address import Address


@pytest.fixture(scope="session")
def server() -> Iterator[Postgresql]:
    with postgresql() as running:
        yield running


@pytest.fixture
def url(server: Postgresql) -> Iterator[URL]:
    """Where a new database of PostgreSQL is, with today's schema."""
    made = server.fresh()
    yield made
    server.drop(made)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Address]:
    """Where a store is that has nothing in it yet."""
    if request.param == "sqlite":
        yield tmp_path / "tidegate.db"
        return
    running: Postgresql = request.getfixturevalue("server")
    url = running.fresh()
    yield url
    running.drop(url)
