"""What replicas counted of what they are asked and answer, in the bins of a reference. Pure.

Sketches (`contract.sketch`) are counts of values, so those of replicas and of moments add up in any bins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tidegate.contract.sketch import Sketch, number_of
from tidegate.drift.bins import Bins, Counts, LevelBins, NumberBins
from tidegate.drift.columns import Numbers, as_levels, as_numbers, column_of
from tidegate.drift.reading import Policy, Reading, judged, read_counts
from tidegate.drift.reference import Reference

#: A model that takes 32-bit numbers is asked with the nearest of them: one so near to an edge is the edge.
_NEAR = 1e-6
_UNCOUNTED = "the replicas count no such column"
_HASHED = "its texts are too long, or too many, to be counted one by one"
#: Of a period; what is older than it leaves it in so many steps.
_SLICES = 60
_FLAGS = {"true": 1.0, "false": 0.0}


def count_sketch(bins: Bins, sketch: Sketch) -> Counts | None:
    """Return how many values are in which bin; None where texts were counted by their hash, which says no level."""
    if isinstance(bins, LevelBins):
        return None if sketch.is_hashed else _count_levels(bins, sketch)
    return _count_numbers(bins, sketch)


class _Slice(NamedTuple):
    """What was counted from one time on, by column."""

    at: float
    requests: int
    counts: Mapping[str, Counts]


class Served:
    """Counts of what is served over a sliding period, in the bins of a reference.

    Args:
        seconds: of the period.
    """

    def __init__(self, reference: Reference, seconds: float) -> None:
        self._reference = reference
        self._seconds = seconds
        self._slices: deque[_Slice] = deque()
        self._hashed: set[str] = set()

    @property
    def requests(self) -> int:
        """Requests of the period."""
        return sum(one.requests for one in self._slices)

    def clear(self) -> None:
        """Forget all that was counted."""
        self._slices.clear()
        self._hashed.clear()

    def add(self, at: float, requests: int, columns: Mapping[str, Sketch]) -> None:
        """Count what replicas counted.

        Args:
            at: seconds of a clock that only grows.
            columns: by name; those that the reference does not have are passed over.
        """
        counts = {}
        for name, sketch in columns.items():
            known = self._reference.columns.get(name)
            if known is None:
                continue
            found = count_sketch(known.bins, sketch)
            if found is None:
                self._hashed.add(name)
            else:
                counts[name] = found
        last = self._slices[-1] if self._slices else None
        if last is not None and at - last.at < self._seconds / _SLICES:
            self._slices[-1] = _Slice(last.at, last.requests + requests, _added(last.counts, counts))
        else:
            self._slices.append(_Slice(at, requests, counts))
        while self._slices and self._slices[0].at <= at - self._seconds:
            self._slices.popleft()

    def reading(self, policy: Policy) -> Reading | None:
        """Compare the period with the reference; None while nothing was counted that the reference has."""
        totals: Mapping[str, Counts] = {}
        for one in self._slices:
            totals = _added(totals, one.counts)
        known = self._reference.columns
        readings = [
            read_counts(name, known[name].bins, known[name].counts, counts)
            for name, counts in totals.items()
            if counts.any() and name not in self._hashed
        ]
        if not readings:
            return None
        left = {name: _UNCOUNTED for name in known if name not in totals} | dict.fromkeys(self._hashed, _HASHED)
        return Reading(judged(readings, policy), policy, self.requests, left, ())


def _added(some: Mapping[str, Counts], more: Mapping[str, Counts]) -> dict[str, Counts]:
    found = dict(some)
    for name, counts in more.items():
        found[name] = found[name] + counts if name in found else counts
    return found


def _count_numbers(bins: NumberBins, sketch: Sketch) -> Counts:
    pairs = [(number_of(key, sketch.level), times) for key, times in sketch.numbers.items()]
    for text, times in sketch.texts.items():
        # By their hash texts say no number, as any text that is none.
        said = np.inf if sketch.is_hashed else _FLAGS.get(text)
        pairs.append((float(as_numbers(column_of([text], ""))[0]) if said is None else said, times))
    numbers = np.repeat([number for number, _ in pairs], [times for _, times in pairs]).astype(np.float64)
    missing = np.full(sketch.missing, np.nan)
    return bins.count(np.concatenate([_at_edges(numbers, np.array(bins.edges)), missing]))


def _at_edges(numbers: Numbers, edges: Numbers) -> Numbers:
    """Return the numbers, those at an edge as far as 32 bits tell on it."""
    if not len(edges) or not len(numbers):
        return numbers
    place = np.searchsorted(edges, numbers).clip(1, max(len(edges) - 1, 1))
    low, high = edges[place - 1], edges[np.minimum(place, len(edges) - 1)]
    with np.errstate(invalid="ignore"):
        nearest = np.where(np.abs(numbers - low) <= np.abs(high - numbers), low, high)
        is_near = np.abs(numbers - nearest) <= _NEAR * np.abs(nearest)
    return np.where(is_near, nearest, numbers)


def _count_levels(bins: LevelBins, sketch: Sketch) -> Counts:
    times = dict(sketch.texts)
    if sketch.numbers:
        texts = as_levels(np.array([number_of(key, sketch.level) for key in sketch.numbers]))
        for text, number in zip(texts.tolist(), sketch.numbers.values(), strict=True):
            times[text] = times.get(text, 0) + number
    return bins.count_each(times, sketch.missing)
