"""A year of pg_partman's clock: partitions of the prediction log that are made and dropped, month by month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from benchmarks.store.place import described
from tests.support.debian_postgresql import debian_postgresql
from tests.support.partition_year import Week, year
from tidegate.store.definition import AHEAD
from tidegate.store.versions import connected

_START = datetime(2027, 1, 1, 12, tzinfo=UTC)
KEEP_DAYS = 30


def measure(rows_a_day: int) -> dict[str, Any]:
    """Let a year pass with so many rows a day; return what was there after the last maintenance of each month."""
    with debian_postgresql(fake_clock=True) as running:
        assert running.clock is not None
        running.clock.set(_START)
        database = connected(running.fresh())
        try:
            weeks = list(year(database, running.clock, _START, keep_days=KEEP_DAYS, rows_a_day=rows_a_day))
        finally:
            database.close()
        about = described(running)
    return {
        "partman": about["partman"],
        "version": about["version"],
        "keep_days": KEEP_DAYS,
        "ahead": AHEAD,
        "rows_a_day": rows_a_day,
        "months": by_month(weeks, rows_a_day),
        "left": sum(len(week.report.left) for week in weeks),
        "in_default": max(week.in_default for week in weeks),
    }


def by_month(weeks: Sequence[Week], rows_a_day: int) -> list[dict[str, Any]]:
    """Return of each month what its weeks wrote, made and dropped, and what is there at its end. Pure."""
    found = []
    for month, group in groupby(weeks, lambda week: f"{week.now:%Y-%m}"):
        those = list(group)
        last = those[-1]
        assert last.oldest is not None
        found.append(
            {
                "month": month,
                "written": 7 * rows_a_day * len(those),
                "made": sum(len(week.report.made) for week in those),
                "dropped": sum(len(week.report.dropped) for week in those),
                "partitions": len(last.periods),
                "rows": last.rows,
                "oldest_days": round((last.now - last.oldest).total_seconds() / 86_400, 1),
            }
        )
    return found
