"""The version of a database's schema: what it must be, what it is, and how a database comes to it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from sqlalchemy import Connection, inspect, select, text

from tidegate.contract.errors import Conflict, InvalidInput, Unavailable
from tidegate.store.address import Address, shown
from tidegate.store.database import Database, asking_engine, postgresql_engine, sqlite_engine
from tidegate.store.definition import create, in_the_way
from tidegate.store.schema import delivery

#: Number of the last of `migrations`.
VERSION = "0003"
#: Kept in SQLite's `user_version`: a Tidegate refuses a file with a larger number than its own. Tables that are only
#: added leave it as it is: an older Tidegate neither sees nor hurts them.
_GENERATION = 2
#: In place of the version of files that say no number; they may lack tables that were added to the first one.
_UNNUMBERED = "0000"
#: Objects that an error names.
_MOST_NAMED = 8


def connected(address: Address) -> Database:
    """Return the database as it is, whatever its version."""
    if isinstance(address, Path):
        return Database(sqlite_engine(address))
    return Database(postgresql_engine(address), asking_engine(address))


def opened(address: Address) -> Database:
    """Return the database with the schema of today.

    A file gets it here, in one transaction, since it is one user's; nothing is written to one that has it, so that a
    controller can start on a disk that is full. In PostgreSQL it is made by who may: `tidegate db`.

    Raises:
        Conflict: tables of others are in the way of its own.
        Unavailable: the database is of a newer Tidegate, cannot be reached, or (PostgreSQL) is not of today.
    """
    database = connected(address)
    try:
        with database.read() as db:
            found, generation = version_of(db), _generation(db)
        if found == VERSION and generation == _GENERATION:
            return database
        if not database.is_sqlite:
            _refuse_other_version(address, found)
        with database.write() as db:
            bring_to_date(db, address)
        database.engine.dispose()  # a connection to what was somebody else's file is not set up as one to ours
    except BaseException:
        database.close()
        raise
    return database


def version_of(db: Connection) -> str | None:
    """Return the version of the schema; None in a database without one, which may have tables of others."""
    if _has(db, "schema_version", "version_num"):
        return db.execute(select(delivery.schema_version.c.version_num)).scalar_one_or_none()
    return _UNNUMBERED if _has(db, "rollouts", "to_revision") else None


def bring_to_date(db: Connection, address: Address) -> tuple[str | None, str]:
    """Make the schema, or bring it to today's; return what version it had and has.

    Raises:
        Conflict: there is no schema of ours, and what others made is called like something of it.
        Unavailable: it is of a newer Tidegate.
    """
    found, generation = version_of(db), _generation(db)
    if (found is not None and found > VERSION) or generation > _GENERATION:
        raise Unavailable(
            "the store was written by a newer Tidegate",
            subject=shown(address),
            expected=f"schema version {VERSION}, generation {_GENERATION}, or older",
            got=f"schema version {found}, generation {generation}",
            hint="upgrade this installation, or point TIDEGATE_HOME at another folder",
        )
    if found is None:
        _refuse_occupied(db, address)
        create(db)
        db.execute(delivery.schema_version.insert().values(version_num=VERSION))
    elif found != VERSION:
        from tidegate.store.migrations.run import migrate

        migrate(db, None if found == _UNNUMBERED else found, VERSION)
    if generation != _GENERATION:
        db.exec_driver_sql(f"PRAGMA user_version = {_GENERATION}")
    return found, VERSION


def _has(db: Connection, table: str, column: str) -> bool:
    """Say whether there is a table of ours: others have tables of these names as well."""
    schema, tables = None if db.dialect.name == "sqlite" else "delivery", inspect(db)
    return tables.has_table(table, schema=schema) and column in {
        one["name"] for one in tables.get_columns(table, schema=schema)
    }


def _refuse_occupied(db: Connection, address: Address) -> None:
    found = in_the_way(db)
    if found:
        raise Conflict(
            "the database has something that is called like what Tidegate makes, and was not made by it",
            subject=shown(address),
            expected="an empty database, or none of these names in it",
            got=", ".join(found[:_MOST_NAMED])
            + (f" and {more} more" if (more := len(found) - _MOST_NAMED) > 0 else ""),
            hint="name another database with --store or TIDEGATE_STORE, or rename these; nothing was changed",
        )


def _generation(db: Connection) -> int:
    return int(db.execute(text("PRAGMA user_version")).scalar_one()) if db.dialect.name == "sqlite" else _GENERATION


def _refuse_other_version(address: Address, found: str | None) -> NoReturn:
    if found is None:
        raise InvalidInput(
            "the database has no tables of Tidegate's",
            subject=shown(address),
            hint="make them, as a role that may: tidegate db init",
        )
    if found > VERSION:
        raise Unavailable(
            "the store was written by a newer Tidegate",
            subject=shown(address),
            expected=f"schema version {VERSION} or older",
            got=f"schema version {found}",
            hint="upgrade this installation",
        )
    raise Unavailable(
        "the store's schema is of an older Tidegate",
        subject=shown(address),
        expected=f"schema version {VERSION}",
        got=f"schema version {found}",
        hint="bring it to date, as a role that may: tidegate db upgrade",
    )
