"""Drift over a period that somebody names, from what readings keep of their intervals: one total for each revision.

Revisions have references of their own, so what was counted of two is never added. Of each run (`intervals.py`) its last
reading in the period and its first are looked at, however many there are between them: a year costs about what a day
does. Intervals that reach over an end of the period are left out, and told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from tidegate.contract.drift import Drift
from tidegate.contract.errors import InvalidInput
from tidegate.controller.drift.intervals import Run, interval_of, of_one, run_of
from tidegate.controller.drift.keeping import read_kept
from tidegate.drift import Policy, Reading, Reference, State
from tidegate.store import DriftReading

#: The finest difference of two moments.
_JUST = timedelta(microseconds=1)


class Order(Protocol):
    """Readings of one deployment in the order of time; see `store.drift_readings.DriftOrder`."""

    def last(self, until: datetime) -> DriftReading | None: ...

    def first(self, after: datetime) -> DriftReading | None: ...


@dataclass(frozen=True)
class Part:
    """The intervals of one run that lie in a period.

    Attributes:
        until: when the last of them ended.
        counted: of them alone.
    """

    revision: int
    until: datetime
    counted: Run


@dataclass(frozen=True)
class Found:
    """What a period is made of.

    Attributes:
        parts: oldest first.
        straddling: readings whose intervals reach over an end of the period, oldest first.
        uncounted_until: when the last reading of the period was made that has no interval of its own; the parts are of
            later ones. None where all have.
    """

    parts: tuple[Part, ...]
    straddling: tuple[DriftReading, ...]
    uncounted_until: datetime | None


@dataclass(frozen=True)
class Total:
    """The intervals of one revision in a period, added up and compared with its reference.

    Attributes:
        since, until: when the first interval began and the last one ended.
        intervals: how many there are.
        seconds: that they took together.
        reading: of all their requests.
    """

    revision: int
    since: datetime
    until: datetime
    intervals: int
    seconds: float
    reading: Reading


def found_in(order: Order, since: datetime, until: datetime) -> Found:
    """Find the intervals that lie wholly in a period, run by run, the last one first."""
    parts: list[Part] = []
    over_end = order.first(until)
    straddling = [over_end] if over_end is not None and _began(over_end) < until else []
    last = order.last(until)
    while last is not None and last.at > since:
        run = run_of(last)
        if run is None:
            return Found(tuple(parts[::-1]), tuple(straddling[::-1]), last.at)
        first = order.first(max(since, run.since))
        if first is not None and _began(first) < since:
            if first not in straddling:
                straddling.append(first)
            first = order.first(first.at)
        if first is None or first.at > last.at:
            break
        part = _between(first, last, run)
        parts.append(part)
        last = order.last((last.at if part.counted.readings == 1 else first.at) - _JUST)
    return Found(tuple(parts[::-1]), tuple(straddling[::-1]), None)


def totals(found: Found, drift_of: Callable[[int], Drift], column: str | None = None) -> list[Total]:
    """Return the total of each revision, in the order of the revisions.

    Args:
        drift_of: returns what a revision was watched for by.
        column: of this one alone; None for all.

    Raises:
        InvalidInput: no revision has the column, or a reference is gone.
    """
    by_revision: dict[int, list[Part]] = {}
    for part in found.parts:
        by_revision.setdefault(part.revision, []).append(part)
    made, known = [], dict[str, None]()
    for revision, parts in sorted(by_revision.items()):
        drift = drift_of(revision)
        reference = read_kept(Path(drift.reference))
        known.update(dict.fromkeys(reference.columns))
        if column is not None and column not in reference.columns:
            continue
        made.append(_total(revision, parts, reference if column is None else reference.only([column]), drift))
    if column is not None and known and column not in known:
        listed = ", ".join(list(known)[:10])
        raise InvalidInput(f"no reference has a column {column!r}", subject=column, expected=f"one of {listed}")
    return made


def view(name: str, since: datetime, until: datetime, found: Found, made: Sequence[Total]) -> dict[str, Any]:
    """Return what is said of a period as the API shows it."""
    left = found.uncounted_until
    return {
        "deployment": name,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "totals": [_view(one) for one in made],
        "straddling": [
            {
                "revision": one.revision,
                "since": _began(one).isoformat(),
                "until": one.at.isoformat(),
                "requests": one.whole["interval"]["requests"],
            }
            for one in found.straddling
        ],
        "uncountedUntil": None if left is None else left.isoformat(),
    }


def _view(total: Total) -> dict[str, Any]:
    told = total.reading.as_dict()
    if not total.reading.columns:
        told["state"] = str(State.INCONCLUSIVE)
    return {
        "revision": total.revision,
        "since": total.since.isoformat(),
        "until": total.until.isoformat(),
        "intervals": total.intervals,
        "seconds": round(total.seconds, 3),
        "requests": told.pop("rows"),
        **{name: value for name, value in told.items() if name != "new"},
    }


def _began(reading: DriftReading) -> datetime:
    """Return when the interval of a reading began; without one it has nothing that could reach over an end."""
    interval = interval_of(reading)
    return reading.at if interval is None else interval.since


def _between(first: DriftReading, last: DriftReading, at_last: Run) -> Part:
    """Return the intervals from that of one reading to that of another."""
    at_first, own = run_of(first), interval_of(first)
    if own is None or at_first is None or (first.revision, at_first.since) != (last.revision, at_last.since):
        # Of another run: a clock was set back. One by one they can still be told apart.
        alone = interval_of(last)
        assert alone is not None  # noqa: S101 (it has counters)
        return Part(last.revision, last.at, of_one(alone, last.at))
    counted = of_one(own, first.at) + (at_last - at_first)
    return Part(last.revision, last.at, replace(counted, since=own.since))


def _total(revision: int, parts: Sequence[Part], reference: Reference, drift: Drift) -> Total:
    counted, times = parts[0].counted, Counter[str]()
    for part in parts[1:]:
        counted += part.counted
    for part in parts:
        times.update(dict.fromkeys(part.counted.tally.counts, part.counted.readings))
    # A column of some intervals would be compared over another time than the others.
    partial = {name for name in reference.columns if 0 < times[name] < counted.readings}
    whole = [name for name in reference.columns if name not in partial]
    policy = Policy(drift.moderate, drift.large, drift.alpha.ratio)
    reading = counted.tally.only(whole).read(reference, policy)
    if reading is None:
        reading = Reading((), policy, counted.tally.requests, {}, ())
    left = {name: f"it was counted in {times[name]:,} of {counted.readings:,} intervals" for name in sorted(partial)}
    reading = replace(reading, skipped={**reading.skipped, **left})
    return Total(revision, counted.since, parts[-1].until, counted.readings, counted.seconds, reading)
