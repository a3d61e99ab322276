"""Counts of requests in the bins of a reference, which add up: over replicas, moments and periods. Pure.

What replicas write down (`contract.sketch`) knows no bins; here it is put into those of a reference, once. From then on
a sum is all that any period costs, and it is compared as the rows themselves would be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

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
_FLAGS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Tally:
    """Counts of some requests.

    Attributes:
        requests: how many were counted.
        counts: in the bins of a reference, by column.
        hashed: columns of which something was counted by its hash, which says no level; what else was counted of them
            is not all there was.
    """

    requests: int = 0
    counts: Mapping[str, Counts] = field(default_factory=dict)
    hashed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reference: Reference, requests: int, columns: Mapping[str, Sketch]) -> Tally:
        """Return what replicas counted in the bins of a reference.

        Args:
            columns: by name; those that the reference does not have are passed over.
        """
        known = {name: reference.columns[name].bins for name in columns if name in reference.columns}
        found = {name: count_sketch(bins, columns[name]) for name, bins in known.items()}
        counts = {name: counts for name, counts in found.items() if counts is not None}
        return cls(requests, counts, frozenset(found.keys() - counts.keys()))

    def __add__(self, other: Tally) -> Tally:
        counts = dict(self.counts)
        for name, more in other.counts.items():
            counts[name] = counts[name] + more if name in counts else more
        return Tally(self.requests + other.requests, counts, self.hashed | other.hashed)

    def __sub__(self, other: Tally) -> Tally:
        """Return what was counted beyond `other`, an earlier state of these counts with the same columns."""
        counts = {name: counts - other.counts[name] for name, counts in self.counts.items()}
        return Tally(self.requests - other.requests, counts, self.hashed)

    def only(self, names: Collection[str]) -> Tally:
        """Return the same with these columns alone, as far as they are there."""
        counts = {name: counts for name, counts in self.counts.items() if name in names}
        return Tally(self.requests, counts, self.hashed & frozenset(names))

    def read(self, reference: Reference, policy: Policy) -> Reading | None:
        """Compare with the reference; None while nothing was counted that it has."""
        known = reference.columns
        readings = [
            read_counts(name, known[name].bins, known[name].counts, counts)
            for name, counts in self.counts.items()
            if counts.any() and name not in self.hashed
        ]
        if not readings:
            return None
        left = {name: _UNCOUNTED for name in known if name not in self.counts} | dict.fromkeys(self.hashed, _HASHED)
        return Reading(judged(readings, policy), policy, self.requests, left, ())

    def as_plain(self) -> dict[str, Any]:
        """Return plain JSON values; `from_plain` gives back an equal object."""
        counts = {name: counts.tolist() for name, counts in self.counts.items()}
        return {"requests": self.requests, "counts": counts, "hashed": sorted(self.hashed)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Tally:
        """Read what `as_plain` gave."""
        counts = {str(name): np.array(counts, dtype=np.int64) for name, counts in plain["counts"].items()}
        return cls(int(plain["requests"]), counts, frozenset(plain["hashed"]))


def count_sketch(bins: Bins, sketch: Sketch) -> Counts | None:
    """Return how many values are in which bin; None where texts were counted by their hash, which says no level."""
    if isinstance(bins, LevelBins):
        return None if sketch.is_hashed else _count_levels(bins, sketch)
    return _count_numbers(bins, sketch)


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
