"""What a login may do that is a member of one role: what the page on PostgreSQL says, in every table, and no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Executable, Table, delete, false, insert, null, select, text, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import ProgrammingError

from tests.support.postgresql import Postgresql
from tidegate.store.database import Database
from tidegate.store.definition import ANALYST, CONTROLLER, SERVING
from tidegate.store.schema import SCHEMAS, features, metadata, telemetry
from tidegate.store.schema.delivery import schema_version
from tidegate.store.versions import connected

TABLES = metadata.sorted_tables
READ, ADD, CHANGE, TAKE_AWAY, EMPTY = "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"
NOT_ALLOWED = "42501"

Deeds = set[tuple[str, str]]


def of(deed: str, *tables: Table) -> Deeds:
    return {(deed, table.fullname) for table in tables}


EVERYTHING = of(READ, *TABLES)
CHANGES = of(ADD, *TABLES) | of(CHANGE, *TABLES) | of(TAKE_AWAY, *TABLES)
OF_THE_SCHEMA = {(deed, table) for deed, table in CHANGES if table == schema_version.fullname}
MAY: dict[str, Deeds] = {
    CONTROLLER: EVERYTHING
    | (CHANGES - OF_THE_SCHEMA - of(CHANGE, telemetry.outcomes) - of(TAKE_AWAY, telemetry.outcomes)),
    SERVING: of(READ, features.feature_views, features.feature_vectors) | of(ADD, telemetry.predictions),
    ANALYST: EVERYTHING,
}


@pytest.fixture(scope="module")
def url(server: Postgresql) -> Iterator[URL]:
    made = server.fresh()
    yield made
    server.drop(made)


@pytest.fixture(params=sorted(MAY))
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def member(server: Postgresql, url: URL, role: str) -> Iterator[Database]:
    """The database as somebody has it who is a member of the role."""
    with server.login(url, role) as login:
        database = connected(login)
        yield database
        database.close()


def statements(table: Table) -> dict[str, Executable]:
    """Return what does each deed to no row: whether one may is asked all the same."""
    column, none = list(table.columns)[-1], false()
    return {
        READ: select(column).where(none),
        ADD: insert(table).from_select([column], select(null()).where(none), include_defaults=False),
        CHANGE: update(table).values({column: None}).where(none),
        TAKE_AWAY: delete(table).where(none),
        EMPTY: text(f"TRUNCATE {table.fullname} CASCADE"),
    }


def is_done(db: Connection, statement: Executable) -> bool:
    """Say whether the database does this for its user, or refuses it for want of a privilege; it is undone."""
    step = db.begin_nested()
    try:
        db.execute(statement)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
            raise
        return False
    finally:
        step.rollback()
    return True


def test_a_member_may_do_to_each_table_what_the_role_is_for_and_nothing_else(member: Database, role: str) -> None:
    with member.engine.connect() as db:
        done = {
            (deed, table.fullname)
            for table in TABLES
            for deed, statement in statements(table).items()
            if is_done(db, statement)
        }
    assert done == MAY[role]


def test_a_member_may_change_no_tables_and_become_nobody_else(member: Database) -> None:
    deeds = [f"CREATE TABLE {schema}.mine ()" for schema in SCHEMAS]
    deeds += [f"ALTER TABLE {table.fullname} ADD COLUMN mine text" for table in TABLES]
    deeds += [f"DROP TABLE {table.fullname} CASCADE" for table in TABLES]
    deeds += ["SET LOCAL ROLE tidegate_owner", "CREATE ROLE mine"]
    with member.engine.connect() as db:
        assert [deed for deed in deeds if is_done(db, text(deed))] == []
