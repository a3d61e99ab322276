"""The store in a file of SQLite: without room, of a newer Tidegate, damaged, of others, opened without a write."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from typer.testing import CliRunner

from tests.support.rollouts import save, start
from tidegate.cli.main import app
from tidegate.contract.errors import Conflict, Unavailable
from tidegate.contract.findings import Level
from tidegate.store import Store
from tidegate.store.administration import check, initialise


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


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage\n" * 1000)


def cut_short(path: Path) -> None:
    Store(path).close()
    path.write_bytes(path.read_bytes()[:20_480])


def without_its_tables(path: Path) -> None:
    Store(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"Z" * 900 + whole[1000:])


@pytest.mark.parametrize("damage", [garbage, cut_short, without_its_tables])
@pytest.mark.parametrize(
    "command",
    ["db init", "db upgrade", "db maintain", "features list", "predictions churn", "drift quality churn"],
)
def test_every_command_says_that_a_file_is_no_store_and_leaves_it(
    tmp_path: Path, damage: Callable[[Path], None], command: str
) -> None:
    path = tmp_path / "tidegate.db"
    damage(path)
    before = path.read_bytes()
    done = CliRunner().invoke(app, [*command.split(), "--store", str(path)], env={"TIDEGATE_HOME": str(tmp_path)})
    assert done.exit_code == 6, done.output
    assert "the store cannot be used" in done.stderr
    assert str(path) in done.stderr
    assert "restore it from a copy" in done.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "told"),
    [(garbage, "file is not a database"), (cut_short, "malformed"), (without_its_tables, "malforme")],
)
def test_the_check_finds_that_a_file_is_damaged(tmp_path: Path, damage: Callable[[Path], None], told: str) -> None:
    path = tmp_path / "tidegate.db"
    damage(path)
    (finding,) = check(path)
    assert (finding.check, finding.level) == ("file", Level.FAIL)
    assert told in finding.reason


def test_the_check_tells_what_else_it_can_of_a_file_of_which_a_page_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.db"
    Store(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:40_960] + b"Z" * 4096 + whole[45_056:])
    found = {finding.check: (finding.level, finding.reason) for finding in check(path)}
    assert found["version"][0] is found["tables"][0] is Level.PASS
    assert found["file"][0] is Level.FAIL
    assert re.match(r"damaged: Page \d+: ", found["file"][1])


def of_others(path: Path, *statements: str) -> bytes:
    """Make a file that is somebody else's; return it."""
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE models (x)", "the table models"),
        ("CREATE TABLE Looks (x)", "the table Looks"),
        ("CREATE TABLE rollouts (x)", "the table rollouts"),
        ("CREATE TABLE schema_version (version)", "the table schema_version"),
        ("CREATE VIEW events AS SELECT 1", "the view events"),
        ("CREATE INDEX predictions_by_request ON other (x)", "the index predictions_by_request"),
    ],
)
@pytest.mark.parametrize("make", [initialise, Store])
def test_a_file_with_something_of_others_called_like_ours_is_refused_and_left(
    tmp_path: Path, make: Callable[[Path], object], statement: str, named: str
) -> None:
    path = tmp_path / "theirs.db"
    before = of_others(path, "CREATE TABLE other (x)", statement)
    with pytest.raises(Conflict) as refusal:
        make(path)
    assert refusal.value.got == named
    assert refusal.value.subject == str(path)
    assert path.read_bytes() == before


def test_tables_of_others_stay_beside_ours(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    of_others(path, "CREATE TABLE other (x)", "INSERT INTO other VALUES (1)")
    store = Store(path)
    start(store)
    with store.database.engine.connect() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert db.exec_driver_sql("SELECT x FROM other").scalar_one() == 1
    store.close()
    assert [str(one) for one in check(path) if one.level is not Level.PASS] == [
        "additions: not of Tidegate's: column other.x, table other"
    ]
