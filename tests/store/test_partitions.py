"""Which partitions are made and dropped: what must hold whatever the time, the retention and what is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidegate.store.partitions import LATE, Period, is_written, name_of, period_of, periods_from, to_drop, to_make
from tidegate.store.schema import Span

moments = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- aware by strategy
spans: st.SearchStrategy[Span] = st.sampled_from(["day", "month"])
retentions = st.none() | st.integers(1, 1000)


@given(moments, spans)
def test_periods_follow_each_other_without_a_gap_and_each_moment_lies_in_its_own(moment: datetime, span: Span) -> None:
    periods = list(islice(periods_from(moment, span), 40))
    assert periods[0].start <= moment < periods[0].end
    assert all(one.end == other.start for one, other in pairwise(periods))
    assert all(period_of(one.start, span) == one for one in periods)
    assert len({name_of("predictions", one, span) for one in periods}) == len(periods)


@given(
    now=moments,
    span=spans,
    ahead=st.integers(0, 40),
    days=retentions,
    strays=st.lists(moments, max_size=10),
    data=st.data(),
)
def test_what_is_made_covers_what_comes_and_overlaps_nothing(
    now: datetime, span: Span, ahead: int, days: int | None, *, strays: list[datetime], data: st.DataObject
) -> None:
    before = data.draw(st.lists(st.sampled_from(list(islice(periods_from(now, span), ahead + 5))), unique=True))
    made = to_make(before, now, span, ahead, days, strays=strays)
    there = sorted([*before, *made])
    assert all(one.end <= other.start for one, other in pairwise(there))
    coming = list(islice(periods_from(now, span), ahead + 1))
    assert set(coming) <= set(there)
    assert max(made, default=coming[-1]) <= coming[-1]
    assert to_make(there, now, span, ahead, days, strays=strays) == []


@given(moments, spans, st.integers(0, 40), retentions, st.lists(moments, max_size=10))
def test_nothing_is_made_that_would_be_dropped_at_once(
    now: datetime, span: Span, ahead: int, days: int | None, strays: list[datetime]
) -> None:
    assert to_drop(to_make([], now, span, ahead, days, strays=strays), now, days) == []


@given(moments, spans, st.lists(moments, max_size=20), retentions)
def test_what_is_dropped_holds_nothing_that_is_to_be_kept(
    now: datetime, span: Span, rows: list[datetime], days: int | None
) -> None:
    periods = {period_of(row, span) for row in rows}
    dropped = to_drop(periods, now, days)
    if days is None:
        assert dropped == []
        return
    oldest = now - timedelta(days=days)
    assert all(one.end <= oldest for one in dropped)
    assert all(one.end > oldest for one in periods - set(dropped))


@given(moments, spans, st.timedeltas(-LATE / 2, LATE / 2))
def test_rows_that_come_late_or_of_a_clock_that_is_wrong_by_little_may_be_under_way(
    now: datetime, span: Span, off: timedelta
) -> None:
    periods = list(islice(periods_from(now - timedelta(days=70), span), 120 if span == "day" else 5))
    written = [period for period in periods if is_written(period, now)]
    assert {period_of(now, span), period_of(now + off, span)} <= set(written)
    assert len(written) <= 2


def test_a_partition_of_another_span_is_not_overlapped() -> None:
    month = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    made = to_make([month], datetime(2026, 11, 29, tzinfo=UTC), "day", 3, None)
    assert [one.start.day for one in made] == [1, 2]


def test_partitions_are_named_by_their_first_day_or_month() -> None:
    moment = datetime(2026, 11, 29, 23, 59, tzinfo=UTC)
    assert name_of("predictions", period_of(moment, "day"), "day") == "predictions_p20261129"
    assert name_of("drift_readings", period_of(moment, "month"), "month") == "drift_readings_p202611"
