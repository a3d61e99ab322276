"""From counters to evidence: what is stored of a rollout's measurements, and how a look extends it. Pure.

Counters of a process of the gateway only ever grow; a look takes the growth since the look before. Those of a process
that was not there before (another epoch) began at zero, so all that they show is growth.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate import judge
from tidegate.controller import ranges
from tidegate.controller.growth import Known, remembered
from tidegate.gateway.base import Counts
from tidegate.judge import shift
from tidegate.rollout import Rollout, SplitCheck, check_mirror, check_split
from tidegate.target.base import Reading
from tidegate.trial.bounds import bounds_around
from tidegate.trial.comparing import Binned, compared
from tidegate.trial.counting import Totals
from tidegate.trial.measurements import Measurement
from tidegate.trial.rules import idle

#: Of the stored form; the first had no version.
VERSION = 3


@dataclass(frozen=True)
class Measured:
    """What a rollout has measured so far.

    Attributes:
        last: counters at the last look, with those of `_uncopied`; None before the first.
        total: per revision, since the rollout began.
        baseline: of stable, before the first step.
        step: the step that `in_step` belongs to; -1 before the first.
        in_step: per revision, since the step's split came into force.
        window: per revision, what the split is checked on: as `in_step`, but begun anew whenever it disagreed with the
            weight. Requests are counted when they are answered, so that those sent by an earlier split come in late.
        evidence: the judge's, in its storage form; None before the first step.
        measurements: what those of metrics with a threshold came to, by name.
        arms: of an A/B test, the judge's evidence on each arm, by its revision; empty before the first step.
        comparison: of an A/B test, how the arms compare, in its storage form.
        distributions: what is known of those that are compared, by signal and feature.
        memories: what each source of further counts wants to know at the next look, by its name; plain JSON values.
        ranges: what was counted to tell people what is normal; read by no decision.
        bounds: durations in milliseconds that slow requests are counted by beside the objective, set at the first look.
            Empty for all of a rollout that an earlier version began to measure.
    """

    last: Known[Totals] | None = None
    total: Mapping[int, Totals] = field(default_factory=dict)
    baseline: Totals = field(default_factory=Totals)
    step: int = -1
    in_step: Mapping[int, Totals] = field(default_factory=dict)
    window: Mapping[int, Totals] = field(default_factory=dict)
    evidence: Mapping[str, Any] | None = None
    measurements: Mapping[str, judge.Measurements] = field(default_factory=dict)
    memories: Mapping[str, Any] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    comparison: Mapping[str, Any] | None = None
    ranges: ranges.Seen = field(default_factory=ranges.Seen)
    bounds: tuple[int, ...] = ()
    distributions: Mapping[str, shift.Features] = field(default_factory=dict)

    def look(
        self, reading: Reading, objective_ms: float, down: Collection[int] = ()
    ) -> tuple[Measured, dict[int, Totals]]:
        """Take a reading in; return what is known now and the growth of each revision since the last look.

        While requests are copied, those that cannot be are left out of stable's growth: the candidate never sees the
        like, so they would excuse it, or condemn it.

        Args:
            down: revisions that had no replica to answer with in that time. What the gateway answered in their place is
                left out: it says nothing of the model, and would excuse another one that fails as often.
        """
        bounds = bounds_around(objective_ms) if self.last is None else self.bounds
        now = {
            process.epoch: {
                **{number: _counted(counts, objective_ms, bounds) for number, counts in process.counts.items()},
                **{
                    _uncopied(number): _counted(counts.uncopied, objective_ms, bounds)
                    for number, counts in process.counts.items()
                    if counts.uncopied is not None
                },
            }
            for process in reading.processes
        }
        # What was counted before the first look is nobody's growth.
        known = now if self.last is None else self.last
        growth: dict[int, Totals] = {}
        for epoch, counted in now.items():
            for revision, totals in counted.items():
                grown = totals.since(known.get(epoch, {}).get(revision, Totals()))
                growth[revision] = growth.get(revision, Totals()) + grown
        growth = {
            number: grown.since(growth.get(_uncopied(number), Totals()))
            for number, grown in growth.items()
            if number > 0 and number not in down
        }
        total = {revision: self.total.get(revision, Totals()) + grown for revision, grown in growth.items()}
        seen = replace(self, last=remembered(known, now), total={**self.total, **total}, bounds=bounds)
        return seen, growth

    def see_ranges(self, reading: Reading, rollout: Rollout) -> Measured:
        """Take a reading in for the ranges; a rollout without a stable revision has none."""
        if rollout.plan.stable is None:
            return self
        has_begun = rollout.step >= 0
        seen = self.ranges.look(reading, rollout.plan.stable, rollout.plan.candidate, has_begun=has_begun)
        return replace(self, ranges=seen)

    def include(
        self, source: str, found: Mapping[int, Mapping[str, judge.Tally]], memory: Any, growth: Mapping[int, Totals]
    ) -> tuple[Measured, dict[int, Totals]]:
        """Take in what another source counted in the time of the last look; return what is known, and all growth.

        Args:
            source: its name.
            found: growth per revision and signal.
            memory: what the source wants to know at the next look.
            growth: of each revision since the look before, as far as it is known.
        """
        more = {revision: Totals(further=counted) for revision, counted in found.items() if counted}
        total = {revision: self.total.get(revision, Totals()) + grown for revision, grown in more.items()}
        together = {revision: growth.get(revision, Totals()) + grown for revision, grown in more.items()}
        known = replace(self, total={**self.total, **total}, memories={**self.memories, source: memory})
        return known, {**growth, **together}

    def measure(self, taken: Mapping[str, Sequence[Measurement]]) -> Measured:
        """Take in what came of measurements that ended since the last look."""
        measurements = dict(self.measurements)
        for name, several in taken.items():
            for one in several:
                measurements[name] = measurements.get(name, judge.Measurements()).after(one.went, one.detail)
        return replace(self, measurements=measurements)

    def add_baseline(self, grown: Totals) -> Measured:
        return replace(self, baseline=self.baseline + grown)

    def enter_step(self, step: int, rules: judge.Policy) -> Measured:
        """Begin a step: evidence for the candidate starts anew, evidence against it is kept."""
        if self.step == step:
            return self
        if self.evidence is None:
            begun = judge.begin(rules, self.baseline.tallies(rules))
        else:
            begun = judge.Evidence.from_storage(dict(self.evidence))
        evidence = judge.begin_step(rules, begun).for_storage()
        measurements = {name: seen.at_new_step() for name, seen in self.measurements.items()}
        return replace(
            self,
            step=step,
            in_step={},
            window={},
            evidence=evidence,
            measurements=measurements,
            distributions={name: shift.begin_step(features) for name, features in self.distributions.items()},
        )

    def compare(self, rules: judge.Policy, found: Mapping[str, Mapping[str, Binned]]) -> Measured:
        """Give the judge what one look brought of distributions; does nothing before the first step."""
        if self.evidence is None:
            return self
        return replace(self, distributions=compared(rules, self.distributions, found))

    def observe(
        self, rules: judge.Policy, rollout: Rollout, growth: Mapping[int, Totals], *, is_whole: bool = True
    ) -> Measured:
        """Give the judge what one look brought; does nothing before the first step or without a stable revision.

        Args:
            is_whole: whether `growth` has every request, so that the split can be checked on it.
        """
        candidate, stable = rollout.plan.candidate, rollout.plan.stable
        if self.evidence is None or stable is None:
            return self
        tried, kept = growth.get(candidate, Totals()), growth.get(stable, Totals())
        before = judge.Evidence.from_storage(dict(self.evidence))
        after = judge.observe(rules, before, tried.tallies(rules), kept.tallies(rules))
        disagreed = self.check_split(rollout) is SplitCheck.CONTRADICTED
        window = {} if disagreed else self.window
        return replace(
            self,
            in_step=_added(self.in_step, growth, candidate, stable),
            window=_added(window, growth, candidate, stable) if is_whole else window,
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

    def verdict(
        self, rules: judge.Policy, *, mirror: float = 0, weight: float = 0, unmeasured: Mapping[str, str] | None = None
    ) -> judge.Verdict | None:
        """Return what the judge says now; None before the first step.

        Args:
            mirror: percent of the requests that are copied in this step.
            weight: percent of the requests that go to the candidate.
            unmeasured: by signal, why it could not be measured at the last look.
        """
        if self.evidence is None:
            return None
        known = judge.Evidence.from_storage(dict(self.evidence))
        apart = idle(mirror=mirror, weight=weight)
        return judge.assess(
            rules,
            known,
            apart,
            unmeasured or {},
            measurements=self.measurements,
            distributions=self.distributions,
        )

    def for_storage(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "last": None if self.last is None else {epoch: _stored(counted) for epoch, counted in self.last.items()},
            "total": _stored(self.total),
            "baseline": self.baseline.for_storage(),
            "step": self.step,
            "in_step": _stored(self.in_step),
            "window": _stored(self.window),
            "evidence": dict(self.evidence) if self.evidence is not None else None,
            "measurements": {name: seen.for_storage() for name, seen in self.measurements.items()},
            "memories": dict(self.memories),
            "arms": dict(self.arms),
            "comparison": self.comparison,
            "ranges": self.ranges.for_storage(),
            "bounds": list(self.bounds),
            "distributions": {
                signal: {name: known.for_storage() for name, known in features.items()}
                for signal, features in self.distributions.items()
            },
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Measured:
        """Rebuild what `for_storage` gave, in this version or an earlier one.

        An empty mapping gives a rollout that has measured nothing. Raises ValueError on a form of a later version.
        """
        if not stored:
            return cls()
        if stored.get("version", 1) > VERSION:
            raise ValueError(f"measurements were stored as version {stored['version']}, known up to {VERSION}")
        return cls(
            last=_last(stored),
            total=_read(stored["total"]),
            baseline=Totals.from_dict(stored["baseline"]),
            step=stored["step"],
            in_step=_read(stored["in_step"]),
            window=_read(stored["window"]),
            evidence=stored["evidence"],
            measurements={
                name: judge.Measurements.from_storage(seen) for name, seen in stored.get("measurements", {}).items()
            },
            memories=stored.get("memories", {}),
            arms=stored.get("arms", {}),
            comparison=stored.get("comparison"),
            ranges=ranges.Seen.from_storage(stored.get("ranges")),
            bounds=tuple(stored.get("bounds", ())),
            distributions={
                signal: {name: shift.Feature.from_storage(known) for name, known in features.items()}
                for signal, features in stored.get("distributions", {}).items()
            },
        )


def _last(stored: Mapping[str, Any]) -> Known[Totals] | None:
    if "epoch" not in stored:
        last = stored["last"]
        return None if last is None else {epoch: _read(counted) for epoch, counted in last.items()}
    # Up to version 2 the gateway was one process.
    return None if stored["epoch"] is None else {stored["epoch"]: _read(stored["last"])}


def _uncopied(revision: int) -> int:
    """Return the number under which those of a revision's requests are remembered that could not be copied."""
    return -revision


def _counted(counts: Counts, objective_ms: float, bounds: Sequence[int]) -> Totals:
    slow, *slower = (counts.slower_than(duration_ms) for duration_ms in (objective_ms, *bounds))
    return Totals(
        counts.requests,
        counts.errors,
        counts.rejections,
        slow,
        slower=tuple(slower),
        failed_as=counts.failed_as,
    )


def _added(
    before: Mapping[int, Totals], growth: Mapping[int, Totals], candidate: int, stable: int
) -> dict[int, Totals]:
    return {number: before.get(number, Totals()) + growth.get(number, Totals()) for number in (candidate, stable)}


def _stored(totals: Mapping[int, Totals]) -> dict[str, dict[str, Any]]:
    return {str(revision): counted.for_storage() for revision, counted in totals.items()}


def _read(stored: Mapping[str, Mapping[str, Any]]) -> dict[int, Totals]:
    return {int(revision): Totals.from_dict(counted) for revision, counted in stored.items()}
