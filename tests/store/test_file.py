"""The store in a file of SQLite: without room, of a newer Tidegate, opened without a write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.support.rollouts import save, start
from tidegate.contract.errors import Unavailable
from tidegate.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "tidegate.db")
    yield opened
    opened.close()


def test_a_store_of_a_newer_tidegate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.db"
    Store(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as db:
        db.exec_driver_sql("PRAGMA user_version = 99")
    engine.dispose()
    with pytest.raises(Unavailable, match="newer Tidegate"):
        Store(path)


def test_a_store_without_room_says_so_changes_nothing_and_goes_on_when_there_is_room(store: Store) -> None:
    row = start(store)

    def limit(pages: int) -> None:
        with store.database.engine.connect() as db:
            db.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    with store.database.engine.connect() as db:
        pages = int(db.exec_driver_sql("PRAGMA page_count").scalar_one())
    limit(pages)
    large = {"phase": "baseline", "text": "x" * 100_000}
    with pytest.raises(Unavailable, match="database or disk is full"):
        save(store, row, large)
    assert store.rollout(row.id) == row
    assert len(store.events(row.deployment_id)) == 1
    limit(1 << 30)
    assert save(store, row, large).phase == "baseline"


def test_a_store_that_is_there_is_opened_without_a_write(tmp_path: Path) -> None:
    """A controller has to start on a full disk, to serve and to say so."""
    path = tmp_path / "tidegate.db"
    Store(path).close()
    before = path.read_bytes()
    again = Store(path)
    log = path.with_name("tidegate.db-wal")
    assert (log.stat().st_size if log.exists() else 0) == 0
    again.close()
    assert path.read_bytes() == before
