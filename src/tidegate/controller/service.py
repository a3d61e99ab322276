"""What the API can ask of the controller: checked, recorded in the store, left to the reconcilers to bring about."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tidegate.contract.errors import Conflict, InvalidInput, NotFound, ReasonRequired, Unavailable
from tidegate.contract.findings import Finding
from tidegate.contract.names import check_name
from tidegate.contract.problems import shown
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller import (
    admission,
    freezing,
    health_admission,
    notifications,
    planning,
    readiness,
    registering,
    sizing,
)
from tidegate.controller.admission import Refusals
from tidegate.controller.clock import Clock
from tidegate.controller.courier import send_test
from tidegate.controller.drift.keeping import all_with_kept_references
from tidegate.controller.evidence import Measured
from tidegate.controller.freezing import Override
from tidegate.controller.home import Home
from tidegate.controller.measuring import refuse_unmeasurable
from tidegate.controller.monitoring import write_monitoring
from tidegate.controller.preview import preview
from tidegate.controller.readiness import Surroundings
from tidegate.controller.supervisor import Supervisor
from tidegate.controller.watching import as_plain, has_judge
from tidegate.gate.readiness import refuse_unready
from tidegate.gate.readiness import warnings as readiness_warnings
from tidegate.gateway.base import RevisionRef
from tidegate.rollout import Advance, Command, NotAllowed, Phase, Plan, ReasonMissing, Rollout, command, reweigh
from tidegate.store import Event, FreezeRow, NewEvent, RevisionRow, RolloutRow, StaleState, Store, VersionLink
from tidegate.target.base import Target

log = logging.getLogger(__name__)

#: Times a command is tried again when the loop changed the rollout in between.
COMMAND_TRIES = 20

#: SQLite's integers have 18 digits at least.
MAX_ID_DIGITS = 18

#: What the event is called by which a person gives arms other weights before there is a split.
WEIGHTS = "weights"


@dataclass(frozen=True)
class Accepted:
    """The answer to a deploy or a rollback. `rollout` is None and `created` False when there was nothing to do."""

    deployment: str
    revision: int
    rollout: int | None
    created: bool
    warnings: tuple[str, ...] = ()


class Service:
    """The controller's operations."""

    def __init__(self, home: Home, url: str, store: Store, target: Target, supervisor: Supervisor) -> None:
        """Tie the parts together; `url` is where this controller answers."""
        self.home = home
        self.url = url
        self.store = store
        self.target = target
        self.supervisor = supervisor

    async def deploy(
        self, document: Mapping[str, Any], override: Override | None = None, *, by: str = "somebody"
    ) -> Accepted:
        """Check the request and its artifact and begin a rollout; nothing is changed when this raises.

        Args:
            override: who deploys in spite of a freeze, and why; None: a freeze holds.
            by: who deploys.

        Raises:
            InvalidInput, NotTrusted, BreakingChange: the request or the artifact is not right.
            NotFound: it names a version that the model registry does not have.
            Conflict, Frozen, NotReady: a rollout of this deployment is under way, a freeze holds, or something that a
                rollout needs is not there.
        """
        request = parse_request(document)
        refusals = Refusals()
        admission.refuse_at_first_sight(request, refusals)
        request, choices = registering.pinned(request, self.store.registry)
        before = self.surroundings(request.name)
        # Before the artifact is loaded; the database says the first again when the rollout is recorded.
        admission.refuse_second_rollout(request.name, is_active=before.is_active)
        freezing.refuse_frozen(before.freezes, request.name, datetime.now(UTC), override)
        await notifications.refuse_undeliverable(request, os.environ)
        await health_admission.refuse_unrunnable(request)
        await refuse_unmeasurable(request, os.environ)
        around = self.surroundings(request.name)
        # Before a server is started on its port to be tried.
        refuse_unready(request.name, [await readiness.ports_of(around, request)])
        bundles = self.home.bundles
        if request.ab_test.arms:
            serving = request.model_artifact
            champion = await admission.bundled(serving, bundles, registering.kept(serving, choices, bundles))
            admission.refuse_other_champion(request, around.stable, champion)
        found = [
            await admission.admit(
                one,
                around.stable,
                bundles,
                bundles,
                refusals,
                kept=registering.kept(one.model_artifact, choices, bundles),
            )
            for one in request.candidates
        ]
        admitted = [one for one in found if one is not None]  # all of them: what is refused raises here
        admitted = await health_admission.all_with_kept_goldens(admitted, self.home.golden, write=True)
        admitted = await all_with_kept_references(admitted, self.home.references, write=True)
        findings: tuple[Finding, ...] = ()
        if not admission.has_nothing_to_do(around.stable, admitted):
            manifests = [one.info.manifest for one in admitted]
            findings = await readiness.examine(around, request, manifests, override, datetime.now(UTC))
            refuse_unready(request.name, findings)
        async with self.supervisor.changing(request.name):
            links = [registering.link_of(one.request, choices, by=by) for one in admitted]
            return self._begin_trial(admitted, override, findings, links)

    async def preview(self, document: Mapping[str, Any], override: Override | None = None) -> dict[str, Any]:
        """Return what `deploy` would do with the document; see `controller.preview`."""
        name = parse_request(document).name
        return await preview(document, self.surroundings(name), override)

    def surroundings(self, name: str) -> Surroundings:
        """Return in what a deployment of this name would begin now."""
        return readiness.around(self.home, self.store, self.target, name, self.supervisor.seen(name))

    def _begin_trial(
        self,
        admitted: Sequence[admission.Admitted],
        override: Override | None,
        findings: Sequence[Finding],
        versions: Sequence[VersionLink | None],
    ) -> Accepted:
        first, *others = admitted
        request, info = first.request, first.info
        stable = self._stable(request.name)
        if stable is not None and admission.has_nothing_to_do(stable, admitted):
            unheard = notifications.not_taken_over(request, planning.request_of(stable))
            return Accepted(request.name, stable.number, None, created=False, warnings=(*info.warnings, *unheard))
        # Once more: another rollout may have ended while the artifacts were loaded.
        comparisons = [admission.compared(stable, self.home.bundles, one.info) for one in admitted]
        for comparison in comparisons:
            admission.refuse_breaking(comparison, stable, allowed=request.gates.allow_breaking)
        if request.ab_test.arms:
            admission.refuse_no_champion(request, stable)
        stables = {stable.number: stable} if stable is not None else {}
        needed = sizing.stable_needs(request, stable, self.home.bundles)
        clock = Clock()

        def state(number: int | None, candidate: int) -> Mapping[str, Any]:
            plan = planning.plan_trial(request, stables[number] if number is not None else None, candidate, needed)
            return Rollout.begin(plan, clock.now(), clock.setting).for_storage()

        paths = ", ".join(one.request.model_artifact.path for one in admitted)
        message = "first revision" if stable is None else "revisions on trial" if others else "revision on trial"
        message += f": {paths}"
        short: tuple[str, ...] = ()
        if stable is not None:
            short = (*planning.never_measured_limits(request, stable, needed), *planning.too_short_steps(request))
        sized = sizing.warnings(request, stable, needed, [one.info.manifest for one in admitted])
        told = [told for comparison in comparisons for told in admission.told_of(comparison)]
        heard = [warning for one in admitted for warning in one.info.warnings]
        warnings = tuple(dict.fromkeys((*heard, *told, *readiness_warnings(findings), *short, *sized)))
        ready = [finding.as_dict() for finding in findings]
        data: dict[str, Any] = {"digest": info.digest, "warnings": list(warnings), "readiness": ready}
        holding = freezing.in_force(self.store.freezes.all(), request.name, datetime.now(UTC))
        freezing.refuse_frozen(holding, request.name, datetime.now(UTC), override)
        if (record := freezing.overridden(holding, override)) is not None:
            data["freeze_override"] = record
            message += f"; in spite of a freeze, says {record['by']}: {record['reason']}"
        kept = [admission.with_kept_golden(one.request, one.golden, self.home.golden).as_document() for one in admitted]
        row = self.store.start_rollout(
            request.name,
            digest=info.digest,
            request=kept[0],
            further=[(one.info.digest, document) for one, document in zip(others, kept[1:], strict=True)],
            versions=versions,
            plan_state=state,
            to_revision=None,
            happened=NewEvent("preparing", message, data=data),
            now=datetime.now(UTC),
        )
        self.supervisor.adopt(request.name)
        if stable is None:
            self._write_monitoring(request)
        return Accepted(request.name, row.to_revision, row.id, created=True, warnings=warnings)

    def _write_monitoring(self, request: DeploymentRequest) -> None:
        """Write the files of a first revision. Its rollout is under way, and does not fail for want of them."""
        try:
            write_monitoring(self.home, request)
        except OSError as error:
            log.warning("%s: the monitoring files could not be written: %s", request.name, error)

    async def rollback(self, name: str, to: int | None, *, by: str, reason: str) -> Accepted:
        """Begin the return to a revision that was stable before.

        Args:
            to: its number; None for the one that was stable before the current one.

        Raises:
            NotFound: no such deployment or revision.
            Conflict: a rollout is under way, or there is nothing to return to.
            NotReady: the gateway has no room for one more revision.
        """
        deployment = self.store.deployment(name)
        if deployment.stable is None:
            raise Conflict(f"{name!r} has no stable revision yet", subject=name)
        number = to if to is not None else self._previous_stable(deployment.id, deployment.stable, name)
        if number == deployment.stable:
            raise Conflict(f"revision {number} of {name!r} is the stable one already", subject=name)
        target = self.store.revision(deployment.id, number)
        stable = self.store.revision(deployment.id, deployment.stable)
        if number not in self._once_stable(deployment.id):
            raise Conflict(
                f"revision {number} of {name!r} was never stable, so it is not returned to without a trial",
                subject=name,
                hint="deploy its model again to try it",
            )
        if not (self.home.bundles / target.digest).exists():
            raise Conflict(f"the bundle of revision {number} is no longer there", subject=target.digest)
        refuse_unready(name, await readiness.examine_return(self.surroundings(name)))
        request, clock = planning.request_of(target), Clock()

        def state(found: int | None, candidate: int) -> Mapping[str, Any]:
            if found != stable.number:
                raise Conflict(f"the stable revision of {name!r} has just changed", subject=name, hint="try again")
            plan: Plan = planning.plan_return(request, stable, candidate)
            return Rollout.begin(plan, clock.now(), clock.setting).for_storage()

        message = f"{by} asked to return to revision {number}" + (f": {reason}" if reason else "")
        row = self.store.start_rollout(
            name,
            digest=target.digest,
            request=target.request,
            plan_state=state,
            to_revision=number,
            happened=NewEvent("preparing", message, data={"by": by, "reason": reason}),
            now=datetime.now(UTC),
        )
        self.supervisor.adopt(name)
        return Accepted(name, number, row.id, created=True)

    async def command(self, name: str, asked: Command, *, by: str, reason: str, arm: str | None = None) -> RolloutRow:
        """Do what a person asks of the running rollout.

        Args:
            arm: name of the challenger of an A/B test that is to be promoted.

        Raises:
            NotFound: no such deployment.
            Conflict: no rollout is under way, or its phase does not permit this.
            ReasonRequired: more users may meet the candidate by this, and its request demands a reason.
        """

        def decide(rollout: Rollout, now: datetime) -> Advance:
            return command(rollout, asked, now, by=by, reason=reason, arm=arm)

        return await self._decide(name, asked.value, decide, by=by, reason=reason)

    async def set_weights(self, name: str, weights: Mapping[str, float], *, by: str, reason: str) -> RolloutRow:
        """Give the arms of the running A/B test other weights; an arm with 0 is taken out.

        Args:
            weights: percent by the name of an arm; the others keep theirs, and stable gets the rest.

        Raises:
            NotFound: no such deployment.
            Conflict: no A/B test is under way, or it is decided.
            InvalidInput: there is no such arm, or the weights cannot be.
            ReasonRequired: an arm would get more users, and the request demands a reason.
        """

        def decide(rollout: Rollout, now: datetime) -> Advance:
            try:
                return reweigh(rollout, weights, now, by=by, reason=reason)
            except ValueError as error:
                raise InvalidInput(
                    str(error), subject=name, expected="percents by arm that leave something of 100 for stable"
                ) from error

        return await self._decide(name, WEIGHTS, decide, by=by, reason=reason)

    async def _decide(
        self, name: str, asked: str, decide: Callable[[Rollout, datetime], Advance], *, by: str, reason: str
    ) -> RolloutRow:
        deployment = self.store.deployment(name)
        for _ in range(COMMAND_TRIES):
            row = self.store.active_rollout(deployment.id)
            if row is None:
                last = self.store.last_rollout(deployment.id)
                raise Conflict(
                    f"no rollout of {name!r} is under way" + (_ended(last) if last is not None else ""),
                    subject=name,
                    hint=f"`tidegate status {name}` shows it",
                )
            clock = Clock()
            now = clock.now()
            before = Rollout.from_storage(row.state).on_clock(clock.setting)
            try:
                moved = decide(before, now)
            except NotAllowed as refused:
                raise Conflict(str(refused), subject=name, hint=_hint_of(name, before)) from refused
            except ReasonMissing as missing:
                raise _reason_required(name, asked, before, reason) from missing
            phase = moved.rollout.phase.value
            data: dict[str, Any] = {
                "from": row.phase,
                "phase": phase,
                "by": by,
                "command": asked,
                "reason": reason,
            }
            if asked == WEIGHTS:
                data |= {"step": moved.rollout.step, "weight": moved.rollout.challengers_weight}
            data |= self._evidence_at(name, row)
            kind = WEIGHTS if moved.transition is None else phase
            happened = NewEvent(kind, moved.rollout.reason, moved.rollout.plan.candidate, data)
            try:
                saved = self.store.save_transition(
                    row, moved.rollout.for_storage(), row.evidence, [happened], now, ended=False
                )
            except StaleState:
                continue
            except Unavailable:
                if moved.rollout.phase is Phase.ROLLING_BACK and self.supervisor.reserve.use():
                    continue
                raise
            self.supervisor.wake(name)
            return saved
        raise Conflict(f"the rollout of {name!r} changes too fast", subject=name, hint="try again")

    def _evidence_at(self, name: str, row: RolloutRow) -> dict[str, Any]:
        """Return what a person had before them when they decided, for the record."""
        measured = Measured.from_storage(row.evidence)
        if not measured.in_step:
            return {}
        seen, rollout = self.supervisor.seen(name), Rollout.from_storage(row.state)
        verdict = seen.verdict
        return {
            **(seen.of_arms(rollout) if rollout.arms else {}),
            "in_step": {str(number): totals.as_dict() for number, totals in measured.in_step.items()},
            "split_observed": measured.observed_percent(),
            "verdict": verdict.as_dict() if verdict is not None else None,
        }

    async def delete(self, name: str, *, by: str, reason: str) -> None:
        """Take the deployment out of production; its history stays in the store.

        Raises:
            NotFound: no such deployment.
            Conflict: a rollout is under way.
        """
        message = f"{by} deleted the deployment" + (f": {reason}" if reason else "")
        happened = NewEvent("deleted", message, data={"by": by, "reason": reason})
        async with self.supervisor.changing(name):
            self.store.delete_deployment(name, happened, datetime.now(UTC))
            await self.supervisor.release(name)

    def add_freeze(
        self, name: str | None, *, by: str, reason: str, starts_at: datetime | None, ends_at: datetime
    ) -> FreezeRow:
        """Let nothing be deployed to a deployment, or to any, for a span of time.

        Args:
            starts_at: None for at once.

        Raises:
            InvalidInput: the name cannot be one, or the span makes no sense.
        """
        now = datetime.now(UTC)
        begins = starts_at or now
        freezing.check_span(begins, ends_at, now)
        named = None if name is None else check_name(name, field="deployment")
        return self.store.freezes.add(named, reason=reason, by=by, starts_at=begins, ends_at=ends_at, now=now)

    async def events(self, name: str, *, after: int, rollout: int | None, wait: float) -> list[Event]:
        """Return events after `after`; when there are none, wait up to `wait` seconds for one."""
        deployment = self.store.deployment(name)
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            found = self.store.events(deployment.id, after=after, rollout_id=rollout)
            if found or asyncio.get_running_loop().time() >= deadline:
                return found
            await asyncio.sleep(0.1)

    def notifications(self, name: str) -> list[dict[str, Any]]:
        """Return the latest notifications of a deployment with every attempt to deliver them, newest last."""
        outbox = self.store.outbox
        rows = outbox.latest(self.store.deployment(name).id)
        return [notifications.view(row, outbox.attempts(row.id)) for row in rows]

    async def test_notifications(self, name: str, *, by: str) -> list[dict[str, Any]]:
        """Send a test to every receiver of notifications in the newest revision's request; return how each went.

        Raises:
            NotFound: no such deployment.
            Conflict: its request names nobody.
        """
        newest = self.store.revisions(self.store.deployment(name).id)[-1]
        found = newest.request.get("notifications", [])
        if not found:
            raise Conflict(
                f"the request of {name!r} names nobody to notify",
                subject=name,
                hint="add `notifications` to the request document and deploy it",
            )
        attempts = await asyncio.gather(*(send_test(name, one, by) for one in found))
        return [notifications.test_view(one, attempt) for one, attempt in zip(found, attempts, strict=True)]

    async def logs(self, name: str, revision: int | None, replica: int | None, lines: int) -> list[str]:
        """Return the last lines that the replicas of a revision wrote, in the order of their times.

        Args:
            revision: None for the one on trial, else the stable one, else the latest that failed.
            replica: None for all of them.
        """
        deployment = self.store.deployment(name)
        if revision is None:
            active = self.store.active_rollout(deployment.id)
            on_trial = Rollout.from_storage(active.state).plan.candidate if active is not None else None
            revision = on_trial if on_trial is not None else deployment.stable
        if revision is None:
            # A first deployment that failed: its log is where the reason is.
            revision = max((row.to_revision for row in self.store.rollouts(deployment.id)), default=None)
        if revision is None:
            raise NotFound(f"no revision of {name!r} serves", subject=name)
        request = planning.request_of(self.store.revision(deployment.id, revision))
        ref = RevisionRef(name, revision)
        if replica is not None:
            return await self.target.logs(ref, replica, lines)
        every = [await self.target.logs(ref, index, lines) for index in range(planning.replicas(request))]
        return merged(every)[-lines:]

    async def counted(self, name: str, reader: str) -> dict[str, Any]:
        """Return what the replicas of the stable revision counted by column since this reader last asked.

        Args:
            reader: a name of the caller's own choice, by which it is known when it asks again.

        Raises:
            NotFound: no such deployment.
            Conflict: it has no stable revision, or too many watch already.
        """
        deployment = self.store.deployment(name)
        if deployment.stable is None:
            raise Conflict(f"{name!r} has no stable revision yet", subject=name, hint=f"tidegate watch {name}")
        active = self.store.active_rollout(deployment.id)
        is_judged = active is not None and has_judge(Rollout.from_storage(active.state))
        found = await self.supervisor.watching.counted(
            RevisionRef(name, deployment.stable), reader, is_judged=is_judged
        )
        return {"revision": deployment.stable, "counted": as_plain(found)}

    def looks(self, row: RolloutRow) -> list[dict[str, Any]]:
        """Return the looks that were kept of a rollout; from its report where the store keeps them no more."""
        kept = self.store.looks(row.id)
        file = self.home.report(row.deployment, row.id, "json")
        if kept or row.ended_at is None or not file.exists():
            return kept
        written: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["looks"]
        return written

    def recording(self, row: RolloutRow) -> str:
        """Return what was recorded of a rollout, in the form of trial.recording; NotFound when nothing was."""
        try:
            return self.home.recording(row.deployment, row.id).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise NotFound(
                f"rollout {row.id} of {row.deployment!r} has no recording",
                subject=str(row.id),
                hint="only a rollout that reached its first step, with a stable revision beside it, is recorded",
            ) from None

    def _stable(self, name: str) -> RevisionRow | None:
        try:
            deployment = self.store.deployment(name)
        except NotFound:
            return None
        return self.store.revision(deployment.id, deployment.stable) if deployment.stable is not None else None

    def _once_stable(self, deployment_id: int) -> list[int]:
        return [row.to_revision for row in self.store.rollouts(deployment_id) if row.phase == Phase.PROMOTED]

    def _previous_stable(self, deployment_id: int, stable: int, name: str) -> int:
        earlier = [number for number in self._once_stable(deployment_id) if number != stable]
        if not earlier:
            raise Conflict(f"{name!r} has had no other stable revision to return to", subject=name)
        return earlier[-1]


