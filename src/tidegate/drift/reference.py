"""A reference: what data is compared with. Its bins are fixed when it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.drift.bins import MOST_LEVELS, Bins, Counts, LevelBins, bins_from_plain, number_bins, tally
from tidegate.drift.columns import Column, Levels, Numbers, as_levels, as_numbers, columns_of, numbers_in
from tidegate.drift.measures import kolmogorov_smirnov, wasserstein
from tidegate.drift.reading import ColumnReading, Policy, Reading, judged, read_counts

#: Numbers of a column that are written down, evenly spaced in their order: what the distances of the numbers are
#: measured against, to one in so many.
KEPT_NUMBERS = 10_000
#: A column with more levels than this names rows rather than kinds of them.
MOST_DIFFERENT = 100_000
_FORMAT = "tidegate.drift.reference/1"


@dataclass(frozen=True)
class ColumnReference:
    """What a reference has of a column: its bins, its counts in them, and of numbers the finite ones in order."""

    bins: Bins
    counts: Counts
    ordered: Numbers | None

    def compare(self, name: str, column: Column) -> ColumnReading:
        """Return how the column compares; see `read_counts` for what it raises."""
        if isinstance(self.bins, LevelBins):
            return read_counts(name, self.bins, self.counts, self.bins.count(column))
        ordered = np.sort(as_numbers(column))
        reading = read_counts(name, self.bins, self.counts, self.bins.count_ordered(ordered))
        finite = _finite(ordered)
        if self.ordered is None or not len(self.ordered) or not len(finite):
            return reading
        return replace(
            reading,
            kolmogorov_smirnov=kolmogorov_smirnov(self.ordered, finite),
            wasserstein=wasserstein(self.ordered, finite),
        )


class Reference:
    """What data is compared with. Make one with `of`, or read one that was written with `from_plain`.

    Attributes:
        rows: of the data that it was made of.
        columns: by name.
        skipped: columns that cannot be compared, and why.
    """

    def __init__(self, rows: int, columns: Mapping[str, ColumnReference], skipped: Mapping[str, str]) -> None:
        self.rows = rows
        self.columns = columns
        self.skipped = skipped

    @classmethod
    def of(cls, data: Any) -> Reference:
        """Make a reference of some rows; see `columns.columns_of` for what they can be.

        Raises:
            InvalidInput: they are none, or no column can be compared.
        """
        named = columns_of(data)
        rows = len(next(iter(named.values())))
        if rows < 2:
            raise InvalidInput("a reference needs rows", expected="two rows at least", got=f"{rows}")
        columns: dict[str, ColumnReference] = {}
        skipped: dict[str, str] = {}
        for name, column in named.items():
            numbers = numbers_in(column)
            found = _of_levels(as_levels(column)) if numbers is None else _of_numbers(numbers)
            if isinstance(found, str):
                skipped[name] = found
            else:
                columns[name] = found
        if not columns:
            raise InvalidInput("no column can be compared", got="; ".join(f"{n}: {why}" for n, why in skipped.items()))
        return cls(rows, columns, skipped)

    def compare(self, data: Any, policy: Policy | None = None) -> Reading:
        """Compare some rows with the reference. A column that they do not have is missing in every row.

        Args:
            policy: from when a change is drift; None for the defaults.

        Raises:
            InvalidInput: there are no rows, or no column of the reference.
        """
        named = columns_of(data)
        rows = len(next(iter(named.values())))
        if not named.keys() & self.columns.keys():
            raise InvalidInput(
                "the data has no column of the reference",
                expected=_some(self.columns),
                got=_some(named),
            )
        readings = [
            known.compare(name, named[name] if name in named else np.full(rows, np.nan))
            for name, known in self.columns.items()
        ]
        policy = policy or Policy()
        new = tuple(name for name in named if name not in self.columns and name not in self.skipped)
        return Reading(judged(readings, policy), policy, rows, self.skipped, new)

    def only(self, names: Sequence[str]) -> Reference:
        """Return the reference of these columns alone. Raises InvalidInput for one that it does not have."""
        for name in names:
            if name not in self.columns:
                raise InvalidInput(
                    f"the reference has no column {name!r}",
                    subject=name,
                    expected=_some(self.columns),
                    got=self.skipped.get(name),
                )
        return Reference(self.rows, {name: self.columns[name] for name in names}, {})

    def without_numbers(self) -> Reference:
        """Return the bins and counts alone: all that counts are compared with, and nothing of single rows."""
        columns = {name: replace(column, ordered=None) for name, column in self.columns.items()}
        return Reference(self.rows, columns, self.skipped)

    def as_plain(self) -> dict[str, Any]:
        """Return plain JSON values; `from_plain` reads them. Of the numbers of a column at most 10,000 are kept."""
        return {
            "format": _FORMAT,
            "rows": self.rows,
            "columns": {
                name: {
                    "bins": column.bins.as_plain(),
                    "counts": column.counts.tolist(),
                    **({} if column.ordered is None else {"numbers": _thinned(column.ordered).tolist()}),
                }
                for name, column in self.columns.items()
            },
            "skipped": dict(self.skipped),
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Reference:
        """Read what `as_plain` gave. Raises InvalidInput for anything else."""
        if not isinstance(plain, Mapping) or plain.get("format") != _FORMAT:
            raise InvalidInput("this is no reference", expected="what `tidegate drift reference` wrote")
        try:
            columns = {str(name): _column_from_plain(one) for name, one in plain["columns"].items()}
            skipped = {str(name): str(why) for name, why in plain["skipped"].items()}
            return cls(int(plain["rows"]), columns, skipped)
        except (AttributeError, KeyError, TypeError, ValueError) as wrong:
            raise InvalidInput(
                f"this reference is damaged: {type(wrong).__name__}: {wrong}",
                expected="what `tidegate drift reference` wrote",
            ) from wrong


def _column_from_plain(plain: Mapping[str, Any]) -> ColumnReference:
    bins = bins_from_plain(plain["bins"])
    counts = np.array(plain["counts"], dtype=np.int64)
    if counts.shape != (len(bins.names),) or (counts < 0).any() or not counts.any():
        raise ValueError("counts do not fit the bins")
    numbers = plain.get("numbers")
    ordered = None if numbers is None else np.array(numbers, dtype=np.float64).reshape(-1)
    if ordered is not None and not (np.isfinite(ordered).all() and (np.diff(ordered) >= 0).all()):
        raise ValueError("numbers are not in order")
    return ColumnReference(bins, counts, ordered)


def _of_numbers(column: Numbers) -> ColumnReference | str:
    ordered = np.sort(column)
    finite = _finite(ordered)
    if not len(finite):
        return "it has no numbers"
    bins = number_bins(finite)
    return ColumnReference(bins, bins.count_ordered(ordered), finite)


def _of_levels(column: Levels) -> ColumnReference | str:
    times = tally(column, MOST_DIFFERENT)
    if not times:
        return "it has no values"
    if len(times) > MOST_DIFFERENT:
        return f"it has more than {MOST_DIFFERENT:,} different levels, which name rows and not kinds of rows"
    if len(times) <= MOST_LEVELS:
        bins = LevelBins(tuple(sorted(times)))
        return ColumnReference(bins, _unseen_once(bins, times, len(column)), None)
    # Which levels are frequent is chosen by one half and counted in the other: those that are chosen for being frequent
    # are less so in other data, and what is unseen in a half is not in the whole.
    chosen = tally(column[::2])
    frequent = sorted(chosen, key=lambda level: (-chosen[level], level))[:MOST_LEVELS]
    bins = LevelBins(tuple(sorted(frequent)), frozenset(chosen) - frozenset(frequent))
    return ColumnReference(bins, bins.count(column[1::2]), None)


def _unseen_once(bins: LevelBins, times: Counter[str], rows: int) -> Counts:
    """Return the counts, with a level that stands there once as unseen: the rest of the rows has never seen it, and
    as much as those are of the reference will be unseen later without any drift (I. J. Good, 1953)."""
    once = sum(number == 1 for number in times.values())
    counts = bins.count_each({level: number for level, number in times.items() if number > 1}, rows - times.total())
    counts[-2] += once
    return counts


def _finite(ordered: Numbers) -> Numbers:
    low, high = np.searchsorted(ordered, -np.inf, "right"), np.searchsorted(ordered, np.inf)
    return ordered[low:high]


def _thinned(ordered: Numbers) -> Numbers:
    if len(ordered) <= KEPT_NUMBERS:
        return ordered
    middles = (np.arange(KEPT_NUMBERS) + 0.5) / KEPT_NUMBERS * len(ordered)
    return ordered[middles.astype(np.int64)]


def _some(names: Mapping[str, Any]) -> str:
    listed = list(names)
    return ", ".join(map(repr, listed[:5])) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
