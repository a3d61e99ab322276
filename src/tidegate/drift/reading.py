"""What a comparison found, column by column, and what is said of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.drift.bins import Bins, Counts
from tidegate.drift.division import division_chance, exact_chance
from tidegate.drift.measures import grouped, jensen_shannon, population_stability_index
from tidegate.drift.significance import area_of, holm, rows_needed, rows_needed_together
from tidegate.drift.unseen import unseen_chance


class State(StrEnum):
    """What is said of a column, and of all together, where the worst of the columns counts."""

    NONE = "none"
    INCONCLUSIVE = "inconclusive"
    MODERATE = "moderate"
    LARGE = "large"


@dataclass(frozen=True)
class Policy:
    """From when a change is drift.

    Attributes:
        moderate, large: of the PSI, above 0.
        alpha: the chance of calling anything drift where there is none, over all columns of a comparison; above 0 and
            below 1.
    """

    moderate: float = 0.1
    large: float = 0.25
    alpha: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.moderate <= self.large < float("inf"):
            raise InvalidInput(
                "the thresholds of the PSI make no sense",
                subject="moderate, large",
                expected="0 < moderate ≤ large",
                got=f"{self.moderate:g}, {self.large:g}",
            )
        if not 0 < self.alpha < 1:
            raise InvalidInput(
                "alpha is no probability", subject="alpha", expected="above 0, below 1", got=f"{self.alpha:g}"
            )


@dataclass(frozen=True)
class ColumnReading:
    """One column, compared.

    Attributes:
        kind: "number" or "level".
        bins: their names.
        reference, current: counts in them.
        psi: the population stability index over them.
        jensen_shannon: distance, 0 to 1, over them.
        chance: of so large a difference of the counts without drift (χ² of homogeneity with exact chances of its parts;
            of levels that are too few for it, Fisher's exact test; of those that the reference has hardly seen, an
            e-value), the number of columns respected (Holm).
        kolmogorov_smirnov: distance of the distribution functions of the numbers that are there; None for levels.
        wasserstein: in the unit of the column; None for levels.
        rows_needed: of the current data, until a moderate PSI is more than chance does; None where the reference is too
            small for any number of rows.
        state: what is said of it.
    """

    name: str
    kind: str
    bins: tuple[str, ...]
    reference: tuple[int, ...]
    current: tuple[int, ...]
    psi: float
    jensen_shannon: float
    chance: float
    rows_needed: int | None
    kolmogorov_smirnov: float | None = None
    wasserstein: float | None = None
    state: State = State.INCONCLUSIVE

    @property
    def missing(self) -> tuple[float, float]:
        """Shares of the reference and of the current data that are missing."""
        return self._share(-1)

    @property
    def unseen(self) -> tuple[float, float]:
        """Shares of the reference and of the current data that the reference has never seen.

        Of the reference's own it is what stands in it once, which the rest of it had not seen.
        """
        return self._share(-2)

    def _share(self, place: int) -> tuple[float, float]:
        return self.reference[place] / sum(self.reference), self.current[place] / sum(self.current)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        missing, unseen = self.missing, self.unseen
        return {
            "column": self.name,
            "kind": self.kind,
            "state": str(self.state),
            "psi": self.psi,
            "chance": self.chance,
            "jensenShannon": self.jensen_shannon,
            "kolmogorovSmirnov": self.kolmogorov_smirnov,
            "wasserstein": self.wasserstein,
            "missing": {"reference": missing[0], "current": missing[1]},
            "unseen": {"reference": unseen[0], "current": unseen[1]},
            "rowsNeeded": self.rows_needed,
            "bins": [
                {"bin": name, "reference": before, "current": now}
                for name, before, now in zip(self.bins, self.reference, self.current, strict=True)
            ],
        }


@dataclass(frozen=True)
class TogetherReading:
    """All columns at once: how well a classifier tells current rows from the reference's.

    Attributes:
        area: under its ROC curve for rows that it has not seen; 0.5 where it cannot tell them apart, 1 where it always
            does.
        chance: of so large an area without drift.
        rows: of the reference and of the current data.
        used: how many of them were looked at.
        rows_needed: of the current data, until an area that is a moderate change is more than chance does; None where
            the reference is too small for any number of rows.
        columns: by name, how much of the area is lost without the column, the most first; empty without drift.
        state: what is said of it.
    """

    area: float
    chance: float
    rows: tuple[int, int]
    used: tuple[int, int]
    rows_needed: int | None
    state: State
    columns: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_drift(self) -> bool:
        return self.state in (State.MODERATE, State.LARGE)

    def by(self, columns: Mapping[str, float]) -> TogetherReading:
        """Return the same with the columns that tell the sides apart."""
        return replace(self, columns=columns)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "state": str(self.state),
            "area": self.area,
            "chance": self.chance,
            "rows": {"reference": self.used[0], "current": self.used[1]},
            "rowsNeeded": self.rows_needed,
            "columns": [{"column": name, "lost": lost} for name, lost in self.columns.items()],
        }


@dataclass(frozen=True)
class Reading:
    """All columns, compared.

    Attributes:
        columns: the largest PSI first.
        skipped: columns that were not compared, and why.
        new: columns that the reference does not have.
        rows: of the current data.
        together: all columns at once; None where they were compared one by one alone.
    """

    columns: tuple[ColumnReading, ...]
    policy: Policy
    rows: int
    skipped: Mapping[str, str]
    new: tuple[str, ...]
    together: TogetherReading | None = None

    @property
    def state(self) -> State:
        """The worst of the columns, and of all together; inconclusive is worse than none."""
        states = [column.state for column in self.columns]
        if self.together is not None:
            states.append(self.together.state)
        return _ORDER[max(map(_ORDER.index, states), default=0)]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "state": str(self.state),
            "rows": self.rows,
            "thresholds": {"moderate": self.policy.moderate, "large": self.policy.large, "alpha": self.policy.alpha},
            "columns": [column.as_dict() for column in self.columns],
            "skipped": dict(self.skipped),
            "new": list(self.new),
            **({} if self.together is None else {"together": self.together.as_dict()}),
        }


#: What the tests of few values, and of what the reference has hardly seen, have of the chance of a false alarm. The
#: rest is χ²'s, by which most drift is seen.
_FOR_THE_FEW, _FOR_THE_UNSEEN = 0.1, 0.02
_ORDER = (State.NONE, State.INCONCLUSIVE, State.MODERATE, State.LARGE)


def read_counts(name: str, bins: Bins, reference: Counts, current: Counts) -> ColumnReading:
    """Compare the counts of a column. `judged` says what to make of it.

    Raises:
        InvalidInput: either side has no rows.
    """
    for counts, what in ((reference, "the reference"), (current, "the current data")):
        if not counts.sum():
            raise InvalidInput(f"{what} of column {name!r} has no rows", subject=name, expected="one row at least")
    return ColumnReading(
        name=name,
        kind=bins.kind,
        bins=bins.names,
        reference=tuple(reference.tolist()),
        current=tuple(current.tolist()),
        psi=population_stability_index(reference, current),
        jensen_shannon=jensen_shannon(reference, current),
        chance=_chance(bins, reference, current),
        rows_needed=None,
    )


def _chance(bins: Bins, reference: Counts, current: Counts) -> float:
    return (_chance_of_shares if bins.is_of_shares else _chance_of_levels)(reference, current)


def _chance_of_levels(reference: Counts, current: Counts) -> float:
    """Return the chance where each level, or number, has a bin."""
    totals = int(reference.sum()), int(current.sum())
    # What the reference has never seen, or once, is in its bin because of how often it was seen. How much there is of
    # it is chance only together with all that is rare.
    hardly = reference == 0
    hardly[-2], hardly[-1] = True, False
    found = grouped(reference, current, hardly)
    seen = reference[:-2]
    unseen = unseen_chance(seen[seen > 0], int(reference[-2]), int(current[hardly].sum()), totals)
    rest, chances = 1 - _FOR_THE_UNSEEN, [unseen / _FOR_THE_UNSEEN]
    if found.rare is not None:
        rest -= _FOR_THE_FEW
        chances.append(exact_chance(found.rare, totals) / _FOR_THE_FEW)
    return min(1.0, *chances, division_chance(found.reference, found.current) / rest)


def _chance_of_shares(reference: Counts, current: Counts) -> float:
    """Return the chance where the reference fixed how much of it each bin holds, but for what is unseen or missing."""
    # These two first, then the others in their order, each of which ends with a number of the reference.
    first, second = np.roll(reference, 2), np.roll(current, 2)
    seen, ends = first + second > 0, np.arange(len(first)) >= 2
    return division_chance(first[seen], second[seen], ends=ends[seen])


def judged(columns: Sequence[ColumnReading], policy: Policy) -> tuple[ColumnReading, ...]:
    """Return the columns with what is said of each, the largest PSI first."""
    chances = holm([column.chance for column in columns])
    found = []
    for column, chance in zip(columns, chances, strict=True):
        filled = sum(1 for counts in zip(column.reference, column.current, strict=True) if any(counts))
        needed = rows_needed(policy.moderate, policy.alpha / len(columns), filled, sum(column.reference))
        found.append(replace(column, chance=chance, rows_needed=needed, state=_state(column, chance, needed, policy)))
    return tuple(sorted(found, key=lambda column: -column.psi))


def told_together(
    area: float, chance: float, *, rows: tuple[int, int], used: tuple[int, int], policy: Policy
) -> TogetherReading:
    """Return what is said of all columns at once. An area is as large a change as the PSI of `area_of`.

    Args:
        chance: of the area, without drift.
        rows, used: of the reference and of the current data, and how many of them were looked at.
    """
    moderate, large = area_of(policy.moderate), area_of(policy.large)
    needed = rows_needed_together(moderate, policy.alpha, used[0])
    state = State.NONE
    if area >= moderate:
        state = State.LARGE if area >= large else State.MODERATE
        if chance > policy.alpha:
            state = State.INCONCLUSIVE
    elif needed is None or used[1] < needed:
        state = State.INCONCLUSIVE
    return TogetherReading(area, chance, rows, used, needed, state)


def _state(column: ColumnReading, chance: float, needed: int | None, policy: Policy) -> State:
    if column.psi >= policy.moderate:
        if chance > policy.alpha:
            return State.INCONCLUSIVE
        return State.LARGE if column.psi >= policy.large else State.MODERATE
    return State.INCONCLUSIVE if needed is None or sum(column.current) < needed else State.NONE
