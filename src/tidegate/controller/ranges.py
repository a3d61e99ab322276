"""What is normal for stable, and what the candidate does beside it: from the gateway's counters to ranges. Pure.

For people: rates of errors, quantiles of latency and throughput, each with the range in which it lies as far as was
seen. They decide nothing. The judge looks again and again, and an interval that is right at one look is not right then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from tidegate.controller.growth import Known, remembered
from tidegate.gateway.base import Counts, DurationBucket
from tidegate.target.base import Reading

#: Of 95 %, two-sided.
_Z = 1.959964
CONFIDENCE = 0.95
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
#: A rate over less than this is no rate: a look may come at once after another one.
_SHORTEST_SECONDS = 0.05

#: Upper bound and count by lower bound, in milliseconds.
Buckets = Mapping[float, tuple[float, int]]


@dataclass(frozen=True)
class Span:
    """What the gateway counted of one revision over some time.

    Attributes:
        slowest, fastest: requests per second of the look that had the fewest and the most; None before the first.
    """

    seconds: float = 0.0
    requests: int = 0
    errors: int = 0
    buckets: Buckets = field(default_factory=dict)
    slowest: float | None = None
    fastest: float | None = None

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Return counters as they stand, without a time."""
        buckets = {bucket.lower_ms: (bucket.upper_ms, bucket.count) for bucket in counts.durations}
        return cls(0.0, counts.requests, counts.errors, buckets)

    def since(self, earlier: Span) -> Span:
        """Return the growth from `earlier` to this, without a time; never negative."""
        buckets = {
            lower: (upper, grown)
            for lower, (upper, count) in self.buckets.items()
            if (grown := count - earlier.buckets.get(lower, (upper, 0))[1]) > 0
        }
        return Span(0.0, max(0, self.requests - earlier.requests), max(0, self.errors - earlier.errors), buckets)

    def within(self, seconds: float) -> Span:
        """Return what was counted, as that of one look after so long."""
        rate = self.requests / seconds if seconds >= _SHORTEST_SECONDS else None
        return replace(self, seconds=seconds, slowest=rate, fastest=rate)

    def __add__(self, other: Span) -> Span:
        buckets = dict(self.buckets)
        for lower, (upper, count) in other.buckets.items():
            buckets[lower] = (upper, count + buckets.get(lower, (upper, 0))[1])
        rates = [rate for rate in (self.slowest, other.slowest) if rate is not None]
        highest = [rate for rate in (self.fastest, other.fastest) if rate is not None]
        return Span(
            self.seconds + other.seconds,
            self.requests + other.requests,
            self.errors + other.errors,
            buckets,
            min(rates, default=None),
            max(highest, default=None),
        )

    def durations(self) -> tuple[DurationBucket, ...]:
        return tuple(DurationBucket(lower, upper, count) for lower, (upper, count) in sorted(self.buckets.items()))

    def for_storage(self) -> dict[str, Any]:
        buckets = [[lower, upper, count] for lower, (upper, count) in sorted(self.buckets.items())]
        return {**vars(self), "buckets": buckets}

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Self:
        return cls(**{**stored, "buckets": {lower: (upper, count) for lower, upper, count in stored["buckets"]}})


@dataclass(frozen=True)
class Seen:
    """What was counted for the ranges of one rollout so far.

    Attributes:
        at: of the last reading; None before the first.
        last: counters at that reading.
        before: of stable, before the candidate's first traffic.
        stable, candidate: since then.
    """

    at: str | None = None
    last: Known[Span] = field(default_factory=dict)
    before: Span = field(default_factory=Span)
    stable: Span = field(default_factory=Span)
    candidate: Span = field(default_factory=Span)

    def look(self, reading: Reading, stable: int, candidate: int, *, has_begun: bool) -> Seen:
        """Take a reading in.

        Args:
            has_begun: whether the first step has.
        """
        now = {
            process.epoch: {
                number: Span.of(process.counts[number]) for number in (stable, candidate) if number in process.counts
            }
            for process in reading.processes
        }
        read = replace(self, at=reading.at.isoformat(), last=remembered(self.last, now))
        if self.at is None:
            return read
        seconds = max(0.0, (reading.at - datetime.fromisoformat(self.at)).total_seconds())
        grown: dict[int, Span] = {}
        for epoch, counted in now.items():
            for number, span in counted.items():
                growth = span.since(self.last.get(epoch, {}).get(number, Span()))
                grown[number] = grown.get(number, Span()) + growth
        grown = {number: span.within(seconds) for number, span in grown.items()}
        kept, tried = grown.get(stable, Span(seconds)), grown.get(candidate, Span(seconds))
        if not has_begun:
            return replace(read, before=self.before + kept)
        return replace(read, stable=self.stable + kept, candidate=self.candidate + tried)

    def as_dict(self) -> dict[str, Any] | None:
        """Return the ranges for documents; None where nothing was counted."""
        if not self.before.seconds and not self.stable.seconds:
            return None
        spans = {"stable_before": self.before, "stable": self.stable, "candidate": self.candidate}
        return {"confidence": CONFIDENCE, **{name: ranges(span) for name, span in spans.items()}}

    def for_storage(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "last": {epoch: _stored(counted) for epoch, counted in self.last.items()},
            "before": self.before.for_storage(),
            "stable": self.stable.for_storage(),
            "candidate": self.candidate.for_storage(),
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any] | None) -> Self:
        """Rebuild what `for_storage` gave; None: nothing was counted."""
        if stored is None:
            return cls()
        # Earlier, the gateway was one process.
        last = stored["last"] if "epoch" not in stored else {str(stored["epoch"]): stored["last"]}
        return cls(
            at=stored["at"],
            last={epoch: _read(counted) for epoch, counted in last.items()},
            before=Span.from_storage(stored["before"]),
            stable=Span.from_storage(stored["stable"]),
            candidate=Span.from_storage(stored["candidate"]),
        )


