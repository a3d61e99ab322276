"""Watches the stable revision of each deployment whose request asks for it, beside the loops that drive rollouts.

What replicas counted is put into the bins of the revision's reference and, after each interval, compared; the reading
is stored together with the event that it makes, and with what was counted since the one before (`intervals.py`). How
many readings there were, and how the data stands, is in the store; what is not stored yet is written to a file in the
home, every ten seconds and when the controller ends. Whoever leads next goes on with it, unless the reading that has it
is in the store: so each request is counted in one interval at most.

What is lost, then, of what replicas count: with a controller that is killed, the last ten seconds, and all until
another one watches (replicas stop counting ten seconds after the last question); with a replica, what it wrote since
it was asked last, a second and a half; with the disk of the home full, or gone with its machine, up to an interval.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.contract.drift import Drift
from tidegate.contract.errors import NotFound, TidegateError
from tidegate.controller import planning
from tidegate.controller.drift.intervals import Counting, comparable, extended, taken_over
from tidegate.controller.drift.keeping import read_kept
from tidegate.controller.drift.readings import happened, standing_of, stored
from tidegate.controller.home import Home, read_json, write_atomically
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
#: Between two times at which what is not stored yet is kept.
KEEP_SECONDS = 10.0


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
        watch, counting: None until it has begun.
        due: when something is to be done next, in seconds of the clock that only grows.
        kept, keep_at: what was kept of `counting` last, and when to do it again, in seconds of that clock.
    """

    deployment_id: int
    ref: RevisionRef
    drift: Drift
    watch: Watch | None = None
    counting: Counting | None = None
    standing: Standing = field(default_factory=Standing)
    last: DriftReading | None = None
    trouble: str | None = None
    due: float = 0.0
    kept: Counting | None = None
    keep_at: float = 0.0


class DriftWatcher:
    """Start `run` once, as a task of the controller that leads.

    Args:
        home: where what is not stored yet is kept.
    """

    def __init__(self, store: Store, watching: Watching, home: Home) -> None:
        self._store = store
        self._watching = watching
        self._home = home
        self._watched: dict[str, _Watched] = {}
        #: What revisions ask for, by deployment and number; those that serve.
        self._asked: dict[tuple[int, int], Drift | None] = {}

    def seen(self, name: str) -> DriftSeen | None:
        """Return what is known of a deployment's watch; None where nobody asked for one, or nothing serves yet."""
        found = self._watched.get(name)
        return None if found is None else DriftSeen(found.last, found.trouble)

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:  # a full disk, say
                    log.exception("nothing could be watched for drift; trying again")
                await asyncio.sleep(ASK_SECONDS)
        finally:
            for one in self._watched.values():
                self._keep(one)

    async def look(self) -> None:
        """Ask replicas once what they counted, and make the readings that are due."""
        wanted = await asyncio.to_thread(self._wanted)
        before, self._watched = self._watched, {one.ref.deployment: one for one, _ in wanted}
        for name, one in before.items():
            if self._watched.get(name) is not one:
                await asyncio.to_thread(self._end, one)
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
                # Replicas count from the first question on, and users may be there already.
                await self._count(one, is_judged=is_judged)
                one.trouble, one.due = None, time.monotonic() + one.drift.interval.seconds
            return
        await self._count(one, is_judged=is_judged)
        if now >= one.due:
            await asyncio.to_thread(self._read, one)
            one.trouble, one.due = None, now + one.drift.interval.seconds
        if now >= one.keep_at:
            await asyncio.to_thread(self._keep, one)
            one.keep_at = now + KEEP_SECONDS

    async def _count(self, one: _Watched, *, is_judged: bool) -> None:
        found = await self._watching.counted(one.ref, one.ref.deployment, is_judged=is_judged, is_own=True)
        if found:
            await asyncio.to_thread(_add, one, found)

    def _begin(self, one: _Watched) -> None:
        """Go on after the last reading that was stored of the revision."""
        reference = read_kept(Path(one.drift.reference))
        look = self._recall(one)
        # Before replicas are asked: what another controller may still write down there is not asked for again.
        plain = read_json(self._home.counting(one.ref.deployment))
        one.counting = taken_over(plain, one.deployment_id, one.ref.revision, look, datetime.now(UTC))
        one.watch = watch_of(reference, one.drift, look)

    def _keep(self, one: _Watched) -> None:
        """Keep what is not stored yet for who goes on after a kill."""
        counting = one.counting
        if counting is None or counting.is_empty or counting is one.kept:
            return
        document = counting.kept(one.deployment_id, one.ref.revision)
        # Readings go on without; see above for what a kill costs then.
        with suppress(OSError):
            write_atomically(self._home.counting(one.ref.deployment), json.dumps(document))
            one.kept = counting

    def _end(self, one: _Watched) -> None:
        """Store what was counted since the last reading of a revision that serves no more; the standing stays."""
        try:
            self._read(one, is_last=True)
        except NotFound:
            pass  # so is the deployment
        except Exception:  # a full disk, say: what serves now is watched all the same
            log.exception("%s: the last reading of revision %d is lost", one.ref.deployment, one.ref.revision)

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

    def _read(self, one: _Watched, *, is_last: bool = False) -> None:
        watch, counting = one.watch, one.counting
        if watch is None or counting is None:
            return
        if one.trouble is not None:
            # A database that went away may have stored what it was given, and its event, and not have said so.
            look = self._recall(one)
            watch.look = max(watch.look, look)
            counting = one.counting = counting.settled(look, None if one.last is None else one.last.at)
        now, name, revision = datetime.now(UTC), one.ref.deployment, one.ref.revision
        reading = None if counting.is_empty else watch.reading()
        if reading is None:
            one.counting = counting.quiet(now)
            return
        interval = comparable(counting.interval, frozenset(column.name for column in reading.columns))
        run = extended(counting.run, interval, now)
        standing = one.standing
        if not is_last:
            standing = standing.after(reading.state, now, timedelta(seconds=one.drift.period.seconds))
        row = stored(
            reading,
            at=now,
            deployment=name,
            revision=revision,
            look=watch.look,
            standing=standing,
            interval=interval,
            run=run,
        )
        event = happened(one.standing, standing, row, str(one.drift.period))
        one.counting = counting.trying(now, run)
        self._store.save_drift(one.deployment_id, row, event)
        one.counting = one.counting.stored(watch.look)
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


def _add(one: _Watched, found: Sequence[Counted]) -> None:
    at = time.monotonic()
    if one.watch is None or one.counting is None:
        return
    for part in found:
        one.counting = one.counting.add(one.watch.add(at, part.requests, {**part.outputs, **part.inputs}))
