"""Readings of drift: a row for each column of a reading, and in each what is said of the reading as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from tidegate.store.database import Database
from tidegate.store.schema.telemetry import drift_readings

#: In the `data` of a row, what is said of the whole reading.
_WHOLE = "reading"


@dataclass(frozen=True)
class DriftColumn:
    """One column of a reading.

    Attributes:
        rows: of the current data.
        psi: the population stability index.
        state: what is said of the column.
        data: all else that was measured, in JSON form.
    """

    name: str
    rows: int
    psi: float
    state: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class DriftReading:
    """All columns of a revision, compared with its reference at one time.

    Attributes:
        columns: the largest PSI first.
        whole: what is said of them together, in JSON form.
    """

    at: datetime
    deployment: str
    revision: int
    columns: tuple[DriftColumn, ...]
    whole: Mapping[str, Any]


class DriftReadings:
    """The readings of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, db: Connection, reading: DriftReading) -> None:
        """Add a reading, which has a column at least, within a write."""
        db.execute(
            insert(drift_readings),
            [
                {
                    "at": reading.at,
                    "deployment": reading.deployment,
                    "revision": reading.revision,
                    "column": column.name,
                    "rows": column.rows,
                    "psi": column.psi,
                    "level": column.state,
                    "data": {**column.data, _WHOLE: dict(reading.whole)},
                }
                for column in reading.columns
            ],
        )

    def newest(
        self,
        deployment: str,
        *,
        since: datetime,
        limit: int,
        column: str | None = None,
        revision: int | None = None,
    ) -> list[DriftReading]:
        """Return the newest readings of a deployment from `since` on, oldest first.

        Args:
            limit: how many at most.
            column: with this column alone, and only readings that have it; None for all.
            revision: only of this one; None for all.
        """
        table = drift_readings.c
        # Those without a PSI are no readings of columns: see `aspect_readings`.
        wanted = [table.deployment == deployment, table.at >= since, table.psi.is_not(None)]
        if column is not None:
            wanted.append(table.column == column)
        if revision is not None:
            wanted.append(table.revision == revision)
        with self._database.read() as db:
            times = select(table.at).where(*wanted).distinct().order_by(table.at.desc()).limit(limit)
            found = list(db.execute(times).scalars())
            if not found:
                return []
            query = select(drift_readings).where(*wanted, table.at >= found[-1]).order_by(table.at, table.revision)
            return list(_readings(db.execute(query)))


def _readings(rows: Iterable[Row[Any]]) -> Iterable[DriftReading]:
    for (at, deployment, revision), group in groupby(rows, lambda row: (row.at, row.deployment, row.revision)):
        of_one = list(group)
        columns = (DriftColumn(row.column, row.rows, row.psi, row.level, _without_whole(row.data)) for row in of_one)
        ordered = tuple(sorted(columns, key=lambda column: (-column.psi, column.name)))
        yield DriftReading(at, deployment, revision, ordered, of_one[0].data.get(_WHOLE, {}))


def _without_whole(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != _WHOLE}
