"""What is counted of one revision: its requests as every gateway counts them, and what other sources count. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from tidegate import judge
from tidegate.trial.rules import DISAGREEMENT, tallies

_COUNTS = ("requests", "errors", "rejections", "slow")
_NOTHING = judge.Tally()


@dataclass(frozen=True)
class Totals:
    """Counts of one revision over some span of time.

    Attributes:
        further: by signal, what other sources than the gateway counted: events of any kind, and how many were bad.
        slower: how many took at least each of the bounds that `trial.bounds` names, in their order; `slow` is at the
            objective. Empty where no bounds were counted at. For replays; read by no decision.
        failed_as: of `errors`, how many ended with which status (see `gateway.base.Counts`). For people; read by no
            decision.
    """

    requests: int = 0
    errors: int = 0
    rejections: int = 0
    slow: int = 0
    further: Mapping[str, judge.Tally] = field(default_factory=dict)
    slower: tuple[int, ...] = ()
    failed_as: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Totals) -> Totals:
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        names = dict.fromkeys((*self.further, *other.further))
        slower = tuple(sum(both) for both in zip_longest(self.slower, other.slower, fillvalue=0))
        return Totals(
            **counts,
            further={name: self.of(name) + other.of(name) for name in names},
            slower=slower,
            failed_as=dict(Counter(self.failed_as) + Counter(other.failed_as)),
        )

    def since(self, earlier: Totals) -> Totals:
        """Return the growth from `earlier` to this; never negative."""
        counts = {name: max(0, getattr(self, name) - getattr(earlier, name)) for name in _COUNTS}
        further = {name: _since(now, earlier.of(name)) for name, now in self.further.items()}
        before = (*earlier.slower, *(0 for _ in self.slower))
        slower = tuple(max(0, count - known) for count, known in zip(self.slower, before, strict=False))
        # What was counted before statuses were is not growth.
        is_known = bool(earlier.failed_as) or not earlier.errors
        failed_as = dict(Counter(self.failed_as) - Counter(earlier.failed_as)) if is_known else {}
        return Totals(**counts, further=further, slower=slower, failed_as=failed_as)

    def of(self, signal: str) -> judge.Tally:
        """Return what another source counted of a signal; a tally of nothing if none did."""
        return self.further.get(signal, _NOTHING)

    def including(self, further: Mapping[str, judge.Tally]) -> Totals:
        """Return the counts with what other sources counted in the same time."""
        return replace(self, further={**self.further, **further}) if further else self

    def at_bound(self, number: int) -> Totals:
        """Return the counts as if a bound had been the objective, by its number among the bounds."""
        return replace(self, slow=self.slower[number])

    def tallies(self, rules: judge.Policy) -> dict[str, judge.Tally]:
        """Return one tally for every signal of the rules: a number of bad events among all of their kind."""
        usual = tallies(self.requests, self.errors, self.rejections, self.slow)
        counted = {**usual, **self.further}
        return {signal.name: counted.get(signal.name, _NOTHING) for signal in rules.signals}

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values for people: all but `slower`."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        if self.further:
            counts["further"] = {name: tally.as_dict() for name, tally in self.further.items()}
        if self.failed_as:
            counts["failed_as"] = dict(self.failed_as)
        return counts

    def for_storage(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` gives back an equal object."""
        return {**self.as_dict(), "slower": list(self.slower)} if self.slower else self.as_dict()

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Totals:
        """Read what `for_storage` gave, now or when comparisons of copied requests were two counts among the others."""
        further = {name: judge.Tally(**tally) for name, tally in stored.get("further", {}).items()}
        if stored.get("compared"):
            further[DISAGREEMENT] = judge.Tally(stored["compared"], stored["disagreed"])
        slower = tuple(int(count) for count in stored.get("slower", ()))
        failed_as = {str(status): int(count) for status, count in stored.get("failed_as", {}).items()}
        counts = {name: int(stored[name]) for name in _COUNTS}
        return cls(**counts, further=further, slower=slower, failed_as=failed_as)


def _since(now: judge.Tally, before: judge.Tally) -> judge.Tally:
    requests = max(0, now.requests - before.requests)
    return judge.Tally(requests, min(requests, max(0, now.bad - before.bad)))
