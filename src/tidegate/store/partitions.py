"""Which partitions of a table ought to be there, and which are to go; pure.

A partition covers a day or a month of UTC, from its first moment up to, but without, the first of the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from tidegate.store.schema import Span

#: How long a row may have been on its way, and how much clocks may differ.
LATE = timedelta(minutes=1)


@dataclass(frozen=True, order=True)
class Period:
    """What a partition covers: `start` belongs to it, `end` does not; both aware, in UTC."""

    start: datetime
    end: datetime

    def overlaps(self, other: Period) -> bool:
        return self.start < other.end and other.start < self.end


def period_of(moment: datetime, span: Span) -> Period:
    """Return the period that a moment lies in.

    Raises:
        OverflowError: its end is beyond the year 9999.
    """
    start = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if span == "day":
        return Period(start, start + timedelta(days=1))
    start = start.replace(day=1)
    return Period(start, (start + timedelta(days=31)).replace(day=1))


def periods_from(moment: datetime, span: Span) -> Iterator[Period]:
    """Yield the period of a moment and those that follow it, without an end."""
    period = period_of(moment, span)
    while True:
        yield period
        period = period_of(period.end, span)


def to_make(
    existing: Collection[Period],
    now: datetime,
    span: Span,
    ahead: int,
    days: int | None,
    *,
    strays: Collection[datetime] = (),
) -> list[Period]:
    """Return the periods that partitions are to be made for, in order.

    Those are today's and the next ones, and those of rows that lie in the default partition. Rows that are to be
    dropped anyway get none, nor do those that lie beyond what is made ahead: a clock that was years ahead of the time
    would have a partition for each day until then.

    Args:
        existing: what there are partitions for already, of whatever span; none is made that would overlap.
        ahead: how many are made beyond the one of now, at least 0.
        days: for how long rows are kept; None for ever.
        strays: times of rows in the default partition, one of each period at least.
    """
    wanted = set(islice(periods_from(now, span), ahead + 1))
    last = max(wanted).end
    straying = {period_of(at, span) for at in strays if at < last}
    wanted |= straying - set(to_drop(straying, now, days))
    return sorted(one for one in wanted if not any(one.overlaps(other) for other in existing))


def to_drop(existing: Collection[Period], now: datetime, days: int | None) -> list[Period]:
    """Return the periods whose rows are all past retention, in order; none when rows are kept for ever (None)."""
    if days is None:
        return []
    oldest = now - timedelta(days=days)
    return sorted(one for one in existing if one.end <= oldest)


def is_written(period: Period, now: datetime) -> bool:
    """Say whether rows of a period may come now, of a table whose rows are of the moment at which they are written."""
    return period.start <= now + LATE and now - LATE < period.end


def name_of(table: str, period: Period, span: Span) -> str:
    """Return the name of a partition, such as `predictions_p20261129` or `drift_readings_p202611`."""
    return f"{table}_p{period.start:{'%Y%m%d' if span == 'day' else '%Y%m'}}"
