"""What the readings of a watch keep so that any period costs a subtraction: each request, counted in one of them. Pure.

A reading is of a sliding period, and the next one counts most of the same requests again. So each also has an
*interval*: what was counted since the reading before, and nothing else. And it has the counters of its *run*, which are
the sums of all intervals up to it and only grow: those of a later reading less those of an earlier one are the counts
between them, however many there are (`periods.py`). A run is of readings that one watch made one after the other, with
the same columns; with a watch that begins anew, or with another column, the counters begin at 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from tidegate.drift.tally import Tally
from tidegate.store import DriftReading

#: In what a reading says of the whole, and in what it says of a column.
INTERVAL, RUN = "interval", "run"


@dataclass(frozen=True)
class Interval:
    """What was counted since a time, each request once."""

    since: datetime
    tally: Tally

    def __add__(self, more: Tally) -> Interval:
        return Interval(self.since, self.tally + more)


@dataclass(frozen=True)
class Run:
    """Counters at the end of an interval.

    Attributes:
        since: when the first interval began.
        readings: how many intervals there were.
        seconds: that they took together. Times in which nothing was counted are in none.
        tally: the sum of all.
    """

    since: datetime
    readings: int
    seconds: float
    tally: Tally

    def __sub__(self, other: Run) -> Run:
        """Return the counters of the intervals after `other`, an earlier end of the same run."""
        readings, seconds = self.readings - other.readings, self.seconds - other.seconds
        return Run(self.since, readings, seconds, self.tally - other.tally)

    def __add__(self, other: Run) -> Run:
        since, readings = min(self.since, other.since), self.readings + other.readings
        return Run(since, readings, self.seconds + other.seconds, self.tally + other.tally)


def of_one(interval: Interval, at: datetime) -> Run:
    """Return the counters of an interval that ended at `at`."""
    return Run(interval.since, 1, max(0.0, (at - interval.since).total_seconds()), interval.tally)


def comparable(interval: Interval, columns: frozenset[str]) -> Interval:
    """Return an interval with those of the columns alone of which all that there was has been counted."""
    return Interval(interval.since, interval.tally.only(columns - interval.tally.hashed))


def extended(run: Run | None, interval: Interval, at: datetime) -> Run:
    """Return the counters after an interval; None: it is the first."""
    one = of_one(interval, at)
    if run is None or run.tally.counts.keys() != one.tally.counts.keys():
        return one
    return run + one


def of_whole(interval: Interval, run: Run) -> dict[str, Any]:
    """Return what a reading says of both as a whole, in JSON form."""
    return {
        INTERVAL: {"since": interval.since.isoformat(), "requests": interval.tally.requests},
        RUN: {
            "since": run.since.isoformat(),
            "requests": run.tally.requests,
            "readings": run.readings,
            "seconds": run.seconds,
        },
    }


def of_column(interval: Interval, run: Run, name: str) -> dict[str, Any]:
    """Return what a reading says of both for a column, in JSON form; nothing where it was not counted."""
    if name not in interval.tally.counts:
        return {}
    return {INTERVAL: interval.tally.counts[name].tolist(), RUN: run.tally.counts[name].tolist()}


def interval_of(reading: DriftReading) -> Interval | None:
    """Return the interval of a stored reading; None of one that was made before there were any."""
    told = reading.whole.get(INTERVAL)
    if told is None:
        return None
    return Interval(datetime.fromisoformat(told["since"]), Tally(told["requests"], _counts(reading, INTERVAL)))


def run_of(reading: DriftReading) -> Run | None:
    """Return the counters of the run at a stored reading; None of one that was made before there were any."""
    told = reading.whole.get(RUN)
    if told is None:
        return None
    tally = Tally(told["requests"], _counts(reading, RUN))
    return Run(datetime.fromisoformat(told["since"]), told["readings"], told["seconds"], tally)


def _counts(reading: DriftReading, what: str) -> dict[str, Any]:
    return {one.name: np.array(one.data[what], dtype=np.int64) for one in reading.columns if what in one.data}


@dataclass(frozen=True)
class _Tried:
    """A reading that was given to the store: when it was made, its interval, and the counters with it."""

    at: datetime
    interval: Interval
    run: Run


@dataclass(frozen=True)
class Counting:
    """What a watch has counted and not stored yet.

    Attributes:
        look: number of the last reading that is known to be stored, 0 before the first.
        interval: what was counted since the last reading that was made.
        run: counters at the last reading that is known to be stored; None where this watch has stored none.
        tried: the reading of which nobody knows yet whether it is stored; None mostly.
    """

    look: int
    interval: Interval
    run: Run | None = None
    tried: _Tried | None = None

    @property
    def is_empty(self) -> bool:
        return self.tried is None and not self.interval.tally.requests

    def add(self, more: Tally) -> Counting:
        return replace(self, interval=self.interval + more)

    def quiet(self, at: datetime) -> Counting:
        """Begin the interval anew where nothing was counted in it."""
        return replace(self, interval=Interval(at, Tally())) if self.is_empty else self

    def trying(self, at: datetime, run: Run) -> Counting:
        """A reading of the interval, made at `at`, is given to the store."""
        return replace(self, interval=Interval(at, Tally()), tried=_Tried(at, self.interval, run))

    def stored(self, look: int) -> Counting:
        """The reading that was tried is stored."""
        return self if self.tried is None else Counting(look, self.interval, self.tried.run)

    def settled(self, look: int, at: datetime | None) -> Counting:
        """Find out what became of the reading that was tried, by the last one in the store: its number and when it was
        made. It is there, or its requests are of the next reading."""
        if self.tried is not None and self.tried.at == at:
            return self.stored(look)
        return replace(self, look=look, interval=self.whole, tried=None)

    @property
    def whole(self) -> Interval:
        """What would be counted were nothing stored of what was tried."""
        return self.interval if self.tried is None else self.tried.interval + self.interval.tally

    def kept(self, deployment_id: int, revision: int) -> dict[str, Any]:
        """Return a JSON object for who goes on after a kill; `taken_over` reads it."""
        whose = {"deployment": deployment_id, "revision": revision, "look": self.look}
        return {**whose, "since": self.whole.since.isoformat(), **self.whole.tally.as_plain()}


def taken_over(plain: Mapping[str, Any] | None, deployment_id: int, revision: int, look: int, at: datetime) -> Counting:
    """Return what a watch begins with.

    Args:
        plain: what the watch before kept, if anything. It counts only where no reading was stored since, which would
            have it already.
        look: number of the last reading of this revision in the store, 0 before the first.
        at: the moment at which it begins where nothing is taken over.
    """
    whose = (deployment_id, revision, look)
    try:
        if plain is not None and (plain["deployment"], plain["revision"], plain["look"]) == whose:
            return Counting(look, Interval(datetime.fromisoformat(plain["since"]), Tally.from_plain(plain)))
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # nobody of ours wrote it
    return Counting(look, Interval(at, Tally()))
