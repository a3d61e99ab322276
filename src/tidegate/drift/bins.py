"""Bins that a reference fixes once, and the counts of anything in them. Counts of the same bins add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput
from tidegate.drift.columns import Column, Levels, Numbers, as_levels, as_numbers

Counts = NDArray[np.int64]

#: Bins of numbers that lie dense, each with as much of the reference: the ten that people know of PSI.
NUMBER_BINS = 10
#: So many different numbers have a bin each.
MOST_NUMBERS = 20
#: So many levels have a bin each; of more, those that are frequent.
MOST_LEVELS = 50
#: Rows whose levels are counted at once, so that of a column in which each is another one no more are ever held.
_ROWS = 1 << 16
MISSING, UNSEEN, OTHER = "missing", "unseen", "other levels"


@dataclass(frozen=True)
class NumberBins:
    """Bins of numbers.

    The last two bins are "unseen" and "missing". Unseen is what no number of the reference is like: an infinity, a text
    that says no number, and, where each number has a bin, every other number.

    Attributes:
        edges: increasing. With `is_each` the numbers that have a bin each; else a bin reaches from above one edge to
            the next, the first and the last without end.
    """

    kind: ClassVar[str] = "number"
    edges: tuple[float, ...]
    is_each: bool = False

    @property
    def is_of_shares(self) -> bool:
        """Whether bins were made to hold equal parts of the reference."""
        return not self.is_each

    @property
    def names(self) -> tuple[str, ...]:
        """The bins, as people read them."""
        texts = _told_apart(self.edges)
        if self.is_each:
            return (*texts, UNSEEN, MISSING)
        inner = [f"({low}, {high}]" for low, high in pairwise(texts)]
        ends = (f"≤ {texts[0]}", *inner, f"> {texts[-1]}") if texts else ("any number",)
        return (*ends, UNSEEN, MISSING)

    def count(self, column: Column) -> Counts:
        """Return how many values are in which bin."""
        return self.count_ordered(np.sort(as_numbers(column)))

    def count_ordered(self, ordered: Numbers) -> Counts:
        """Do as `count` does, for numbers in increasing order, NaN last."""
        there = int(np.searchsorted(ordered, np.nan)) if len(ordered) else 0
        finite = ordered[:there]
        lowest, highest = np.searchsorted(finite, -np.inf, "right"), np.searchsorted(finite, np.inf)
        finite = finite[lowest:highest]
        infinite = there - len(finite)
        edges = np.array(self.edges)
        if self.is_each:
            each = np.searchsorted(finite, edges, "right") - np.searchsorted(finite, edges)
            return _with_ends(each, int(len(finite) - each.sum() + infinite), len(ordered) - there)
        places = np.concatenate([[0], np.searchsorted(finite, edges, "right"), [len(finite)]])
        return _with_ends(np.diff(places), infinite, len(ordered) - there)

    def as_plain(self) -> dict[str, Any]:
        """Return plain JSON values; `bins_from_plain` reads them."""
        return {"kind": self.kind, "edges": list(self.edges), "each": self.is_each}


@dataclass(frozen=True)
class LevelBins:
    """Bins of levels: one of each, then "other levels" where there is any, "unseen" and "missing".

    Attributes:
        levels: those with a bin, in order.
        others: what the reference has besides.
    """

    kind: ClassVar[str] = "level"
    is_of_shares: ClassVar[bool] = False
    levels: tuple[str, ...]
    others: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The bins, as people read them."""
        return (*self.levels, *([OTHER] if self.others else []), UNSEEN, MISSING)

    def count(self, column: Column) -> Counts:
        """Return how many values are in which bin; see `as_levels` for numbers."""
        counts = np.zeros(len(self.names), dtype=np.int64)
        for part in _parts(as_levels(column)):
            times = tally(part)
            counts += self.count_each(times, len(part) - times.total())
        return counts

    def count_each(self, times: Mapping[str, int], missing: int) -> Counts:
        """Do as `count` does, for levels that were counted."""
        counts = np.zeros(len(self.names), dtype=np.int64)
        counts[-1] = missing
        places = {level: place for place, level in enumerate(self.levels)}
        other = len(self.levels)
        for level, number in times.items():
            place = places.get(level)
            if place is None:
                place = other if level in self.others else -2
            counts[place] += number
        return counts

    def as_plain(self) -> dict[str, Any]:
        """Return plain JSON values; `bins_from_plain` reads them."""
        return {"kind": self.kind, "levels": list(self.levels), "others": sorted(self.others)}


Bins = NumberBins | LevelBins


def bins_from_plain(plain: Mapping[str, Any]) -> Bins:
    """Read what `as_plain` gave. Raises InvalidInput for anything else."""
    try:
        match plain["kind"]:
            case NumberBins.kind:
                return _number_bins_from(tuple(float(edge) for edge in plain["edges"]), is_each=bool(plain["each"]))
            case LevelBins.kind:
                return LevelBins(tuple(map(str, plain["levels"])), frozenset(map(str, plain["others"])))
            case kind:
                wrong = f"kind {kind!r}"
    except (KeyError, TypeError, ValueError) as error:
        wrong = f"{type(error).__name__}: {error}"
    raise InvalidInput(f"these are no bins: {wrong}", expected="what `tidegate drift reference` wrote")


def _number_bins_from(edges: tuple[float, ...], *, is_each: bool) -> NumberBins:
    if any(not low < high for low, high in pairwise(edges)):
        raise ValueError("edges do not increase")
    return NumberBins(edges, is_each)


def number_bins(ordered: Numbers) -> NumberBins:
    """Return the bins for a reference.

    Args:
        ordered: its finite numbers, in increasing order.
    """
    few = _few_different(ordered)
    if few is not None:
        return NumberBins(tuple(few), is_each=True)
    shares = np.arange(1, NUMBER_BINS) / NUMBER_BINS
    # The last number of each bin is one of the reference, so that bins have as equal parts of it as ties allow.
    places = np.ceil(shares * len(ordered)).astype(int) - 1
    edges = np.unique(ordered[places])
    return NumberBins(tuple(edges[edges < ordered[-1]].tolist()))


def _few_different(ordered: Numbers) -> list[float] | None:
    """Return the different numbers, or None where there are many; looks at no more than it must."""
    found: list[float] = []
    place = 0
    while place < len(ordered):
        if len(found) == MOST_NUMBERS:
            return None
        found.append(float(ordered[place]))
        place = int(np.searchsorted(ordered, ordered[place], "right"))
    return found


def _with_ends(inner: Any, unseen: int, missing: int) -> Counts:
    return np.concatenate([inner, [unseen, missing]]).astype(np.int64)


def tally(column: Levels, most: int | None = None) -> Counter[str]:
    """Return how often each level is there; what is missing is left out.

    Args:
        most: no rows are counted any more once there are more levels than this; None to count all.
    """
    times: Counter[str] = Counter()
    for part in _parts(column):
        times.update(part.tolist())
        times.pop(None, None)  # type: ignore[call-overload]
        if most is not None and len(times) > most:
            break
    return times


def _parts(column: Levels) -> Iterator[Levels]:
    return (column[start : start + _ROWS] for start in range(0, len(column), _ROWS))


def _told_apart(numbers: Sequence[float]) -> list[str]:
    """Return numbers with as few digits as tell them apart, three at least."""
    texts: list[str] = []
    for digits in range(3, 18):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts)) == len(texts):
            break
    return texts
