"""One deployment's loop: look at the world, let the engine decide, store the decision, make the world agree.

A tick may be cut short anywhere. What was decided is in the store before it is acted on, and every action may be
repeated, so the next tick, of this controller or of the next one, goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tidegate import judge
from tidegate.contract.errors import TidegateError
from tidegate.contract.request import DeploymentRequest
from tidegate.controller import arms, pacing, planning, trail
from tidegate.controller import health as wellness
from tidegate.controller.checking import Checks
from tidegate.controller.clock import Clock
from tidegate.controller.comparing import Comparer
from tidegate.controller.distributions import Distributions
from tidegate.controller.evidence import Measured
from tidegate.controller.gates import Gates
from tidegate.controller.home import Home
from tidegate.controller.measuring import MetricSource
from tidegate.controller.outcomes.aftermath import Aftermath
from tidegate.controller.outcomes.source import OutcomeSource
from tidegate.controller.papers import Papers
from tidegate.controller.protocols import answers_grpc
from tidegate.controller.recorder import Recorder
from tidegate.controller.resources import ResourceSource
from tidegate.controller.sources import Found, Look, Source, by_revision, distributions, unmeasured
from tidegate.gateway.base import Forced, Trial
from tidegate.rollout import (
    Advance,
    ArmSeen,
    Checked,
    EnsureReplicas,
    Observation,
    Phase,
    Rollout,
    SetSplit,
    SplitCheck,
    Transition,
    Verdict,
)
from tidegate.rollout.machine import actions
from tidegate.store import DeploymentRow, NewEvent, RevisionRow, RolloutRow, Store
from tidegate.target.base import RevisionHealth, Target
from tidegate.trial.counting import Totals
from tidegate.trial.rules import rules as rules_of

log = logging.getLogger(__name__)

#: Edges taken in one tick at most; a chain longer than this would be a machine that runs in circles.
MAX_EDGES = 8

#: What an A/B test tells of an arm that goes while others stay.
ARM_OUT = "arm_out"

_WATCHED = (Phase.BASELINE, Phase.SCALING, Phase.SHIFTING, Phase.ANALYZING, Phase.PAUSED, Phase.PROMOTING)


@dataclass
class Seen:
    """What the reconciler knows of the world now; lost with the process and found again by looking."""

    health: dict[int, RevisionHealth] = field(default_factory=dict)
    split: Mapping[int, float] | None = None
    mirror: float = 0
    verdict: judge.Verdict | None = None
    #: Of an A/B test, what the judge says of each arm; `verdict` is then that on the candidate.
    verdicts: Mapping[int, judge.Verdict] = field(default_factory=dict)
    comparison: Mapping[str, Any] | None = None
    measured: Measured | None = None
    looked_at: float = 0.0
    stable_down: bool = False
    kept_at: datetime | None = None
    restarts: dict[int, int] = field(default_factory=dict)
    checks: dict[int, wellness.Known] = field(default_factory=dict)
    rollout: int | None = None
    held: str | None = None
    trouble: str | None = None
    #: Whether users are to meet less of a candidate than before, and that is not stored or not in force yet.
    is_going_back: bool = False

    def of_arms(self, rollout: Rollout) -> dict[str, Any]:
        """Return what is known of the arms of an A/B test, for people."""
        return {"arms": arms.arms_view(rollout, self.verdicts), "comparison": self.comparison}


class Reconciler:
    """Drives one deployment. `tick` is called again and again, never twice at once."""

    def __init__(self, name: str, home: Home, store: Store, target: Target) -> None:
        self._name = name
        self._home = home
        self._store = store
        self._target = target
        self._revisions: dict[int, RevisionRow] = {}
        self._requests: dict[int, tuple[RevisionRow, DeploymentRequest]] = {}
        self._ending: dict[int, asyncio.Task[None]] = {}
        self._checks: dict[int, Checks] = {}
        self._comparer = Comparer(name, target)
        self._outcomes = OutcomeSource(store)
        self._distributions = Distributions(name, target)
        self._aftermath = Aftermath(store)
        self._beside: dict[int, tuple[Source, ...]] = {}
        self._recorder = Recorder(home, name)
        self._gates = Gates(store)
        self._waited: int | None = None
        self._pause = pacing.TICK_SECONDS
        self._clock = Clock()
        self._papers = Papers(name, home, store)
        self.seen = Seen()

    async def tick(self) -> float:
        """Bring the deployment one look further; return after how many seconds the next is due at the latest."""
        self._pause = pacing.TICK_SECONDS
        deployment = self._store.deployment(self._name)
        row = self._store.active_rollout(deployment.id)
        if row is None:
            await self._keep(deployment)
        else:
            await self._drive(deployment, row)
        await self._sweep(deployment)
        # Last, so that its failure stops nothing else.
        self._papers.keep(self._store.deployment(self._name))
        settled = all(health.ready == len(health.replicas) for health in self.seen.health.values())
        if not settled:
            return pacing.TICK_SECONDS
        return self._pause if row is not None else pacing.IDLE_SECONDS

    # Between rollouts

    async def _keep(self, deployment: DeploymentRow) -> None:
        self.seen.verdict = None
        self.seen.measured = None
        if deployment.stable is None:
            await self._set_split(SetSplit({}), None)
            return
        revision = self._revision(deployment, deployment.stable)
        request = self._request_of(revision)
        await self._ensure(deployment, None, revision.number, planning.replicas(request))
        await self._set_split(SetSplit({revision.number: 100}), request)
        told = await self._aftermath.look(deployment)
        if told is not None:
            self._papers.write_report(told)

    # During a rollout

    async def _drive(self, deployment: DeploymentRow, row: RolloutRow) -> None:
        if self.seen.rollout != row.id:
            # What was said of the candidate before must not be held against this one.
            self.seen.rollout, self.seen.verdict, self.seen.measured, self.seen.looked_at = row.id, None, None, 0.0
            self.seen.kept_at, self.seen.verdicts, self.seen.comparison = None, {}, None
            self._checks.clear()
            self._beside.clear()
        rollout = Rollout.from_storage(row.state).on_clock(self._clock.look())
        measured = Measured.from_storage(row.evidence)
        request = self._request_of(self._revision(deployment, rollout.plan.candidate))
        opening = self._gates.opening(row, rollout, request)
        self.seen.held = self._gates.held
        if opening.outcome == "hold":
            await self._wait_to_start(deployment, row, rollout, request)
            self._pause = pacing.IDLE_SECONDS
            return
        row, rollout = self._begun(row, rollout, measured)
        refused = opening.reason if opening.outcome == "refuse" else None
        # When going back, traffic comes first: users must not wait for a process to be looked after.
        self.seen.is_going_back = going_back = rollout.phase is Phase.ROLLING_BACK
        split_took = await self._put_split(rollout, request) if going_back else None
        if refused is None:
            await self._ensure_all(deployment, row, rollout)
        if not going_back:
            split_took = await self._put_split(rollout, request)
        await self._take_edges(row, rollout, measured, request, split_took, refused=refused)

    async def _take_edges(
        self,
        row: RolloutRow,
        rollout: Rollout,
        measured: Measured,
        request: DeploymentRequest,
        split_took: float | None,
        *,
        refused: str | None,
    ) -> None:
        """Look, decide, store and move traffic until there is nothing more to decide now.

        Args:
            row, rollout: the rollout as it is stored, with its times on the clock of this tick.
            split_took: what `_put_split` said of the state's traffic.
            refused: why a hook wants the candidate taken back, if one does.
        """
        rules = rules_of(request)
        for _ in range(MAX_EDGES):
            # Requests counted before the split came into force belong to the step before: look before the next begins.
            begun = self._clock.now()
            due = split_took is not None or rollout.phase is Phase.SHIFTING or self._ends_unseen(rollout, begun)
            measured, looked = await self._look(row, rollout, measured, request, rules, due=due)
            now = self._clock.now() if looked else begun
            moved = self._decide(row, rollout, measured, request, now, refused=refused)
            self.seen.is_going_back = (
                moved.rollout.phase is Phase.ROLLING_BACK
                or moved.rollout.challengers_weight < rollout.challengers_weight
            )
            if looked:
                self._keep_look(row, rollout, measured, now)
            if moved.transition is None:
                if looked or moved.rollout != rollout:
                    self._store.save_look(row, moved.rollout.for_storage(), measured.for_storage())
                if looked:
                    self._record_look(row, rollout, measured, request)
                if moved.rollout.traffic() == rollout.traffic():
                    self._pause = pacing.seconds_to_next(moved.rollout, request.analysis.interval.seconds, now)
                    return
                # A rollback that gave stable what its replicas can take: the rest follows as they become ready.
                row, rollout = self._store.rollout(row.id), moved.rollout
                split_took = await self._put_split(rollout, request)
                continue
            shown = measured
            if moved.rollout.phase is Phase.ANALYZING or moved.rollout.waits_at_step:
                measured = (
                    arms.enter_split(measured, moved.rollout, request)
                    if moved.rollout.arms
                    else measured.enter_step(moved.rollout.step, rules)
                )
            told = self._told(moved.transition, moved.rollout, rollout, shown, split_took)
            events = self._events(told, moved.transition, moved.rollout, rollout)
            row = self._store.save_transition(
                row,
                moved.rollout.for_storage(),
                measured.for_storage(),
                events,
                now,
                ended=moved.rollout.is_terminal,
                promoted=rollout.plan.candidate if moved.rollout.phase is Phase.PROMOTED else None,
            )
            before, rollout = rollout, moved.rollout
            if not rollout.is_terminal:
                # Traffic at once: the replicas that it goes to were ensured at the start of this tick.
                split_took = await self._put_split(rollout, request)
            if looked:
                self._record_look(row, before, shown, request)
            self._recorder.moved(row, rollout, shown, measured, request)
            if rollout.is_terminal:
                self._papers.rollout_ended()
                return
        log.error("%s: more than %d edges in one tick", self._name, MAX_EDGES)

    def _decide(
        self,
        row: RolloutRow,
        rollout: Rollout,
        measured: Measured,
        request: DeploymentRequest,
        now: datetime,
        *,
        refused: str | None,
    ) -> Advance:
        """Return what the engine makes of all that is seen, as far as hooks allow."""
        health = self.seen.health.get(rollout.plan.candidate)
        checks = {revision: self._checked(row, rollout, request, revision) for revision in rollout.on_trial}
        seen = replace(self._observation(rollout, measured, request, checks), refused=refused)
        addresses = [one.address for one in health.replicas if one.ready and one.address] if health else []
        self._gates.addresses = addresses
        moved = self._gates.advance(row, rollout, request, seen, now)
        self.seen.held = self._gates.held
        return moved

    def _checked(self, row: RolloutRow, rollout: Rollout, request: DeploymentRequest, revision: int) -> Checked | None:
        """Return what came of the checks on one revision before any user meets it."""
        checks = self._checks.setdefault(revision, Checks(self._name, self._home, self._store))
        of = rollout.of(revision) if rollout.arms else rollout
        return checks.look(row, of, request, self.seen.health.get(revision))

    def _record_look(self, row: RolloutRow, rollout: Rollout, measured: Measured, request: DeploymentRequest) -> None:
        # A recording holds what was counted, so that is what it can be judged by again.
        if rollout.arms:
            counted = self.seen.verdict
        else:
            rules = replace(rules_of(request), metrics=())
            counted = replace(measured, distributions={}).verdict(rules, mirror=rollout.mirror, weight=0)
        self._recorder.looked(row, rollout, measured, counted.outcome if counted is not None else None, request)

    async def _wait_to_start(
        self, deployment: DeploymentRow, row: RolloutRow, rollout: Rollout, request: DeploymentRequest
    ) -> None:
        """Serve as before while a hook holds the candidate's replicas back."""
        self._waited = row.id
        if rollout.plan.stable is not None:
            await self._ensure(deployment, row.id, rollout.plan.stable, rollout.plan.stable_replicas)
            await self._put_split(rollout, request)

    def _begun(self, row: RolloutRow, rollout: Rollout, measured: Measured) -> tuple[RolloutRow, Rollout]:
        """Let the time that the replicas have begin when they may start."""
        if self._waited != row.id or rollout.phase is not Phase.PREPARING:
            return row, rollout
        self._waited = None
        begun = rollout.evolve(phase_since=self._clock.now())
        return self._store.save_look(row, begun.for_storage(), measured.for_storage()), begun

    async def _ensure_all(self, deployment: DeploymentRow, row: RolloutRow, rollout: Rollout) -> None:
        for action in actions(rollout):
            if isinstance(action, EnsureReplicas):
                await self._ensure(deployment, row.id, action.revision, action.count)
        # RemoveReplicas is left to the sweep, which ends whatever is not wanted, whoever left it.

    async def _put_split(self, rollout: Rollout, request: DeploymentRequest) -> float | None:
        """Give the gateway the split of this state.

        Returns:
            Seconds from the decision, which is when the phase was entered, to the gateway's word that the split is in
            force; None when the split was in force before, or nobody can say.
        """
        changed = await self._set_split(rollout.traffic(), request, planning.forced(request, rollout))
        return (self._clock.now() - rollout.phase_since).total_seconds() if changed else None

    async def _look(
        self,
        row: RolloutRow,
        rollout: Rollout,
        measured: Measured,
        request: DeploymentRequest,
        rules: judge.Policy,
        *,
        due: bool,
    ) -> tuple[Measured, bool]:
        """Read the counters when a look is due: after each interval, and at once when the split has changed."""
        if rollout.phase not in _WATCHED or rollout.plan.stable is None:
            return measured, False
        clock = time.monotonic()
        since = clock - self.seen.looked_at
        if not due and since < request.analysis.interval.seconds:
            return measured, False
        self.seen.looked_at = clock
        try:
            reading = await self._target.read(self._name)
        except TidegateError as error:
            log.warning("%s: the counters could not be read: %s", self._name, error)
            told = f"the signals could not be measured: {error.message}"
            self.seen.verdict = judge.Verdict("error", told, (), None) if measured.step >= 0 else None
            if self.seen.verdict is not None and rollout.arms:
                self.seen.verdicts = dict.fromkeys(rollout.on_trial, self.seen.verdict)
            return measured, False
        objective_ms = request.serving_requirements.latency_p99.ms
        down = self._stable_down(rollout)
        measured, growth = measured.look(reading, objective_ms, down)
        measured = measured.see_ranges(reading, rollout)
        look = Look(row.id, rollout, request, growth, since, self.seen.health)
        measured, growth, founds = await self._ask_sources(measured, look, rollout.plan.stable)
        if rollout.phase is Phase.BASELINE:
            measured = measured.add_baseline(growth.get(rollout.plan.stable, Totals()))
        if rollout.arms:
            measured = arms.observe(measured, rollout, growth, request, is_whole=not down)
            self.seen.verdicts = arms.verdicts(measured, rollout, request, unmeasured(founds))
            self.seen.verdict = self.seen.verdicts.get(rollout.plan.candidate)
            self.seen.comparison = arms.comparison_view(measured, rollout, request)
        else:
            measured = measured.observe(rules, rollout, growth, is_whole=not down)
            measured = measured.compare(rules, distributions(founds))
            self.seen.verdict = measured.verdict(
                rules, mirror=rollout.mirror, weight=rollout.weight, unmeasured=unmeasured(founds)
            )
        self.seen.measured = measured
        return measured, True

    def _ends_unseen(self, rollout: Rollout, now: datetime) -> bool:
        """Say whether a step's time is up and was not at the last look: what is decided then is not to be old."""
        if rollout.phase is not Phase.ANALYZING or rollout.present is None:
            return False
        over = (now - rollout.phase_since).total_seconds() - rollout.present.duration_seconds
        return 0 <= over < time.monotonic() - self.seen.looked_at

    def _stable_down(self, rollout: Rollout) -> tuple[int, ...]:
        """Return the stable revision when it had no ready replica at this look or at the one before, else nothing."""
        stable = rollout.plan.stable
        health = self.seen.health.get(stable) if stable is not None else None
        was_down, self.seen.stable_down = self.seen.stable_down, health is not None and health.ready == 0
        return (stable,) if stable is not None and (was_down or self.seen.stable_down) else ()

    async def _ask_sources(
        self, measured: Measured, look: Look, stable: int
    ) -> tuple[Measured, dict[int, Totals], list[Found]]:
        """Return what is known and all growth, with what the sources counted since the last look."""
        growth, founds = dict(look.growth), []
        is_test = bool(look.rollout.arms)
        for nth, revision in enumerate(look.rollout.on_trial):
            # A source knows of two revisions, so each arm beside stable has sources and memories of its own.
            of, mark = (look.rollout.of(revision), arms.mark(revision)) if is_test else (look.rollout, "")
            # Distributions are of one candidate: what replicas counted is read once.
            for source in (*self._sources_of(revision), *(() if is_test else (self._distributions,))):
                name = f"{source.name}{mark}"
                found = await source.grown(replace(look, rollout=of, memory=measured.memories.get(name)))
                pairs = by_revision(found.grown, revision, stable)
                if nth:
                    del pairs[stable]  # counted with the first arm
                taken = {f"{metric}{mark}": several for metric, several in found.measurements.items()}
                measured, growth = measured.measure(taken).include(name, pairs, found.memory, growth)
                founds.append(found)
        return measured, growth, founds

    def _sources_of(self, revision: int) -> tuple[Source, ...]:
        if revision not in self._beside:
            self._beside[revision] = (MetricSource(self._name), ResourceSource())
        return self._comparer, self._outcomes, *self._beside[revision]

    def _keep_look(self, row: RolloutRow, rollout: Rollout, measured: Measured, now: datetime) -> None:
        """Keep what was seen for the report, the less often the longer the rollout has lasted."""
        last = self.seen.kept_at if self.seen.kept_at is not None else row.started_at
        if trail.is_due(row.started_at, last, now):
            self._store.add_look(row.id, trail.entry(rollout, measured, self.seen.verdict), now)
            self.seen.kept_at = now

    def _observation(
        self, rollout: Rollout, measured: Measured, request: DeploymentRequest, checks: Mapping[int, Checked | None]
    ) -> Observation:
        plan = rollout.plan
        candidate = self.seen.health.get(plan.candidate)
        stable = self.seen.health.get(plan.stable) if plan.stable is not None else None
        # After a restart of the controller the evidence is known before the first new look. After a look that failed
        # there is no verdict: what could not be measured is neither pass nor fail.
        said, of_arms = self.seen.verdict, self.seen.verdicts
        if not self.seen.looked_at:
            said = measured.verdict(rules_of(request), mirror=rollout.mirror, weight=rollout.weight)
            of_arms = arms.verdicts(measured, rollout, request)
        check = SplitCheck.UNKNOWN
        if measured.step == rollout.step and plan.stable is not None:
            check = arms.check_split(measured, rollout) if rollout.arms else measured.check_split(rollout)

        def heard(verdict: judge.Verdict | None) -> Verdict | None:
            if verdict is None or (verdict.outcome != "fail" and measured.step != rollout.step):
                return None
            return Verdict(verdict.outcome, verdict.reason)

        def arm(revision: int) -> ArmSeen:
            health = self.seen.health.get(revision)
            return ArmSeen(
                ready=health.ready if health else 0,
                restarts=health.restarts if health else 0,
                verdict=heard(of_arms.get(revision)),
                checks=checks.get(revision),
                unwell=wellness.unwell(health),
                critical=wellness.critical_failure(health, stable),
            )

        return Observation(
            candidate_ready=candidate.ready if candidate else 0,
            stable_ready=stable.ready if stable else 0,
            candidate_restarts=candidate.restarts if candidate else 0,
            split=self.seen.split,
            split_check=check,
            verdict=heard(said),
            mirror=self.seen.mirror,
            checks=checks.get(plan.candidate),
            unwell=wellness.unwell(candidate),
            critical=wellness.critical_failure(candidate, stable),
            arms={arm_.revision: arm(arm_.revision) for arm_ in rollout.arms},
        )

    def _events(self, told: NewEvent, edge: Transition, after: Rollout, before: Rollout) -> list[NewEvent]:
        """Return what is told of an edge: of the edge itself, and of every arm that went with it."""
        if not before.arms:
            return [told]
        # What was promoted was decided before its replicas were waited for, and the split of then is on record.
        is_promoted = before.phase is Phase.SCALING and after.phase is Phase.PROMOTING
        if before.present is not None and not is_promoted:
            told = replace(told, data={**told.data, **self.seen.of_arms(before)})
        gone = [arm for arm in before.arms if arm.name in after.gone and arm.name not in before.gone]
        out = [
            NewEvent(ARM_OUT, f"arm {arm.name} is out: {after.gone[arm.name]}", arm.revision, {"arm": arm.name})
            for arm in gone
        ]
        return out if edge.source is edge.target and out else [*out, told]

    def _told(
        self, edge: Transition, after: Rollout, before: Rollout, measured: Measured, split_took: float | None
    ) -> NewEvent:
        """Return the event that tells of an edge, with all that a report will want to know of it."""
        data: dict[str, object] = {
            "from": edge.source.value,
            "phase": edge.target.value,
            "step": after.step,
            "weight": after.challengers_weight,
            "split": {str(revision): weight for revision, weight in after.split().items()},
        }
        if after.mirror:
            data["mirror"] = after.mirror
        if after.waits_at_step:
            data["waits_at_step"] = True
        if before.mirror:
            data["disagreements"] = list(self._comparer.examples)
        if before.plan.stable is not None:
            data["requests"] = {str(number): totals.as_dict() for number, totals in measured.total.items()}
            data["ranges"] = measured.ranges.as_dict()
        if before.phase is Phase.BASELINE:
            data["baseline"] = measured.baseline.as_dict()
        if before.phase in (Phase.ANALYZING, Phase.PAUSED, Phase.PROMOTING):
            data["in_step"] = {str(number): totals.as_dict() for number, totals in measured.in_step.items()}
            data["split_observed"] = measured.observed_percent()
            data["verdict"] = self.seen.verdict.as_dict() if self.seen.verdict is not None else None
        if edge.by is not None:
            data["by"] = edge.by
        if split_took is not None:
            data["split_in_force_ms"] = round(split_took * 1000, 3)
        return NewEvent(edge.target.value, edge.reason, data=data)

    # The world

    async def _ensure(self, deployment: DeploymentRow, rollout_id: int | None, number: int, count: int) -> None:
        revision = self._revision(deployment, number)
        bundle = self._home.bundles / revision.digest
        request, grpc = self._request_of(revision), answers_grpc(bundle)
        spec = planning.spec(self._name, revision, request, bundle, self._home.golden, grpc=grpc)
        health = await self._target.ensure_replicas(spec, count)
        self.seen.health[number] = health
        self._tell_checks(deployment, rollout_id, number, health)
        known = self.seen.restarts.get(number)
        self.seen.restarts[number] = health.restarts
        if known is not None and health.restarts > known:
            exits = sorted({replica.last_exit for replica in health.replicas if replica.last_exit})
            message = (
                f"a replica of revision {number} died and is being replaced ({', '.join(exits) or 'no reason known'})"
            )
            data = {"restarts": health.restarts}
            happened = NewEvent("replica_died", message, number, data)
            self._store.add_event(deployment.id, rollout_id, happened, datetime.now(UTC))

    def _tell_checks(
        self, deployment: DeploymentRow, rollout_id: int | None, number: int, health: RevisionHealth
    ) -> None:
        """Record what checks say otherwise than before."""
        known = self.seen.checks.get(number, {})
        for happened in wellness.happened(number, health, known):
            self._store.add_event(deployment.id, rollout_id, happened, datetime.now(UTC))
        self.seen.checks[number] = {**known, **wellness.said(health)}

    async def _set_split(
        self, traffic: SetSplit, request: DeploymentRequest | None, forced: tuple[Forced, ...] = ()
    ) -> bool:
        """Return whether the traffic was changed and is in force.

        Args:
            forced: requests that get a revision whatever the split says.
            request: says how requests are treated on their way; None for a deployment that is taken off.
        """
        noted = request is not None and request.analysis.outcomes is not None
        trial = Trial(traffic.trial, traffic.mirror, noted) if traffic.trial is not None else None
        timeout = request.traffic.timeout.seconds if request is not None else 30.0
        sticky = planning.sticky(request) if request is not None else None
        try:
            change = await self._target.set_split(
                self._name, dict(traffic.split), timeout, trial, sticky, forced=forced
            )
        except TidegateError as error:
            log.warning("%s: the split could not be confirmed: %s", self._name, error)
            self.seen.split = None
            return False
        self.seen.split, self.seen.mirror = dict(traffic.split), traffic.mirror
        return change.changed

    async def _sweep(self, deployment: DeploymentRow) -> None:
        """Begin to end the replicas of revisions that neither serve nor are on trial; draining them takes its time."""
        row = self._store.active_rollout(deployment.id)
        wanted = {self._store.deployment(self._name).stable}
        if row is not None:
            rollout = Rollout.from_storage(row.state)
            wanted |= {row.from_revision, *rollout.on_trial, *rollout.leaving}
        for ref in await self._target.running():
            if ref.deployment == self._name and ref.revision not in wanted and ref.revision not in self._ending:
                task = asyncio.create_task(self._target.remove_revision(ref), name=f"end {ref}")
                self._ending[ref.revision] = task
                task.add_done_callback(partial(self._ended, ref.revision))

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        self._ending.pop(number, None)
        if not task.cancelled() and task.exception() is not None:
            log.warning("%s: revision %d could not be ended yet: %s", self._name, number, task.exception())
            return
        self.seen.health.pop(number, None)
        self.seen.restarts.pop(number, None)
        self.seen.checks.pop(number, None)

    def _revision(self, deployment: DeploymentRow, number: int) -> RevisionRow:
        known = self._revisions.get(number)
        if known is None or known.deployment_id != deployment.id:
            known = self._revisions[number] = self._store.revision(deployment.id, number)
        return known

    def _request_of(self, revision: RevisionRow) -> DeploymentRequest:
        """Return the request that made the revision, which is asked for at every tick, from memory."""
        parsed = self._requests.get(revision.number)
        if parsed is None or parsed[0] is not revision:
            parsed = self._requests[revision.number] = (revision, planning.request_of(revision))
        return parsed[1]
