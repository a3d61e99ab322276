"""What one measurement of a metric says: by its conditions, beside stable, or as growth of counters. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate import judge
from tidegate.contract.conditions import Condition, ConditionError
from tidegate.contract.metrics import Compared, Metric

#: A counter beyond this is none that whole numbers can be taken from.
_MOST = float(1 << 53)
_SHOWN = 80


class NoNumberError(ValueError):
    """What was measured is not what is asked for; the message says why."""


@dataclass(frozen=True)
class Measurement:
    """How one measurement went, and what it showed, in words."""

    went: judge.Went
    detail: str


def by_conditions(metric: Metric, result: Any) -> Measurement:
    """Return what a metric's conditions say of a result.

    With one condition alone, what does not meet it is the opposite; with both, what meets neither is inconclusive.
    """
    told = f"result = {shown(result)}"
    try:
        if metric.failure_condition is not None and Condition(metric.failure_condition).holds(result):
            return Measurement("failure", f"{told}, which meets {metric.failure_condition}")
        if metric.success_condition is None:
            return Measurement("success", f"{told}, which does not meet {metric.failure_condition}")
        if Condition(metric.success_condition).holds(result):
            return Measurement("success", f"{told}, which meets {metric.success_condition}")
    except ConditionError as error:
        return Measurement("error", f"{told}: {error}")
    if metric.failure_condition is None:
        return Measurement("failure", f"{told}, which does not meet {metric.success_condition}")
    return Measurement("inconclusive", f"{told}, which meets neither condition")


def failing(metric: Metric) -> str:
    """Return when a measurement of a metric with a threshold fails, in the words of the document."""
    if metric.compare is not None:
        tolerance = metric.compare.tolerance
        allowed = f"the larger of {number_text(tolerance.absolute)} and {100 * tolerance.relative:g} % of stable's"
        way = {"increase": "above", "decrease": "below", "either": "away from"}[metric.compare.direction]
        return f"the candidate's value lies further {way} stable's than {allowed}"
    if metric.failure_condition is not None:
        return metric.failure_condition
    return f"not {metric.success_condition}"


def failed_beyond(limit: int) -> str:
    """Return when the failed measurements of a metric are too many."""
    if not limit:
        return "a measurement fails"
    return f"more than {limit} measurement{'s fail' if limit > 1 else ' fails'}"


def beside_stable(compared: Compared, candidate: float, stable: float, unit: str = "") -> Measurement:
    """Return whether the candidate's value lies further from stable's than is tolerated, in the harmful direction."""
    tolerance = compared.tolerance
    allowed = max(tolerance.absolute, tolerance.relative * abs(stable))
    off = candidate - stable
    harm = {"increase": off, "decrease": -off, "either": abs(off)}[compared.direction]
    way = "above" if off > 0 else "below"
    where = f"{number_text(abs(off))}{unit} {way} stable's {number_text(stable)}{unit}" if off else "as on stable"
    told = f"{number_text(candidate)}{unit}, {where}; {number_text(allowed)}{unit} tolerated"
    return Measurement("failure" if harm > allowed else "success", told)


def one_number(result: Any) -> float:
    """Return the one number that a result is, alone or in a list of one.

    Raises:
        NoNumberError: it is none, not finite, or several.
    """
    if isinstance(result, list):
        if len(result) != 1:
            raise NoNumberError("nothing was found" if not result else f"{len(result)} values were found, not one")
        result = result[0]
    if isinstance(result, bool) or not isinstance(result, int | float):
        raise NoNumberError(f"{shown(result)} is no number")
    try:
        number = float(result)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise NoNumberError(f"{number} is no finite number")
    return number


@dataclass(frozen=True)
class Counters:
    """Cumulative counters of one revision, whole numbers."""

    bad: int
    total: int

    @classmethod
    def of(cls, read: Sequence[Any], earlier: Counters | None, *, is_new: bool) -> Counters:
        """Read two results, of the bad events and of all. What was extrapolated is rounded down.

        Args:
            earlier: what was read last; None before the first time.
            is_new: whether the counters may have begun after the rollout did: a series that is not there is at zero.

        Raises:
            NoNumberError: they are no counters, or a series has gone: what comes back must not count twice.
        """
        bad, total = read
        none_yet = earlier is None and is_new
        return cls(
            _counter("bad", 0 if bad == [] and (earlier is None or earlier.bad == 0) else bad),
            _counter("total", 0 if total == [] and none_yet else total),
        )

    def since(self, earlier: Counters | None) -> tuple[judge.Tally, Counters]:
        """Return the growth, and what the next growth is counted from.

        A counter that fell was begun anew. The two are read one after the other, so bad events may be there before
        their total: those are left for the next time.
        """
        if earlier is None:
            return judge.Tally(), self
        total = self.total - earlier.total if self.total >= earlier.total else self.total
        bad = self.bad - earlier.bad if self.bad >= earlier.bad else self.bad
        counted = min(bad, total)
        return judge.Tally(total, counted), Counters(self.bad - (bad - counted), self.total)

    def as_list(self) -> list[int]:
        return [self.bad, self.total]


def counters_from(stored: Sequence[int] | None) -> Counters | None:
    return Counters(*stored) if stored else None


def _counter(name: str, result: Any) -> int:
    try:
        number = one_number(result)
    except NoNumberError as error:
        raise NoNumberError(f"{name}: {error}") from None
    if not 0 <= number <= _MOST:
        raise NoNumberError(f"{name} is {number_text(number)}, which no counter can be")
    return int(number)


def number_text(number: float) -> str:
    """Return a number as people write it: four digits that say something."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def shown(result: Any) -> str:
    """Return a result in a few words, however large it is."""
    match result:
        case bool():
            return str(result).lower()
        case float() | int():
            return number_text(float(result)) if abs(result) < _MOST else "a number that is too large"
        case str():
            return repr(result if len(result) <= _SHOWN else result[: _SHOWN - 1] + "…")
        case None:
            return "null"
        case list() if len(result) <= 3 and all(isinstance(each, int | float) for each in result):
            return f"[{', '.join(shown(each) for each in result)}]"
        case list():
            return f"a list of {len(result)}"
        case Mapping():
            return f"an object with {', '.join(sorted(map(str, result))[:3]) or 'nothing in it'}"[:_SHOWN]
        case _:
            return type(result).__name__
