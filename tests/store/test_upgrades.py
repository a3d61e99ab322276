"""`tidegate db upgrade` of each released schema, with rows in every table: all of them are there afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Column, Connection, DateTime, Float, Integer, MetaData, Table, select, text
from typer.testing import CliRunner

from tests.support.postgresql import Postgresql
from tests.support.rollouts import NOW
from tidegate.cli.main import app
from tidegate.store.address import Address
from tidegate.store.database import Database
from tidegate.store.migrations.run import migrate, statements
from tidegate.store.schema import SCHEMAS, delivery
from tidegate.store.versions import VERSION, connected

#: Versions before today's, and in which databases they have been.
NUMBERS = [f"{number:04}" for number in range(1, int(VERSION))]
DIALECTS = ("sqlite", "postgresql")
RELEASED = [(dialect, number) for dialect in DIALECTS for number in NUMBERS if statements(number, dialect)]

#: By table and column, what its first and its second row have where constraints ask for more than a type does.
_GIVEN: dict[str, dict[str, tuple[Any, Any]]] = {
    "rollouts": {"phase": ("promoted", "preparing")},
    "notifications": {"state": ("delivered", "pending"), "next_at": (None, NOW)},
    "model_versions": {"stage": ("production", "none")},
    "outcomes": {"bad": (True, False)},
    "delivery_attempts": {"delivered": (True, False)},
}
#: Of which there is one row at most.
_SINGLE = {"leadership"}
_MILLISECONDS = 1_700_000_000_000

#: By name, without the schema; rows in an order of their own.
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=RELEASED, ids="-".join)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Address, str]]:
    """A database as a release has made it, and which version that is."""
    dialect, number = request.param
    server: Postgresql | None = request.getfixturevalue("server") if dialect == "postgresql" else None
    address = tmp_path / "old.db" if server is None else server.empty()
    database = connected(address)
    with database.write() as db:
        make(db, number)
    database.close()
    yield address, number
    if server is not None and not isinstance(address, Path):
        server.drop(address)


def make(db: Connection, number: str) -> None:
    """Make the tables of a version in an empty database."""
    dialect = db.dialect.name
    first = next(one for one in NUMBERS if statements(one, dialect))
    for statement in statements(first, dialect):
        db.exec_driver_sql(statement)
    if dialect == "postgresql":
        db.execute(delivery.schema_version.insert().values(version_num=first))
    if number != first:
        migrate(db, first, number)
    if dialect == "sqlite":
        db.exec_driver_sql(f"PRAGMA user_version = {min(int(number), 2)}")


def tables_of(db: Connection) -> list[Table]:
    """Return the tables that the database says it has, those that others refer to before them."""
    found = MetaData()
    if db.dialect.name == "sqlite":
        found.reflect(db)
        return [table for table in found.sorted_tables if table.name != "schema_version"]
    for schema in SCHEMAS:
        found.reflect(db, schema=schema)
    parts = set(db.execute(text("SELECT relname FROM pg_class WHERE relispartition")).scalars())
    return [table for table in found.sorted_tables if table.name not in parts | {"schema_version"}]


def fill(db: Connection) -> None:
    """Put two rows into each table: one with a value in every column, and one with none where there may be none."""
    for table in tables_of(db):
        for number in (1, 2)[: 1 if table.name in _SINGLE else 2]:
            values = {column.name: value_of(column, place, number) for place, column in enumerate(table.columns)}
            # A column that is named would have JSON's null, which is none of SQL's.
            there = {name: value for name, value in values.items() if value is not None}
            db.execute(table.insert().values(**there))


def value_of(column: Column[Any], place: int, number: int) -> Any:
    """Return what the row of that number, 1 or 2, has in a column.

    Keys are the numbers themselves, so that each row refers to the one of its number.
    """
    table, name, is_file = column.table.name, column.name, column.table.schema is None
    is_moment = name in ("at", "since") or name.endswith("_at")
    moment = NOW + timedelta(minutes=place, seconds=number, microseconds=7)
    if name in _GIVEN.get(table, {}):
        return stored(_GIVEN[table][name][number - 1], is_file=is_file)
    if column.nullable and number == 2:
        return None
    match column.type:
        case JSON():
            return {"of": f"{table}.{name}", "values": [number, 2.5, None, True, "ä"]}
        case Boolean():
            return number == 1
        case DateTime():
            return moment
        case Float():
            return number / 4
        case Integer():
            return _MILLISECONDS + 1000 * place + number if is_moment else number
        case _:
            return stored(moment, is_file=is_file) if is_moment else f"{table} {name} {number}"


def stored(value: Any, *, is_file: bool) -> Any:
    """Return a value as its column gives it back; a file keeps times as text."""
    return value.isoformat(timespec="microseconds") if is_file and isinstance(value, datetime) else value


def rows_of(database: Database) -> Rows:
    with database.read() as db:
        return {table.name: in_order(map(dict, db.execute(select(table)).mappings())) for table in tables_of(db)}


def in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, default=str))


def told_since_0003(before: Rows, *, is_file: bool) -> list[dict[str, Any]]:
    """Return the one table of all that was told, made of the two that there were before."""
    names = {row["id"]: row["name"] for row in before["deployments"]}

    def moment(milliseconds: int) -> Any:
        return stored(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds), is_file=is_file)

    actuals = [
        {
            "at": row["at"],
            "request_id": row["request_id"],
            "deployment": row["deployment"],
            "happened_at": row["at"],
            "bad": None,
            "actual": row["value"],
        }
        for row in before.get("observations", [])
    ]
    judged = [
        {
            "at": moment(row["told_at"]),
            "request_id": row["request_id"],
            "deployment": names[row["deployment_id"]],
            "happened_at": moment(row["at"]),
            "bad": row["bad"],
            "actual": None,
        }
        for row in before["outcomes"]
    ]
    return in_order(actuals + judged)


def after_upgrade(before: Rows, number: str, *, is_file: bool) -> Rows:
    """Return what becomes of rows of a version: they stay, but for what migrations since have moved."""
    expected = dict(before)
    if number < "0003":
        expected["served_outcomes"] = before["outcomes"]
        expected["outcomes"] = told_since_0003(before, is_file=is_file)
        expected.pop("observations", None)
    if number == "0002":
        kept = {row["table_name"]: row["days"] for row in before["retention"]}
        kept["outcomes"] = kept.pop("observations")
        expected["retention"] = in_order({"table_name": name, "days": days} for name, days in kept.items())
    return expected


def test_the_command_brings_every_row_of_every_table_to_today(old: tuple[Address, str]) -> None:
    address, number = old
    is_file = isinstance(address, Path)
    database = connected(address)
    with database.write() as db:
        fill(db)
    before = rows_of(database)
    database.close()
    assert [name for name, rows in before.items() if not rows] == []
    store = str(address) if isinstance(address, Path) else address.render_as_string(hide_password=False)

    def run(*words: str) -> Any:
        result = CliRunner().invoke(app, ["db", *words, "--output", "json"], env={"TIDEGATE_STORE": store})
        return result, json.loads(result.stdout) if result.stdout else None

    result, told = run("upgrade")
    assert result.exit_code == 0, result.output
    assert told["version"] == VERSION
    assert told["found"] == (number if number != "0001" else "0000")

    database = connected(address)
    after = rows_of(database)
    database.close()
    expected = after_upgrade(before, number, is_file=is_file)
    assert {name: after.get(name) for name in expected} == expected
    # What is new since has nothing in it but for how long rows are kept.
    assert [name for name, rows in after.items() if rows and name not in expected] in ([], ["retention"])
    _, checked = run("check")
    assert [one["level"] for one in checked["checks"] if one["check"] == "tables"] == ["pass"]
    assert run("upgrade")[1]["found"] == VERSION