def _stored(spans: Mapping[int, Span]) -> dict[str, Any]:
    return {str(number): span.for_storage() for number, span in spans.items()}


def _read(stored: Mapping[str, Any]) -> dict[int, Span]:
    return {int(number): Span.from_storage(span) for number, span in stored.items()}


def ranges(span: Span) -> dict[str, Any]:
    """Return the ranges of one span, each as `observed`, `low` and `high`; a metric without requests is None."""
    observed = span.requests / span.seconds if span.seconds >= _SHORTEST_SECONDS else None
    throughput = None
    if observed is not None:
        # By look: how it went up and down, which an interval of the mean would hide.
        low, high = (observed if rate is None else rate for rate in (span.slowest, span.fastest))
        throughput = _range(observed, min(low, observed), max(high, observed))
    latency = {name: quantile_range(span.durations(), share) for name, share in QUANTILES}
    return {
        "seconds": round(span.seconds, 3),
        "requests": span.requests,
        "throughput_rps": throughput,
        "error_rate": rate_range(span.errors, span.requests),
        "latency_ms": latency,
    }


def rate_range(bad: int, requests: int) -> dict[str, float] | None:
    """Return a rate with its interval of 95 %. Source: Wilson, Probable inference (1927), the score interval."""
    if not requests:
        return None
    share, z2 = bad / requests, _Z * _Z
    middle = (share + z2 / (2 * requests)) / (1 + z2 / requests)
    half = _Z * math.sqrt(share * (1 - share) / requests + z2 / (4 * requests * requests)) / (1 + z2 / requests)
    return _range(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def quantile_range(buckets: tuple[DurationBucket, ...], share: float) -> dict[str, float] | None:
    """Return a quantile with its interval of 95 %, in milliseconds, as fine as the buckets are.

    The interval is that of the order statistics whose ranks lie two-sided around the quantile's: how many of n
    durations are below it is binomial. Source: Conover, Practical Nonparametric Statistics, section 3.2.
    """
    total = sum(bucket.count for bucket in buckets)
    if not total:
        return None
    half = _Z * math.sqrt(total * share * (1 - share))
    low, high = max(0.0, total * share - half), min(float(total), total * share + half)
    return _range(_at_rank(buckets, total * share), _at_rank(buckets, low), _at_rank(buckets, high))


def _at_rank(buckets: tuple[DurationBucket, ...], rank: float) -> float:
    """Return the duration below which so many lie, as if those of a bucket lay evenly in it."""
    below = 0
    for bucket in buckets:
        if below + bucket.count >= rank:
            return bucket.lower_ms + (bucket.upper_ms - bucket.lower_ms) * max(0.0, rank - below) / bucket.count
        below += bucket.count
    return buckets[-1].upper_ms


def _range(observed: float, low: float, high: float) -> dict[str, float]:
    return {"observed": round(observed, 6), "low": round(low, 6), "high": round(high, 6)}


def rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return what a table of the ranges shows: metric, stable before, stable meanwhile, candidate."""
    spans = [told[name] for name in ("stable_before", "stable", "candidate")]
    lines: list[tuple[str, ...]] = [
        ("requests", *(str(span["requests"]) for span in spans)),
        ("requests per second", *(_told(span["throughput_rps"]) for span in spans)),
        ("failed", *(_told(span["error_rate"], 100, " %") for span in spans)),
    ]
    for name, _ in QUANTILES:
        lines.append((f"latency {name}", *(_told(span["latency_ms"][name], 1, " ms") for span in spans)))
    return lines


def _told(found: Mapping[str, float] | None, factor: float = 1, unit: str = "") -> str:
    if found is None:
        return "–"
    observed, low, high = (f"{found[name] * factor:.3g}" for name in ("observed", "low", "high"))
    return f"{observed}{unit} ({low} to {high})"
