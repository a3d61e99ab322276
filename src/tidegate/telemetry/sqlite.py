"""`predictions` in the store's SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from tidegate.telemetry.rows import COLUMNS, Row
from tidegate.telemetry.sink import Away

_INSERT = f"INSERT INTO predictions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 -- names of ours
_SECONDS_TO_WAIT = 2.0
#: How the names of errors begin that pass: others write, the disk is full, the file is not there yet.
_PASSING = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")


class SqliteTable:
    """The table in one file, which the controller makes; for one thread."""

    def __init__(self, path: Path) -> None:
        self._uri = f"file:{quote(str(path.absolute()))}?mode=rw"
        self._connection: sqlite3.Connection | None = None

    def put(self, rows: Sequence[Row]) -> None:
        """Write rows; see `sink.PredictionTable`."""
        values = [_values(row) for row in rows]
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_INSERT, values)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorname or "").startswith(_PASSING):
                raise Away(str(error)) from error
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            # It is made in the log's thread or not, and closed in it.
            connection = sqlite3.connect(
                self._uri, uri=True, timeout=_SECONDS_TO_WAIT, isolation_level=None, check_same_thread=False
            )
            # As the store's own connections: the controller alone moves the log into the file.
            for pragma in ("synchronous = NORMAL", "wal_autocheckpoint = 0"):
                connection.execute(f"PRAGMA {pragma}")
            self._connection = connection
        return self._connection


def _values(row: Row) -> tuple[object, ...]:
    at = datetime.fromisoformat(row.at).astimezone(UTC).isoformat(timespec="microseconds")
    return (at, *row[1:5], row.inputs.decode(), row.outputs.decode())
