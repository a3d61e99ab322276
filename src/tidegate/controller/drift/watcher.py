"""Watches the stable revision of each deployment whose request asks for it, beside the loops that drive rollouts.

What replicas counted is put into the bins of the revision's reference and, after each interval, compared; the reading
is stored together with the event that it makes. What was counted since the last reading is lost with the controller;
how many readings there were, and how the data stands, is in the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.contract.drift import Drift
from tidegate.contract.errors import NotFound, TidegateError
from tidegate.controller import planning
from tidegate.controller.drift.keeping import read_kept
from tidegate.controller.drift.readings import happened, standing_of, stored
from tidegate.controller.watching import Watching, has_judge
from tidegate.drift import Policy, Reference
from tidegate.drift.watch import Standing, Watch
from tidegate.gateway.base import RevisionRef
from tidegate.rollout import Rollout
from tidegate.store import DeploymentRow, DriftReading, Store
from tidegate.target.base import Counted

log = logging.getLogger(__name__)

#: Between two questions to replicas, which count for ten seconds after each.
ASK_SECONDS = 1.0
#: Between two tries to begin a watch, or to store a reading, that failed.
RETRY_SECONDS = 10.0


@dataclass(frozen=True)
class DriftSeen:
    """What is known of the watch of a deployment.

    Attributes:
        last: the last reading; None before the first.
        trouble: why there is none now, a sentence; None where nothing is in the way.
    """

    last: DriftReading | None = None
    trouble: str | None = None


@dataclass
class _Watched:
    """One revision under watch.

    Attributes:
        watch: None until it has begun.
        due: when something is to be done next, in seconds of the clock that only grows.
        counted: requests since the last reading.
    """

    deployment_id: int
    ref: RevisionRef
    drift: Drift
    watch: Watch | None = None
    standing: Standing = field(default_factory=Standing)
    last: DriftReading | None = None
    trouble: str | None = None
    due: float = 0.0
    counted: int = 0


class DriftWatcher:
    """Start `run` once, as a task of the controller that leads."""

    def __init__(self, store: Store, watching: Watching) -> None:
        self._store = store
        self._watching = watching
        self._watched: dict[str, _Watched] = {}
        #: What revisions ask for, by deployment and number; those that serve.
        self._asked: dict[tuple[int, int], Drift | None] = {}

    def seen(self, name: str) -> DriftSeen | None:
        """Return what is known of a deployment's watch; None where nobody asked for one, or nothing serves yet."""
        found = self._watched.get(name)
        return None if found is None else DriftSeen(found.last, found.trouble)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # a full disk, say
                log.exception("nothing could be watched for drift; trying again")
            await asyncio.sleep(ASK_SECONDS)

    async def look(self) -> None:
        """Ask replicas once what they counted, and make the readings that are due."""
        wanted = await asyncio.to_thread(self._wanted)
        self._watched = {one.ref.deployment: one for one, _ in wanted}
        for one, is_judged in wanted:
            try:
                await self._look_at(one, is_judged=is_judged)
            except NotFound:
                continue  # it was deleted meanwhile
            except Exception as error:  # noqa: BLE001 -- one that cannot be watched must not keep the others from it
                _note(one, error)
                # A reading that is not due yet is due when it was: each takes a part of alpha.
                one.due = max(one.due, time.monotonic() + RETRY_SECONDS)

    def _wanted(self) -> list[tuple[_Watched, bool]]:
        """Return what is to be watched now, and whether the judge says how much of it is counted."""
        serving = [one for one in self._store.deployments() if one.stable is not None]
        found = []
        for deployment in serving:
            one = self._of(deployment, deployment.stable or 0)
            if one is not None:
                active = self._store.active_rollout(deployment.id)
                found.append((one, active is not None and has_judge(Rollout.from_storage(active.state))))
        keys = {(one.id, one.stable) for one in serving}
        self._asked = {key: drift for key, drift in self._asked.items() if key in keys}
        return found

    def _of(self, deployment: DeploymentRow, number: int) -> _Watched | None:
        key, ref = (deployment.id, number), RevisionRef(deployment.name, number)
        if key not in self._asked:
            self._asked[key] = planning.request_of(self._store.revision(*key)).drift
        known, drift = self._watched.get(deployment.name), self._asked[key]
        if known is not None and (known.deployment_id, known.ref) == (deployment.id, ref):
            return known
        return None if drift is None else _Watched(deployment.id, ref, drift)

    async def _look_at(self, one: _Watched, *, is_judged: bool) -> None:
        now = time.monotonic()
        if one.watch is None:
            if now >= one.due:
                await asyncio.to_thread(self._begin, one)
                one.trouble, one.due = None, time.monotonic() + one.drift.interval.seconds
            return
        found = await self._watching.counted(one.ref, one.ref.deployment, is_judged=is_judged, is_own=True)
        if found:
            one.counted += sum(part.requests for part in found)
            await asyncio.to_thread(_add, one.watch, found)
        if now >= one.due:
            if one.counted:
                await asyncio.to_thread(self._read, one, one.watch)
            one.trouble, one.due, one.counted = None, now + one.drift.interval.seconds, 0

    def _begin(self, one: _Watched) -> None:
        """Go on after the last reading that was stored of the revision."""
        reference = read_kept(Path(one.drift.reference))
        one.watch = watch_of(reference, one.drift, self._recall(one))

    def _recall(self, one: _Watched) -> int:
        """Take over how the data stands by the last reading that was stored; return its number, 0 before the first."""
        revision = self._store.revision(one.deployment_id, one.ref.revision)
        # Of an earlier deployment of the name there may be readings of a revision of this number.
        before = self._store.drift.newest(
            one.ref.deployment, since=revision.created_at, limit=1, revision=one.ref.revision
        )
        one.last = before[-1] if before else None
        one.standing = standing_of(one.last)
        return int(one.last.whole["look"]) if one.last is not None else 0

    def _read(self, one: _Watched, watch: Watch) -> None:
        if one.trouble is not None:
            # A database that went away may have stored what it was given, and its event, and not have said so.
            watch.look = max(watch.look, self._recall(one))
        reading = watch.reading()
        if reading is None:
            return
        now, name, revision = datetime.now(UTC), one.ref.deployment, one.ref.revision
        standing = one.standing.after(reading.state, now, timedelta(seconds=one.drift.period.seconds))
        row = stored(reading, at=now, deployment=name, revision=revision, look=watch.look, standing=standing)
        event = happened(one.standing, standing, row, str(one.drift.period))
        self._store.save_drift(one.deployment_id, row, event)
        one.standing, one.last = standing, row
        if event is not None:
            log.info("%s: %s", name, event.message)


def _note(one: _Watched, error: Exception) -> None:
    """Remember why a deployment cannot be watched, and log it where that is new."""
    trouble = f"drift could not be watched: {error}"
    if trouble != one.trouble:
        unexpected = None if isinstance(error, TidegateError) else error
        log.warning("%s: %s; trying again", one.ref.deployment, trouble, exc_info=unexpected)
    one.trouble = trouble


def watch_of(reference: Reference, drift: Drift, look: int) -> Watch:
    """Return the watch that a request asks for; `look` is that of the last reading there was, 0 before the first."""
    # All inputs together have the other half: see `log_process`.
    alpha = drift.alpha.ratio / 2 if drift.together else drift.alpha.ratio
    policy = Policy(drift.moderate, drift.large, alpha)
    return Watch(reference, drift.period.seconds, policy, look)


def _add(watch: Watch, found: Sequence[Counted]) -> None:
    at = time.monotonic()
    for part in found:
        watch.add(at, part.requests, {**part.outputs, **part.inputs})
