"""Readings of drift: a row for each column of a reading, and in each what is said of the reading as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Row, func, insert, select

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
        until: datetime | None = None,
        column: str | None = None,
        revision: int | None = None,
    ) -> list[DriftReading]:
        """Return the newest readings of a deployment from `since` on, oldest first.

        Args:
            until: the last moment; None for now.
            limit: how many at most.
            column: with this column alone, and only readings that have it; None for all.
            revision: only of this one; None for all.
        """
        table = drift_readings.c
        # Those without a PSI are no readings of columns: see `aspect_readings`.
        wanted = [table.deployment == deployment, table.at >= since, table.psi.is_not(None)]
        if until is not None:
            wanted.append(table.at <= until)
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

    @contextmanager
    def in_order(self, deployment: str) -> Iterator[DriftOrder]:
        """Look at readings of a deployment one at a time; all looks see one state of the store."""
        with self._database.read() as db:
            yield DriftOrder(db, deployment)


class DriftOrder:
    """Readings of one deployment in the order of time.

    Each look takes some steps in the index for each column, however many readings there are.
    """

    def __init__(self, db: Connection, deployment: str) -> None:
        self._db = db
        self._deployment = deployment
        names = _names(deployment)
        named = db.execute(select(names.c.name).where(names.c.name.is_not(None))).scalars()
        self._names = [name for name in list(named) if self._is_column(name)]

    def last(self, until: datetime) -> DriftReading | None:
        """Return the last reading that was made at this moment or before."""
        return self._found(func.max, drift_readings.c.at <= until)

    def first(self, after: datetime) -> DriftReading | None:
        """Return the first reading that was made after this moment."""
        return self._found(func.min, drift_readings.c.at > after)

    def _is_column(self, name: str) -> bool:
        table = drift_readings.c
        of_it = select(table.at).where(table.deployment == self._deployment, table.column == name)
        return self._db.execute(of_it.where(table.psi.is_not(None)).limit(1)).first() is not None

    def _found(self, extreme: Callable[..., Any], moments: ColumnElement[bool]) -> DriftReading | None:
        table, names = drift_readings.c, _names(self._deployment)
        of_column = select(extreme(table.at)).where(
            table.deployment == self._deployment, table.column == names.c.name, table.psi.is_not(None), moments
        )
        query = select(extreme(of_column.scalar_subquery())).where(names.c.name.in_(self._names))
        at = self._db.execute(query).scalar_one()
        if at is None:
            return None
        wanted = table.deployment == self._deployment, table.column.in_(self._names), table.at == at
        rows = self._db.execute(select(drift_readings).where(*wanted, table.psi.is_not(None)))
        return next(iter(_readings(rows)))


def _names(deployment: str) -> CTE:
    """Return the columns that there are readings of, and NULL, found from one to the next in the index."""
    table = drift_readings.c
    smallest = select(func.min(table.column).label("name")).where(table.deployment == deployment)
    names = smallest.cte("names", recursive=True)
    following = select(func.min(table.column)).where(table.deployment == deployment, table.column > names.c.name)
    return names.union_all(select(following.scalar_subquery()).where(names.c.name.is_not(None)))


def _readings(rows: Iterable[Row[Any]]) -> Iterable[DriftReading]:
    for (at, deployment, revision), group in groupby(rows, lambda row: (row.at, row.deployment, row.revision)):
        of_one = list(group)
        columns = (DriftColumn(row.column, row.rows, row.psi, row.level, _without_whole(row.data)) for row in of_one)
        ordered = tuple(sorted(columns, key=lambda column: (-column.psi, column.name)))
        yield DriftReading(at, deployment, revision, ordered, of_one[0].data.get(_WHOLE, {}))


def _without_whole(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != _WHOLE}
