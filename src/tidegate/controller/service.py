"""What the API can ask of the controller: checked, recorded in the store, left to the reconcilers to bring about."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any

from tidegate.artifact.build import BuildRequest, BundleInfo, build_bundle
from tidegate.contract.errors import Conflict, InvalidInput, NotFound
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller import notifications, planning
from tidegate.controller.courier import send_test
from tidegate.controller.home import Home
from tidegate.controller.monitoring import write_monitoring
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.base import RevisionRef
from tidegate.rollout import Command, NotAllowed, Phase, Plan, Rollout, command
from tidegate.store import Event, NewEvent, RevisionRow, RolloutRow, StaleState, Store
from tidegate.target.base import Target
from tidegate.target.process import CACHE_URL_VARIABLE

log = logging.getLogger(__name__)

#: Times a command is tried again when the loop changed the rollout in between.
COMMAND_TRIES = 20

#: Entry points of what takes logged predictions.
SINKS = "tidegate.prediction_sinks"

#: SQLite's integers have 18 digits at least.
MAX_ID_DIGITS = 18

#: Whatever the replicas say, and for a better reason.
_PROMOTE_IS_REFUSED = (Phase.PREPARING, Phase.PROMOTING, Phase.ROLLING_BACK)


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

    async def deploy(self, document: Mapping[str, Any]) -> Accepted:
        """Check the request and its artifact and begin a rollout; nothing is changed when this raises.

        Raises:
            InvalidInput, NotTrusted: the request or the artifact is not right.
            Conflict: a rollout of this deployment is under way.
        """
        request = parse_request(document)
        planning.refuse_unsupported(request)
        planning.refuse_unreachable_cache(
            request, os.environ.get(CACHE_URL_VARIABLE), has_client=find_spec("redis") is not None
        )
        _refuse_unknown_sink(request.prediction_log.sink)
        self._refuse_second_rollout(request.name)
        artifact = request.model_artifact
        _refuse_relative(artifact.path, artifact.sample, request.prediction_log.path)
        _refuse_relative(*(one.url_from_file for one in (*request.notifications, *request.hooks)))
        await notifications.refuse_undeliverable(request, os.environ)
        info = await build_bundle(
            BuildRequest(
                path=Path(artifact.path),
                framework=artifact.framework,
                version=artifact.version,
                trust=artifact.trust,
                sample_path=Path(artifact.sample) if artifact.sample is not None else None,
                settings=artifact.settings,
            ),
            self.home.bundles,
        )
        if info.manifest.signature["kind"] == "opaque":
            planning.refuse_what_a_command_ignores(request)
        async with self.supervisor.changing(request.name):
            return self._begin_trial(request, info)

    def _begin_trial(self, request: DeploymentRequest, info: BundleInfo) -> Accepted:
        artifact = request.model_artifact
        stable = self._stable(request.name)
        if stable is not None and stable.digest == info.digest and _same_settings(stable, request):
            unheard = notifications.not_taken_over(request, planning.request_of(stable))
            return Accepted(request.name, stable.number, None, created=False, warnings=(*info.warnings, *unheard))
        stables = {stable.number: stable} if stable is not None else {}

        def state(number: int | None, candidate: int) -> Mapping[str, Any]:
            plan = planning.plan_trial(request, stables[number] if number is not None else None, candidate)
            return Rollout.begin(plan, datetime.now(UTC)).for_storage()

        message = f"revision on trial: {artifact.path}" if stable is not None else f"first revision: {artifact.path}"
        warnings = (*info.warnings, *(planning.too_short_steps(request) if stable is not None else ()))
        data = {"digest": info.digest, "warnings": list(warnings)}
        row = self.store.start_rollout(
            request.name,
            digest=info.digest,
            request=request.as_document(),
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
        request = planning.request_of(target)

        def state(found: int | None, candidate: int) -> Mapping[str, Any]:
            if found != stable.number:
                raise Conflict(f"the stable revision of {name!r} has just changed", subject=name, hint="try again")
            plan: Plan = planning.plan_return(request, stable, candidate)
            return Rollout.begin(plan, datetime.now(UTC)).for_storage()

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

    async def command(self, name: str, asked: Command, *, by: str, reason: str) -> RolloutRow:
        """Do what a person asks of the running rollout.

        Raises:
            NotFound: no such deployment.
            Conflict: no rollout is under way, or its phase does not permit this.
        """
        deployment = self.store.deployment(name)
        for _ in range(COMMAND_TRIES):
            row = self.store.active_rollout(deployment.id)
            if row is None:
                raise Conflict(
                    f"no rollout of {name!r} is under way", subject=name, hint=f"`tidegate status {name}` shows it"
                )
            if asked is Command.PROMOTE and row.phase not in _PROMOTE_IS_REFUSED:
                self._refuse_unready(name, row.to_revision)
            now = datetime.now(UTC)
            try:
                moved = command(Rollout.from_storage(row.state), asked, now, by=by, reason=reason)
            except NotAllowed as refused:
                raise Conflict(str(refused), subject=name) from refused
            phase = moved.rollout.phase.value
            data = {"from": row.phase, "phase": phase, "by": by, "command": asked.value, "reason": reason}
            happened = NewEvent(phase, moved.rollout.reason, data=data)
            try:
                saved = self.store.save_transition(
                    row, moved.rollout.for_storage(), row.evidence, [happened], now, ended=False, promoted=False
                )
            except StaleState:
                continue
            self.supervisor.wake(name)
            return saved
        raise Conflict(f"the rollout of {name!r} changes too fast", subject=name, hint="try again")

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

    def logs(self, name: str, revision: int | None, replica: int | None, lines: int) -> list[str]:
        """Return the last lines that the replicas of a revision wrote, in the order of their times.

        Args:
            revision: None for the one on trial, else the stable one, else the latest that failed.
            replica: None for all of them.
        """
        deployment = self.store.deployment(name)
        if revision is None:
            active = self.store.active_rollout(deployment.id)
            revision = active.to_revision if active is not None else deployment.stable
        if revision is None:
            # A first deployment that failed: its log is where the reason is.
            revision = max((row.to_revision for row in self.store.rollouts(deployment.id)), default=None)
        if revision is None:
            raise NotFound(f"no revision of {name!r} serves", subject=name)
        request = planning.request_of(self.store.revision(deployment.id, revision))
        ref = RevisionRef(name, revision)
        if replica is not None:
            return self.target.logs(ref, replica, lines)
        every = [self.target.logs(ref, index, lines) for index in range(planning.replicas(request))]
        return merged(every)[-lines:]

    def _refuse_second_rollout(self, name: str) -> None:
        """Say no before the artifact is loaded; the database says it again when the rollout is recorded."""
        for deployment in self.store.deployments():
            if deployment.name == name and self.store.active_rollout(deployment.id) is not None:
                raise Conflict(
                    f"a rollout of {name!r} is under way",
                    subject=name,
                    hint=f"wait for it (`tidegate watch {name}`), or end it (`tidegate abort {name}`)",
                )

    def _refuse_unready(self, name: str, candidate: int) -> None:
        """All requests would be failed until it is ready again, or taken back."""
        health = self.supervisor.seen(name).health.get(candidate)
        if health is None or health.ready == 0:
            raise Conflict(
                f"no replica of revision {candidate} is ready to serve", subject=name, hint=f"`tidegate status {name}`"
            )

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


def _same_settings(stable: RevisionRow, request: DeploymentRequest) -> bool:
    """Say whether a revision of the same bundle would serve just as stable does: how it is tried does not matter."""
    serving = planning.request_of(stable)
    return (
        serving.serving_requirements == request.serving_requirements
        and serving.infrastructure == request.infrastructure
        and serving.traffic == request.traffic
        and serving.batching == request.batching
        and serving.cache == request.cache
        and serving.prediction_log == request.prediction_log
        and serving.model_artifact.version == request.model_artifact.version
    )


def _refuse_unknown_sink(sink: str | None) -> None:
    """Replicas find sinks by their entry points, in the environment that the controller has, too."""
    known = sorted(point.name for point in entry_points(group=SINKS))
    if sink is not None and sink.partition(":")[0] not in known:
        raise InvalidInput(
            "predictionLog.sink: there is no such sink",
            subject="predictionLog.sink",
            expected=f"one of {', '.join(known)}, as NAME:ARGUMENT",
            got=sink.partition(":")[0],
        )


def _refuse_relative(*paths: str | None) -> None:
    """The controller's own folder means nothing to a caller."""
    for path in paths:
        if path is not None and not PurePath(path).is_absolute():
            raise InvalidInput(
                f"{path}: the controller takes absolute paths only",
                subject=path,
                expected="an absolute path",
                got=path,
                hint="the command line makes paths absolute by itself",
            )


def parse_rollout_id(text: str) -> int:
    """Read a rollout's id; InvalidInput when it is none."""
    if not text.isdecimal() or len(text) > MAX_ID_DIGITS:
        raise InvalidInput(f"{text!r} is not the id of a rollout", expected="a whole number", got=text)
    return int(text)
