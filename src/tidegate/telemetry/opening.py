"""What the options `store:`, `postgresql://…` and `sqlite:PATH` of a prediction log open; see `[project.entry-points]`.

Nothing is connected here: a replica starts whether or not the database is there.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from tidegate.contract.errors import InvalidInput
from tidegate.telemetry.sink import TableSink
from tidegate.telemetry.sqlite import SqliteTable

#: Names the store; it may hold a password.
STORE_VARIABLE = "TIDEGATE_STORE"
_SCHEMES = ("postgresql://", "postgres://")


def store(argument: str) -> TableSink:
    """Return a sink for the store that the environment names.

    Raises:
        InvalidInput: it names none, or there is something behind `store:`.
        Unavailable: psycopg is needed and not installed.
    """
    address = os.environ.get(STORE_VARIABLE, "")
    if argument:
        raise InvalidInput(
            "The sink store: takes nothing.", subject="--prediction-log", expected="store:", got=f"store:{argument}"
        )
    if not address:
        raise InvalidInput(
            f"The prediction log is to go to the store, and {STORE_VARIABLE} does not say where that is.",
            subject=STORE_VARIABLE,
            expected="postgresql://USER@HOST:PORT/DATABASE, or the path of a SQLite file",
            hint=f"set {STORE_VARIABLE}, or name the database: --prediction-log postgresql://…",
        )
    if address.startswith(_SCHEMES):
        return _in_postgresql(address)
    if "://" in address:
        raise InvalidInput(
            f"{STORE_VARIABLE} is the URL of no database that a prediction log can go to.",
            subject=STORE_VARIABLE,
            expected="postgresql://USER@HOST:PORT/DATABASE, or the path of a SQLite file",
        )
    return TableSink(SqliteTable(Path(address)))


def postgresql(argument: str) -> TableSink:
    """Return a sink for the database of `postgresql:ARGUMENT`.

    Raises:
        InvalidInput: it is no URL of a database, or has a password in it.
        Unavailable: psycopg is not installed.
    """
    url = f"postgresql:{argument}"
    try:
        has_password = urlsplit(url).password is not None
    except ValueError:
        has_password = False
    if has_password or "password=" in argument:
        raise InvalidInput(
            "A password in an argument can be read by everybody on this machine.",
            subject="--prediction-log",
            expected="a URL without a password",
            hint=f"use store: with the whole URL in {STORE_VARIABLE}, or name a file with the password in PGPASSFILE",
        )
    return _in_postgresql(url)


def sqlite(argument: str) -> TableSink:
    """Return a sink for a store's SQLite file.

    Raises:
        InvalidInput: there is no path.
    """
    if not argument:
        raise InvalidInput(
            "The sink sqlite needs a path.", subject="--prediction-log", expected="sqlite:PATH", got="sqlite"
        )
    return TableSink(SqliteTable(Path(argument)))


def _in_postgresql(url: str) -> TableSink:
    from tidegate.telemetry.postgresql import PostgresqlTable

    return TableSink(PostgresqlTable(url))
