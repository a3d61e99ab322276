"""Deletes rows past retention some at a time, where there is no partition to drop.

Rows are looked for outside of the writes, which are short that way, and by an index where there is one: a look at all
rows of a large table would read all of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection, Integer, Table, delete, func, literal_column, select, true

from tidegate.store.database import Database
from tidegate.store.pace import DELETED_AT_ONCE, Pace, next_piece

#: Rows looked up at once.
_FOUND_AT_ONCE = 10_000
_BY_DEPLOYMENT = ("deployment", "at")


@dataclass(frozen=True)
class Expired:
    """How many rows were deleted, and whether there are more that the pace did not allow."""

    deleted: int
    is_unfinished: bool = False


def delete_rows(database: Database, table: Table, column: Column[datetime], cutoff: datetime, pace: Pace) -> Expired:
    """Delete rows of a SQLite table of before `cutoff`; `column` says when a row is of."""
    rowid = literal_column("rowid", Integer)
    old = column < cutoff
    deleted, piece = 0, DELETED_AT_ONCE
    for some in _found(database, table, rowid, old):
        rest = some
        while rest:
            if pace.rows is not None and deleted >= pace.rows:
                return Expired(deleted, is_unfinished=True)
            pace.between()
            now, rest = rest[:piece], rest[piece:]
            with database.write() as db:
                began = time.monotonic()
                # A number may have been given to another row meanwhile.
                deleted += db.execute(delete(table).where(rowid.in_(now), old)).rowcount
            piece = next_piece(len(now), time.monotonic() - began)
    return Expired(deleted)


def _found(
    database: Database, table: Table, rowid: ColumnElement[int], old: ColumnElement[bool]
) -> Iterator[list[int]]:
    """Yield the numbers of rows to delete; those that were yielded are deleted before it goes on."""
    with database.read() as db:
        parts = list(_parts(db, table))
    for part in parts:
        while True:
            query = select(rowid).select_from(table).where(part, old).limit(_FOUND_AT_ONCE)
            with database.read() as db:
                found = list(db.execute(query).scalars())
            yield found
            if len(found) < _FOUND_AT_ONCE:
                break


def _parts(db: Connection, table: Table) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that have all rows of a table between them: by deployment, where an index begins with it.

    The names are found by going from one to the next in the index, without a look at the rows.
    """
    if not all(name in table.c for name in _BY_DEPLOYMENT):
        yield true()
        return
    column = table.c.deployment
    name = db.execute(select(func.min(column))).scalar_one()
    while name is not None:
        yield column == name
        name = db.execute(select(func.min(column)).where(column > name)).scalar_one()
