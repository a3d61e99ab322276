"""A year of a server's clock: rows come each day, maintenance runs each week."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text

from tests.support.debian_postgresql import Clock
from tests.support.telemetry_rows import count, put, row
from tidegate.store.database import Database
from tidegate.store.maintenance import Maintained, maintain, partitions_of
from tidegate.store.partitions import Period
from tidegate.store.schema.telemetry import predictions

DAYS = 365
_WEEK = 7


@dataclass(frozen=True)
class Week:
    """What `telemetry.predictions` is like after the maintenance of a week.

    Attributes:
        now: when it ran, by the server's clock.
        report: of the maintenance.
        periods: of the partitions that are there, in order.
        rows: that are there, those of the coming days included.
        in_default: of these, in the default partition.
        oldest: of these; None where there is none.
    """

    now: datetime
    report: Maintained
    periods: tuple[Period, ...]
    rows: int
    in_default: int
    oldest: datetime | None


def year(database: Database, clock: Clock, start: datetime, *, keep_days: int, rows_a_day: int = 1) -> Iterator[Week]:
    """Yield each week of a year: the clock is set, rows of its seven days are written, and maintenance runs."""
    for days in range(0, DAYS, _WEEK):
        now = start + timedelta(days=days)
        clock.set(now)
        put(database, [row(now + timedelta(days=day)) for day in range(_WEEK) for _ in range(rows_a_day)])
        report = next(
            one for one in maintain(database, now, {predictions.name: keep_days}) if one.table == predictions.name
        )
        with database.read() as db:
            periods = sorted(one.period for one in partitions_of(db, predictions) if one.period is not None)
            in_default = db.execute(text("SELECT count(*) FROM telemetry.predictions_default")).scalar_one()
            oldest = db.execute(select(func.min(predictions.c.at))).scalar_one()
        yield Week(now, report, tuple(periods), count(database), in_default, oldest)
