"""Whatever a watch goes through, the counters of a period are the sum of the intervals in it, taken one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidegate.controller.drift.intervals import (
    Counting,
    Interval,
    comparable,
    extended,
    interval_of,
    of_column,
    of_whole,
    run_of,
    taken_over,
)
from tidegate.controller.drift.periods import found_in
from tidegate.drift.tally import Tally
from tidegate.store import DriftColumn, DriftReading

START = datetime(2026, 3, 1, tzinfo=UTC)
COLUMNS = ("age", "kind")


class Listed:
    """Readings in order, as the store has them."""

    def __init__(self, readings: Sequence[DriftReading]) -> None:
        self.readings = readings

    def last(self, until: datetime) -> DriftReading | None:
        return max((one for one in self.readings if one.at <= until), key=lambda one: one.at, default=None)

    def first(self, after: datetime) -> DriftReading | None:
        return min((one for one in self.readings if one.at > after), key=lambda one: one.at, default=None)


@dataclass
class Step:
    """What happens next to a watch.

    Attributes:
        counts: what each column counts first, if it is counted.
        fate: of a reading ("stored", "failed" or "hidden": it is stored, and the store says otherwise), or "quiet",
            "killed" (with what was kept), "lost" (without), "promoted" (another revision serves).
    """

    seconds: int
    counts: dict[str, list[int]]
    fate: str


STEPS = st.lists(
    st.builds(
        Step,
        st.integers(1, 90),
        st.dictionaries(st.sampled_from(COLUMNS), st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1),
        st.sampled_from(["stored"] * 6 + ["quiet", "failed", "hidden", "killed", "lost", "promoted"]),
    ),
    max_size=25,
)


def played(steps: Sequence[Step]) -> tuple[list[DriftReading], list[tuple[int, int]]]:
    """Return what is stored, and of each step's requests that are not lost whose they are: revision and number."""
    now, revision, look = START, 1, 0
    stored: list[DriftReading] = []
    counted: list[tuple[int, int]] = []
    unstored: list[tuple[int, int]] = []
    counting = Counting(0, Interval(now, Tally()))
    trouble = False

    def looks() -> DriftReading | None:
        return next((one for one in stored[::-1] if one.revision == revision), None)

    for number, step in enumerate(steps):
        now += timedelta(seconds=step.seconds)
        if step.fate in ("killed", "lost", "promoted"):
            if step.fate == "promoted":
                revision, unstored, kept = revision + 1, [], None
            elif step.fate == "killed":
                kept = counting.kept(1, revision)
                last = looks()
                if last is not None and counting.tried is not None and last.at == counting.tried.at:
                    unstored = []  # what was counted since is lost
            else:
                unstored, kept = [], None
            last = looks()
            look = 0 if last is None else last.whole["look"]
            counting, trouble = taken_over(kept, 1, revision, look, now), False
            continue
        if step.fate == "quiet":
            counting = counting.quiet(now)
            continue
        counts = {name: np.array(counts, dtype=np.int64) for name, counts in step.counts.items()}
        counting = counting.add(Tally(1, counts))
        unstored.append((revision, number))
        if trouble:
            last = looks()
            counting = counting.settled(0 if last is None else last.whole["look"], None if last is None else last.at)
            look = max(look, counting.look)
        interval = comparable(counting.interval, frozenset(counting.interval.tally.counts))
        run, look = extended(counting.run, interval, now), look + 1
        whole = {"look": look, **of_whole(interval, run)}
        columns = tuple(
            DriftColumn(name, 1, 0.0, "none", of_column(interval, run, name)) for name in interval.tally.counts
        )
        counting = counting.trying(now, run)
        trouble = step.fate != "stored"
        if step.fate in ("stored", "hidden"):
            stored.append(DriftReading(now, "churn", revision, columns, whole))
            counted, unstored = counted + unstored, []
        if step.fate == "stored":
            counting = counting.stored(look)
    return stored, counted


@given(STEPS)
def test_each_request_is_in_one_interval_unless_it_is_lost(steps: list[Step]) -> None:
    stored, counted = played(steps)
    assert sum(one.whole["interval"]["requests"] for one in stored) == len(counted)
    for name in COLUMNS:
        found = [one.data["interval"] for reading in stored for one in reading.columns if one.name == name]
        wanted = [steps[number].counts[name] for _, number in counted if name in steps[number].counts]
        assert np.sum([[0, 0, 0], *found], axis=0).tolist() == np.sum([[0, 0, 0], *wanted], axis=0).tolist()
    for before, after in pairwise(stored):
        interval = interval_of(after)
        assert interval is not None
        assert before.at <= interval.since < after.at


@given(STEPS, st.integers(0, 1_500), st.integers(1, 1_500))
def test_the_counters_of_a_period_are_the_sum_of_its_intervals(steps: list[Step], begin: int, length: int) -> None:
    stored, _ = played(steps)
    since, until = START + timedelta(seconds=begin), START + timedelta(seconds=begin + length)
    found = found_in(Listed(stored), since, until)
    inside, over = [], []
    for one in stored:
        interval = interval_of(one)
        assert interval is not None
        if since <= interval.since and one.at <= until:
            inside.append((one, interval))
        elif interval.since < until and one.at > since:
            over.append(one)
    assert list(found.straddling) == over
    assert found.uncounted_until is None
    for revision in {one.revision for one in stored}:
        parts = [part for part in found.parts if part.revision == revision]
        own = [(one, interval) for one, interval in inside if one.revision == revision]
        assert sum(part.counted.readings for part in parts) == len(own)
        assert sum(part.counted.seconds for part in parts) == sum(
            (one.at - interval.since).total_seconds() for one, interval in own
        )
        some = sum((part.counted.tally for part in parts), Tally())
        wanted = sum((interval.tally for _, interval in own), Tally())
        assert some.as_plain() == wanted.as_plain()
        if parts:
            assert parts[0].counted.since == own[0][1].since
            assert parts[-1].until == own[-1][0].at


@given(STEPS, st.integers(0, 24))
def test_a_clock_that_was_set_back_has_nothing_counted_twice(steps: list[Step], place: int) -> None:
    stored, _ = played(steps)
    back = timedelta(seconds=600)
    moved = [
        one if number < place else DriftReading(one.at - back, one.deployment, one.revision, one.columns, one.whole)
        for number, one in enumerate(stored)
    ]
    if len({one.at for one in moved}) < len(moved):
        return
    found = found_in(Listed(moved), START - 2 * back, START + timedelta(days=1))
    assert sum(part.counted.tally.requests for part in found.parts) <= sum(
        one.whole["interval"]["requests"] for one in stored
    )
    for one in moved:
        assert run_of(one) is not None
