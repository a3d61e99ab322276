"""Readings of what the log of predictions says: of an aspect at a time, among the readings of drift.

They are rows of `drift_readings` whose `column` is the aspect. They have no PSI, which those of columns always have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from tidegate.store.database import Database
from tidegate.store.schema.telemetry import drift_readings


@dataclass(frozen=True)
class AspectRow:
    """One reading.

    Attributes:
        requests: that were compared with the reference.
        state: what is said of the aspect.
        data: all else, in JSON form.
    """

    at: datetime
    deployment: str
    revision: int
    aspect: str
    state: str
    requests: int
    data: Mapping[str, Any]


class AspectReadings:
    """The readings of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, db: Connection, readings: Sequence[AspectRow]) -> None:
        """Add readings, one at least, within a write."""
        db.execute(
            insert(drift_readings),
            [
                {
                    "at": one.at,
                    "deployment": one.deployment,
                    "revision": one.revision,
                    "column": one.aspect,
                    "rows": one.requests,
                    "psi": None,
                    "level": one.state,
                    "data": dict(one.data),
                }
                for one in readings
            ],
        )

    def newest(
        self,
        deployment: str,
        aspect: str,
        *,
        since: datetime,
        limit: int,
        until: datetime | None = None,
        revision: int | None = None,
    ) -> list[AspectRow]:
        """Return the newest readings of an aspect from `since` on, oldest first.

        Args:
            until: the last moment; None for now.
            limit: how many at most.
            revision: only of this one; None for all.
        """
        table = drift_readings.c
        wanted = [table.deployment == deployment, table.column == aspect, table.at >= since, table.psi.is_(None)]
        if until is not None:
            wanted.append(table.at <= until)
        if revision is not None:
            wanted.append(table.revision == revision)
        query = select(drift_readings).where(*wanted).order_by(table.at.desc()).limit(limit)
        with self._database.read() as db:
            found = list(db.execute(query))[::-1]
        return [
            AspectRow(row.at, row.deployment, row.revision, row.column, row.level, row.rows, row.data) for row in found
        ]
