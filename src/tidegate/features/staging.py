"""Rows on their way: temporary tables of one connection, filled without holding any lock of the store.

They vanish with the connection, so a process that is killed leaves nothing of them. PostgreSQL gets rows by COPY.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, Text, text
from sqlalchemy.schema import CreateTable, DropTable

from tidegate.contract.errors import Unavailable
from tidegate.store.database import Database
from tidegate.store.schema.types import Big, Moment, Searched

#: Rows are sent when there are this many, or this many characters of them.
ROWS, CHARACTERS = 2_000, 4_000_000
#: How long one statement over all rows, or waiting for another load of the view, may take.
PATIENCE = "15min"

_temporary = MetaData()
vectors = Table(
    "tidegate_staged_vectors",
    _temporary,
    Column("position", Big, nullable=False),
    Column("entity", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("vector", Searched, nullable=False),
    prefixes=["TEMPORARY"],
)
refusals = Table(
    "tidegate_staged_refusals",
    _temporary,
    Column("position", Big, nullable=False),
    Column("entity", Text, nullable=False),
    Column("vector", Text, nullable=False),
    Column("reason", Text, nullable=False),
    prefixes=["TEMPORARY"],
)
labels = Table(
    "tidegate_staged_labels",
    _temporary,
    Column("position", Big, nullable=False),
    Column("entity", String, nullable=False),
    Column("at", Moment, nullable=False),
    prefixes=["TEMPORARY"],
)
#: For each label the vector that was found: its key in the history, None for none.
matches = Table(
    "tidegate_staged_matches",
    _temporary,
    Column("position", Big, nullable=False),
    Column("entity", String, nullable=False),
    Column("found_at", Moment),
    Column("found_written_at", Moment),
    prefixes=["TEMPORARY"],
)


@contextmanager
def staging(database: Database, *tables: Table) -> Iterator[Connection]:
    """Open a connection with these tables, empty. What was not committed when the block is left is undone."""
    with database.engine.connect() as connection:
        try:
            with connection.begin():
                for table in tables:
                    connection.execute(CreateTable(table))
            yield connection
            with connection.begin():
                for table in tables:
                    connection.execute(DropTable(table))
        except BaseException:
            # To close it is the one way that works whatever state it is in.
            connection.invalidate()
            raise


def be_patient(connection: Connection) -> None:
    """Let statements of this transaction take as long as many rows need."""
    if connection.dialect.name == "postgresql":
        for name in ("statement_timeout", "lock_timeout"):
            connection.execute(text(f"SET LOCAL {name} = '{PATIENCE}'"))


def analyse(connection: Connection, table: Table) -> None:
    """Let the planner know how many rows there are: temporary tables are nobody else's business."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ANALYZE {table.name}"))


class Filling:
    """Fills a table in parts, each a transaction of its own, so that none waits for a slow source.

    Args:
        table: one of this module.
    """

    def __init__(self, connection: Connection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._waiting: list[tuple[Any, ...]] = []
        self._characters = 0

    def add(self, *row: Any) -> None:
        """Add a row, in the order of the table's columns."""
        self._waiting.append(row)
        self._characters += sum(len(cell) for cell in row if isinstance(cell, str))
        if len(self._waiting) >= ROWS or self._characters >= CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if not self._waiting:
            return
        rows, self._waiting, self._characters = self._waiting, [], 0
        names = [column.name for column in self._table.columns]
        with self._connection.begin():
            if self._connection.dialect.name == "postgresql":
                _copy(self._connection, self._table.name, names, rows)
                return
            marks = ", ".join("?" * len(names))
            self._connection.exec_driver_sql(
                f"INSERT INTO {self._table.name} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 -- of this module
                [tuple(self._plain(cell) for cell in row) for row in rows],
            )

    def _plain(self, cell: Any) -> Any:
        return Moment().process_bind_param(cell, self._connection.dialect) if isinstance(cell, datetime) else cell


def _copy(connection: Connection, table: str, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    import psycopg

    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise Unavailable(
            f"the store did not take the rows: {(str(error).strip().splitlines() or [''])[0]}",
            subject=table,
            hint="nothing was written; see that PostgreSQL runs, has room, and lets you make temporary tables",
        ) from error
