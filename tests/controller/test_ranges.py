"""What is normal for stable, and what the candidate does beside it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.support.readings import of_one_process
from tidegate.controller.ranges import Seen, Span, quantile_range, ranges, rate_range, rows
from tidegate.gateway.base import Counts, DurationBucket
from tidegate.target.base import Reading

START = datetime(2026, 3, 1, tzinfo=UTC)

counts = st.dictionaries(st.integers(0, 500), st.integers(1, 1000), min_size=1, max_size=40)
buckets = counts.map(lambda found: tuple(DurationBucket(float(at), at + 1.0, found[at]) for at in sorted(found)))
spans = st.builds(
    lambda durations, errors: Span.of(Counts(sum(one.count for one in durations), errors, 0, durations)),
    buckets,
    st.integers(0, 100),
)


def reading(seconds: float, epoch: str = "a", **of: tuple[int, int, int]) -> Reading:
    """Return counters: per role requests, errors, and how long each took in milliseconds."""
    found = {
        {"stable": 1, "candidate": 2}[role]: Counts(
            requests, errors, 0, (DurationBucket(float(ms), ms + 1.0, requests),) if requests else ()
        )
        for role, (requests, errors, ms) in of.items()
    }
    return of_one_process(found, epoch, START + timedelta(seconds=seconds))


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_the_interval_of_a_rate_holds_it_and_stays_a_share(bad: int, more: int) -> None:
    found = rate_range(bad, bad + more)
    assert found is not None
    assert 0 <= found["low"] <= found["observed"] <= found["high"] <= 1


def test_a_rate_without_requests_is_none_and_one_without_errors_is_not_known_to_be_zero() -> None:
    assert rate_range(0, 0) is None
    found = rate_range(0, 100)
    assert found is not None
    assert found["observed"] == found["low"] == 0
    # Wilson's interval for none of 100, two-sided 95 %: z² / (n + z²).
    assert found["high"] == round(3.841459 / 103.841459, 6)


@given(buckets, st.sampled_from([0.5, 0.9, 0.99]))
def test_the_interval_of_a_quantile_holds_it_within_what_was_seen(
    durations: tuple[DurationBucket, ...], share: float
) -> None:
    found = quantile_range(durations, share)
    assert found is not None
    assert durations[0].lower_ms <= found["low"] <= found["observed"] <= found["high"] <= durations[-1].upper_ms


def test_intervals_of_95_percent_hold_the_truth_in_about_95_of_100_samples() -> None:
    drawn = random.Random(5)
    held = {0.5: 0, 0.9: 0}
    for _ in range(400):
        times = sorted(drawn.expovariate(1 / 50) for _ in range(500))
        found: dict[int, int] = {}
        for time in times:
            found[int(time)] = found.get(int(time), 0) + 1
        durations = tuple(DurationBucket(float(at), at + 1.0, found[at]) for at in sorted(found))
        for share, truth in ((0.5, 34.657), (0.9, 115.129)):  # of an exponential with a mean of 50
            interval = quantile_range(durations, share)
            assert interval is not None
            held[share] += interval["low"] <= truth <= interval["high"]
    assert all(count >= 0.92 * 400 for count in held.values()), held


@given(spans, spans)
def test_what_grew_since_a_reading_is_what_was_added_to_it(before: Span, more: Span) -> None:
    grown = (before + more).since(before)
    assert (grown.requests, grown.errors, grown.durations()) == (more.requests, more.errors, more.durations())


@given(spans)
def test_a_span_can_be_written_and_read_back(span: Span) -> None:
    seen = Seen(START.isoformat(), {"a": {1: span}}, span, span + span, Span())
    assert Seen.from_storage(json.loads(json.dumps(seen.for_storage()))) == seen


def test_stable_is_counted_before_the_first_step_and_both_after_it() -> None:
    seen = Seen()
    looks = [
        (reading(0, stable=(1000, 0, 5), candidate=(0, 0, 1)), False),
        (reading(1, stable=(1040, 0, 5), candidate=(0, 0, 1)), False),
        (reading(2, stable=(1100, 6, 5), candidate=(0, 0, 1)), False),
        (reading(4, stable=(1180, 6, 5), candidate=(20, 4, 80)), True),
    ]
    for read, has_begun in looks:
        seen = seen.look(read, 1, 2, has_begun=has_begun)
    told = seen.as_dict()
    assert told is not None
    assert told["stable_before"]["requests"] == 100
    assert told["stable_before"]["throughput_rps"] == {"observed": 50.0, "low": 40.0, "high": 60.0}
    assert told["stable_before"]["error_rate"]["observed"] == 0.06
    assert told["stable"]["throughput_rps"]["observed"] == 40.0
    assert told["candidate"]["error_rate"]["observed"] == 0.2
    assert 80 <= told["candidate"]["latency_ms"]["p50"]["observed"] <= 81
    assert rows(told)[0] == ("requests", "100", "80", "20")


def test_a_gateway_that_was_started_anew_counts_from_zero() -> None:
    seen = Seen()
    for read in (reading(0, stable=(1000, 0, 5)), reading(1, stable=(1010, 0, 5)), reading(2, "b", stable=(7, 0, 5))):
        seen = seen.look(read, 1, 2, has_begun=False)
    assert (seen.before.requests, seen.before.seconds) == (17, 2.0)


def test_nothing_counted_is_no_range_and_no_division() -> None:
    assert Seen().as_dict() is None
    told = ranges(Span(2.0))
    assert told["error_rate"] is None
    assert told["latency_ms"] == {"p50": None, "p90": None, "p99": None}
    assert told["throughput_rps"] == {"observed": 0.0, "low": 0.0, "high": 0.0}


def test_a_clock_that_was_set_back_gives_no_negative_time() -> None:
    seen = Seen().look(reading(10, stable=(5, 0, 5)), 1, 2, has_begun=False)
    seen = seen.look(reading(3, stable=(9, 0, 5)), 1, 2, has_begun=False)
    assert (seen.before.seconds, seen.before.requests) == (0.0, 4)