def _ended(row: RolloutRow) -> str:
    """Return how a rollout ended, for who came too late to decide it."""
    return f"; the last one is {row.phase.replace('_', ' ')}: {Rollout.from_storage(row.state).reason}"


def _hint_of(name: str, rollout: Rollout) -> str | None:
    """Return what to type where a person has to choose among arms."""
    arms = [arm.name for arm in rollout.arms]
    why = ' --reason "…"' if rollout.plan.reason_required else ""
    return f"tidegate promote {name} --arm {arms[0]}{why}; or tidegate abort {name}" if len(arms) > 1 else None


def _reason_required(name: str, asked: str, rollout: Rollout, reason: str) -> ReasonRequired:
    """Return what is said to who decided without a reason that the request demands."""
    what = f"to give an arm of {name!r} more weight" if asked == WEIGHTS else f"to {asked} {name!r}"
    return ReasonRequired(
        f"{what} takes a reason: the request of revision {rollout.plan.candidate} has gates.requireReason",
        subject=name,
        expected="why, in words",
        got=shown(reason) if reason else "no reason",
        hint='Say why with --reason "…" (in the API and in Python: reason). To abort or roll back takes none.',
    )


def merged(logs: Sequence[Sequence[str]]) -> list[str]:
    """Merge logs by the time (`at`) of their JSON lines; a line without one stays behind the line before it."""
    timed: list[tuple[str, str]] = []
    for log in logs:
        last = ""
        for line in log:
            last = _time_of(line) or last
            timed.append((last, line))
    return [line for _, line in sorted(timed, key=lambda item: item[0])]


def _time_of(line: str) -> str | None:
    try:
        return str(json.loads(line)["at"])
    except (ValueError, KeyError, TypeError):
        return None


def parse_rollout_id(text: str) -> int:
    """Read a rollout's id; InvalidInput when it is none."""
    if not text.isdecimal() or len(text) > MAX_ID_DIGITS:
        raise InvalidInput(f"{text!r} is not the id of a rollout", expected="a whole number", got=text)
    return int(text)
