"""How right answers were, by what really was, and whether they are less right than those of a reference. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import NormalDist
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.drift.significance import around
from tidegate.drift.sums import ERRORS, Measured, Rows, measure

#: Requests of which what really was is known, and rows of the rarest class, of which fewer can say nothing.
LEAST_REQUESTS, LEAST_OF_EACH = 100, 10
#: Figures that the rows of a class by itself decide.
_BY_CLASS = frozenset({"precision", "recall", "f1", "roc_auc"})


class Fared(StrEnum):
    """What is said of a figure, and of all, where the worst counts."""

    KEPT = "kept"
    INCONCLUSIVE = "inconclusive"
    WORSE = "worse"


@dataclass(frozen=True)
class Limits:
    """From when a figure is worse.

    Attributes:
        drop: what a share may lose, 0 to 1.
        rise: what an error may grow, as a share of what it was; of the bias, how far it may move, as a share of the
            mean absolute error that was.
        alpha: the chance that any figure is called worse where none is, above 0 and below 1.
    """

    drop: float = 0.05
    rise: float = 0.1
    alpha: float = 0.01

    def __post_init__(self) -> None:
        for name, value, whole in (("drop", self.drop, 1.0), ("rise", self.rise, math.inf)):
            if not 0 <= value < whole:
                raise InvalidInput(f"the {name} makes no sense", subject=name, expected="0 or above", got=f"{value:g}")
        if not 0 < self.alpha < 1:
            raise InvalidInput(
                "alpha is no probability", subject="alpha", expected="above 0, below 1", got=f"{self.alpha:g}"
            )


@dataclass(frozen=True)
class Value:
    """A figure of one window: what it was, None where it is not defined, and the 95 % interval of what it is a sample
    of."""

    value: float | None
    interval: tuple[float, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"value": self.value, "interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True)
class Figure:
    """One figure of two windows.

    Attributes:
        name: one of `sums.OF_CLASSES` or `sums.OF_NUMBERS`.
        needed: requests of the current window that would do, with a reference that is larger in the same measure; None
            where that is no matter of more.
    """

    name: str
    reference: Value
    current: Value
    state: Fared
    needed: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "figure": self.name,
            "state": str(self.state),
            "reference": self.reference.as_dict(),
            "current": self.current.as_dict(),
            "requestsNeeded": self.needed,
        }


@dataclass(frozen=True)
class Quality:
    """How right answers were in two windows.

    Attributes:
        requests, rows: of the reference and of the current window, of which what really was is known.
        rare: classes of which there are too few rows to say anything of them, and in which window; see `LEAST_OF_EACH`.
    """

    figures: tuple[Figure, ...]
    requests: tuple[int, int]
    rows: tuple[int, int]
    limits: Limits
    rare: Mapping[str, int] = field(default_factory=dict)

    @property
    def state(self) -> Fared:
        """The worst of the figures."""
        return max((figure.state for figure in self.figures), key=list(Fared).index)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "state": str(self.state),
            "requests": {"reference": self.requests[0], "current": self.requests[1]},
            "rows": {"reference": self.rows[0], "current": self.rows[1]},
            "limits": {"drop": self.limits.drop, "rise": self.limits.rise, "alpha": self.limits.alpha},
            "figures": [figure.as_dict() for figure in self.figures],
        }


def values_of(rows: Rows) -> dict[str, Value]:
    """Return the figures of one window, with at least one row."""
    measured = measure(rows)
    return {name: _value(measured, name) for name in measured.values}


def compare(reference: Rows, current: Rows, limits: Limits | None = None) -> Quality:
    """Say whether answers are less right than those of a reference, beyond chance.

    Args:
        reference, current: of one kind, with the same classes; at least one row each.
    """
    limits = limits or Limits()
    before, now = measure(reference), measure(current)
    names = [name for name in before.values if name in now.values]
    quantile = -NormalDist().inv_cdf(limits.alpha / len(names))
    figures = tuple(_figure(name, before, now, limits, quantile) for name in names)
    rarest = [measured.rarest for measured in (before, now)]
    rare = {one[0]: one[1] for one in rarest if one is not None and one[1] < LEAST_OF_EACH}
    return Quality(figures, (before.requests, now.requests), (before.rows, now.rows), limits, rare)


def _figure(name: str, before: Measured, now: Measured, limits: Limits, quantile: float) -> Figure:
    values = _value(before, name), _value(now, name)
    was, is_now = before.values[name], now.values[name]
    if math.isnan(was) or math.isnan(is_now):
        return Figure(name, *values, Fared.INCONCLUSIVE, None)
    fewest = min(before.requests, now.requests)
    is_rare = name in _BY_CLASS and any(
        one.rarest is not None and one.rarest[1] < LEAST_OF_EACH for one in (before, now)
    )
    tolerated = _tolerated(name, before, limits)
    spread = math.hypot(before.spread[name], now.spread[name])
    lost = abs(is_now - was) if name == "bias" else is_now - was if name in ERRORS else was - is_now
    if fewest < LEAST_REQUESTS or is_rare:
        state = Fared.INCONCLUSIVE
    elif lost - quantile * spread > tolerated:
        state = Fared.WORSE
    else:
        state = Fared.KEPT if lost + quantile * spread <= tolerated else Fared.INCONCLUSIVE
    needed = _needed(before, now, spread, tolerated / quantile) if state is Fared.INCONCLUSIVE else None
    return Figure(name, *values, state, needed)


def _tolerated(name: str, before: Measured, limits: Limits) -> float:
    if name not in ERRORS:
        return limits.drop
    return limits.rise * before.values["mae" if name == "bias" else name]


def _needed(before: Measured, now: Measured, spread: float, room: float) -> int | None:
    """Return how many requests it takes until the spread of the change is as small as `room`, if both windows grow."""
    if room <= 0:
        return None
    needed = math.ceil(now.requests * (spread / room) ** 2)
    few = LEAST_REQUESTS / min(before.requests, now.requests)
    needed = max(needed, math.ceil(few * now.requests))
    return needed if needed > now.requests else None


def _value(measured: Measured, name: str) -> Value:
    value = measured.values[name]
    if math.isnan(value) or bool(np.isnan(measured.draws[name]).all()):
        return Value(None, None)
    low, high = around(measured.draws[name], value)
    floor = 1.96 * measured.spread[name] if low == high == value else 0.0
    low, high = low - floor, high + floor
    if name != "bias":
        low = max(0.0, low)
    return Value(value, (low, high if name in ERRORS else min(1.0, high)))
