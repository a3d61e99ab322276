"""However a database came to today's schema, it is the same one, and nothing that was in it is lost."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.catalogues import facts_of, of_file
from tests.support.postgresql import Postgresql
from tests.support.rollouts import NOW, finish, start
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.store import NewEvent, Store
from tidegate.store.maintenance import days_kept
from tidegate.store.migrations.run import migrate, newest, statements
from tidegate.store.schema import delivery, telemetry
from tidegate.store.versions import VERSION, bring_to_date, connected, version_of

#: A rollout as a release of version 0001 has written it.
_ROWS = """
INSERT INTO deployments VALUES (1, 'churn', 1, '2026-03-01T12:00:00.000000+00:00', NULL);
INSERT INTO revisions VALUES (1, 1, 'd', '{"name": "churn"}', '2026-03-01T12:00:00.000000+00:00');
INSERT INTO rollouts VALUES (1, 1, NULL, 1, 'promoted', 3, '{"phase": "promoted"}', '{"seen": [1, 2.5]}',
    '2026-03-01T12:00:00.000000+00:00', '2026-03-01T12:05:00.000000+00:00');
INSERT INTO events VALUES (7, '2026-03-01T12:00:00.000000+00:00', 1, 1, 1, 'preparing', 'begun', '{}');
PRAGMA user_version = 1;
"""
_ADDED_LATER = """
INSERT INTO served_requests VALUES (3, 1, 'a', 1, 1700000000000);
INSERT INTO outcomes VALUES (1, 'a', 1, 1700000000000, 1700000000001);
"""
#: What was told to version 0002.
_TOLD = """
INSERT INTO {delivery}deployments (id, name, created_at) VALUES (1, 'churn', '2026-03-01T12:00:00.000000+00:00');
INSERT INTO {delivery}outcomes VALUES (1, 'a', {true}, 1700000000000, 1700000000001);
INSERT INTO {telemetry}observations VALUES ('2026-03-01T12:00:00.000000+00:00', 'b', 'churn', '{{"paid": 12}}');
UPDATE {telemetry}retention SET days = 12 WHERE table_name = 'observations';
"""


def released(path: Path) -> sqlite3.Connection:
    """Return a file with the tables of version 0001."""
    db = sqlite3.connect(path)
    for statement in statements("0001", "sqlite"):
        db.execute(statement)
    return db


def test_the_code_knows_the_last_migration() -> None:
    assert newest() == VERSION


def test_a_released_file_becomes_what_a_new_one_is_and_keeps_its_rows(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with released(old) as db:
        db.executescript(_ROWS + _ADDED_LATER)
    db.close()
    store = Store(old)
    Store(new).close()
    row = store.rollout(1)
    assert (row.phase, row.version, row.evidence, row.started_at) == ("promoted", 3, {"seen": [1, 2.5]}, NOW)
    assert [(one.seq, one.at, one.kind) for one in store.events(1)] == [(7, NOW, "preparing")]
    (known,) = store.told.ripe(1, after=0, until=1_700_000_000_000, window_ms=1000, limit=9)
    assert known.is_bad is True
    finish(store, start(store))
    store.close()
    assert of_file(old) == of_file(new)


@pytest.mark.parametrize("table", ["freezes", "looks", "hook_answers", "served_requests"])
def test_a_released_file_that_lacks_a_table_that_was_added_later_gets_it(tmp_path: Path, table: str) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with released(old) as db:
        db.executescript(_ROWS)
        db.execute(f"DROP TABLE {table}")
    db.close()
    store = Store(old)
    store.add_event(1, 1, NewEvent("x", "y"), NOW)
    assert len(store.events(1)) == 2
    store.close()
    Store(new).close()
    assert of_file(old) == of_file(new)


def test_a_file_whose_upgrade_is_cut_short_is_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with released(old) as db:
        db.executescript(_ROWS)
        db.execute("CREATE TABLE feature_views (id)")  # which the upgrade makes as well
    db.close()
    before = of_tables(old)
    with pytest.raises(Exception, match="feature_views"):
        Store(old)
    assert of_tables(old) == before


def of_tables(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master ORDER BY name")]
    db.close()
    return names


def test_a_database_of_postgresql_that_came_by_migrations_is_what_a_new_one_is(server: Postgresql) -> None:
    migrated, made = server.empty(), server.fresh()
    database = connected(migrated)
    with database.write() as db:
        for statement in statements("0002", "postgresql"):
            db.exec_driver_sql(statement)
        db.execute(delivery.schema_version.insert().values(version_num="0002"))
        migrate(db, "0002", VERSION)
        assert version_of(db) == VERSION
    database.close()
    assert facts_of(migrated) == facts_of(made)
    server.drop(migrated)
    server.drop(made)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_was_told_before_there_was_one_table_of_it_is_kept_and_so_is_for_how_long(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = tmp_path / "old.db" if dialect == "sqlite" else request.getfixturevalue("server").empty()
    words = {"delivery": "", "telemetry": "", "true": "1"}
    if dialect == "postgresql":
        words = {"delivery": "delivery.", "telemetry": "telemetry.", "true": "true"}
    database = connected(address)
    with database.write() as db:
        if database.is_sqlite:
            migrate(db, None, "0002")
        else:
            for statement in statements("0002", dialect):
                db.exec_driver_sql(statement)
            db.execute(delivery.schema_version.insert().values(version_num="0002"))
        for statement in _TOLD.format(**words).strip().split("\n"):
            db.exec_driver_sql(statement)
    with database.write() as db:
        bring_to_date(db, address)
        assert days_kept(db)["outcomes"] == 12
        found = {row.request_id: tuple(row) for row in db.execute(select(telemetry.outcomes))}
    database.close()
    told_at, happened_at = (datetime.fromtimestamp(1_700_000_000 + later, UTC) for later in (0.001, 0))
    assert found == {
        "a": (told_at, "a", "churn", happened_at, True, None),
        "b": (NOW, "b", "churn", NOW, None, {"paid": 12}),
    }


def test_a_database_without_our_tables_or_of_another_version_is_not_touched_and_says_what_to_type(
    server: Postgresql,
) -> None:
    url = server.empty()
    with pytest.raises(InvalidInput, match="tidegate db init"):
        Store(url)
    database = connected(url)
    with database.write() as db:
        bring_to_date(db, url)
    for version, said in (("0001", "tidegate db upgrade"), ("9999", "newer Tidegate")):
        with database.write() as db:
            db.execute(delivery.schema_version.update().values(version_num=version))
        with pytest.raises(Unavailable, match=said):
            Store(url)
    database.close()
    server.drop(url)
