"""From counters to evidence: what is stored of a rollout's measurements, and how a look extends it. Pure.

Counters only ever grow while the gateway lives; a look takes the growth since the look before. When the gateway was
started anew (another epoch) its counters began at zero, so all that they show is growth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tidegate import judge
from tidegate.gateway.base import Counts
from tidegate.rollout import Rollout, SplitCheck, check_mirror, check_split
from tidegate.target.base import Reading
from tidegate.trial.rules import DISAGREEMENT, tallies


@dataclass(frozen=True)
class Totals:
    """Counts of one revision over some span of time."""

    requests: int = 0
    errors: int = 0
    rejections: int = 0
    slow: int = 0
    #: Requests that were copied and answered by both revisions, and those that this one answered otherwise.
    compared: int = 0
    disagreed: int = 0

    @classmethod
    def of(cls, counts: Counts, objective_ms: float) -> Self:
        return cls(counts.requests, counts.errors, counts.rejections, counts.slower_than(objective_ms))

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, name) + getattr(other, name) for name in _TOTALS))

    def since(self, earlier: Totals) -> Totals:
        """Return the growth from `earlier` to this; never negative."""
        return Totals(*(max(0, getattr(self, name) - getattr(earlier, name)) for name in _TOTALS))

    def tallies(self) -> dict[str, judge.Tally]:
        """Return one tally per signal; every signal is a number of bad events among all requests."""
        seen = self.requests, self.errors, self.rejections, self.slow
        return tallies(*seen, compared=self.compared, disagreed=self.disagreed)

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in _TOTALS}


_TOTALS = ("requests", "errors", "rejections", "slow", "compared", "disagreed")


@dataclass(frozen=True)
class Measured:
    """What a rollout has measured so far.

    Attributes:
        epoch: of the gateway at the last look; None before the first.
        last: counters per revision at the last look.
        total: per revision, since the rollout began.
        baseline: of stable, before the first step.
        step: the step that `in_step` belongs to; -1 before the first.
        in_step: per revision, since the step's split came into force.
        window: per revision, what the split is checked on: as `in_step`, but begun anew whenever it disagreed with the
            weight. Requests are counted when they are answered, so that those sent by an earlier split come in late.
        evidence: the judge's, in its storage form; None before the first step.
    """

    epoch: str | None = None
    last: Mapping[int, Totals] = field(default_factory=dict)
    total: Mapping[int, Totals] = field(default_factory=dict)
    baseline: Totals = field(default_factory=Totals)
    step: int = -1
    in_step: Mapping[int, Totals] = field(default_factory=dict)
    window: Mapping[int, Totals] = field(default_factory=dict)
    evidence: Mapping[str, Any] | None = None

    def look(self, reading: Reading, objective_ms: float) -> tuple[Measured, dict[int, Totals]]:
        """Take a reading in; return what is known now and the growth of each revision since the last look."""
        now = {revision: Totals.of(counts, objective_ms) for revision, counts in reading.counts.items()}
        if self.epoch is None:
            growth = {revision: Totals() for revision in now}
        elif self.epoch == reading.epoch:
            growth = {revision: totals.since(self.last.get(revision, Totals())) for revision, totals in now.items()}
        else:
            growth = now
        total = {revision: self.total.get(revision, Totals()) + grown for revision, grown in growth.items()}
        return replace(self, epoch=reading.epoch, last=now, total={**self.total, **total}), growth

    def add_baseline(self, grown: Totals) -> Measured:
        return replace(self, baseline=self.baseline + grown)

    def enter_step(self, step: int, rules: judge.Policy) -> Measured:
        """Begin a step: evidence for the candidate starts anew, evidence against it is kept."""
        if self.step == step:
            return self
        if self.evidence is None:
            begun = judge.begin(rules, self.baseline.tallies())
        else:
            begun = judge.Evidence.from_storage(dict(self.evidence))
        return replace(self, step=step, in_step={}, window={}, evidence=judge.begin_step(rules, begun).for_storage())

    def observe(self, rules: judge.Policy, rollout: Rollout, growth: Mapping[int, Totals]) -> Measured:
        """Give the judge what one look brought; does nothing before the first step or without a stable revision."""
        candidate, stable = rollout.plan.candidate, rollout.plan.stable
        if self.evidence is None or stable is None:
            return self
        tried, kept = growth.get(candidate, Totals()), growth.get(stable, Totals())
        before = judge.Evidence.from_storage(dict(self.evidence))
        after = judge.observe(rules, before, tried.tallies(), kept.tallies())
        disagreed = self.check_split(rollout) is SplitCheck.CONTRADICTED
        return replace(
            self,
            in_step=_added(self.in_step, growth, candidate, stable),
            window=_added({} if disagreed else self.window, growth, candidate, stable),
            evidence=after.for_storage(),
        )

    def check_split(self, rollout: Rollout) -> SplitCheck:
        """Compare what was counted with what the rollout asks for: the candidate's weight, or the share of copies."""
        candidate, stable = rollout.plan.candidate, rollout.plan.stable
        if stable is None:
            return SplitCheck.UNKNOWN
        tried, kept = self.window.get(candidate, Totals()), self.window.get(stable, Totals())
        if rollout.mirror:
            return check_mirror(rollout.mirror, tried.requests, kept.requests)
        return check_split(rollout.weight, tried.requests, kept.requests)

    def observed_percent(self) -> dict[str, float] | None:
        """Return each revision's share of the requests that the split is checked on; None when there were none."""
        total = sum(counted.requests for counted in self.window.values())
        if not total:
            return None
        return {str(number): round(100 * counted.requests / total, 2) for number, counted in self.window.items()}

    def verdict(self, rules: judge.Policy, *, is_mirrored: bool = False) -> judge.Verdict | None:
        """Return what the judge says now; None before the first step.

        Args:
            is_mirrored: whether requests are copied in this step, so that answers are compared.
        """
        if self.evidence is None:
            return None
        idle = () if is_mirrored else (DISAGREEMENT,)
        return judge.assess(rules, judge.Evidence.from_storage(dict(self.evidence)), idle)

    def for_storage(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "last": _stored(self.last),
            "total": _stored(self.total),
            "baseline": self.baseline.as_dict(),
            "step": self.step,
            "in_step": _stored(self.in_step),
            "window": _stored(self.window),
            "evidence": dict(self.evidence) if self.evidence is not None else None,
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Measured:
        """Rebuild what `for_storage` gave; an empty mapping gives a rollout that has measured nothing."""
        if not stored:
            return cls()
        return cls(
            epoch=stored["epoch"],
            last=_read(stored["last"]),
            total=_read(stored["total"]),
            baseline=Totals(**stored["baseline"]),
            step=stored["step"],
            in_step=_read(stored["in_step"]),
            window=_read(stored["window"]),
            evidence=stored["evidence"],
        )


def _added(
    before: Mapping[int, Totals], growth: Mapping[int, Totals], candidate: int, stable: int
) -> dict[int, Totals]:
    return {number: before.get(number, Totals()) + growth.get(number, Totals()) for number in (candidate, stable)}


def _stored(totals: Mapping[int, Totals]) -> dict[str, dict[str, int]]:
    return {str(revision): counted.as_dict() for revision, counted in totals.items()}


def _read(stored: Mapping[str, Mapping[str, int]]) -> dict[int, Totals]:
    return {int(revision): Totals(**counted) for revision, counted in stored.items()}
