"""Replicas behind the gateway, whatever runs them (`runner`).

Nothing that matters is only in memory: whether a replica lives its runner finds out, its history is in files in its
folder (`slots`), the split and the endpoints are the gateway's own files. So a controller that starts again finds
everything as it stands, and what it is then asked to ensure is already so.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tidegate.boot import seconds_since_boot
from tidegate.contract.errors import Conflict, InvalidInput, TidegateError, Unavailable
from tidegate.contract.request import Platform
from tidegate.gateway.base import (
    Applied,
    Endpoint,
    Forced,
    NotesPositions,
    ProcessCounts,
    RevisionRef,
    ServedNotes,
    Snapshot,
    Sticky,
    Trial,
)
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.resources import DEFAULT_TIMEOUT_SECONDS, PREVIEW, revisions
from tidegate.gateway.shares import reassigned, shares_of
from tidegate.health.base import Attempts
from tidegate.target import lifecycle, notes
from tidegate.target.base import (
    Counted,
    CountsReader,
    Noted,
    Reading,
    ReplicaHealth,
    RevisionHealth,
    RevisionSpec,
    SplitChange,
)
from tidegate.target.lifecycle import SlotRecord, Step
from tidegate.target.restarts import Restarted, may_restart
from tidegate.target.runner import Listening, Runner
from tidegate.target.slots import Slot, forget_worker_deaths, revisions_of, slots_of, worker_deaths
from tidegate.target.watching import Watched, Watcher, untried

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The default of a target; far above the pauses of a busy machine.
SILENT_SECONDS = 10.0

#: How long a replica goes on writing down what it was asked for when nobody asks any more.
_NOTES_SECONDS = 10.0

#: Of weights that are hundredths of a percent.
_ROUNDING = 1e-6

#: How long the gateway's own view of the replicas is used again.
_VIEW_SECONDS = 0.1
_POLL_SECONDS = 0.02

#: From SIGTERM to SIGKILL, beyond what the gateway gives to a request of the deployment.
_GRACE_SECONDS = 5.0
#: Of a start that failed of nothing of the replica's own.
_START_AGAIN_SECONDS = 1.0
#: How long a replica may take to be gone after SIGKILL.
_KILLED_SECONDS = 10.0

#: At `stop`, from SIGTERM to SIGKILL: the gateway is gone by then and no request is on its way.
_STOP_GRACE_SECONDS = 8.0


class ReplicasTarget:
    """A `Target` of what its runners run.

    Args:
        home: Tidegate's home; replicas live in its folder `replicas`, the logs of past ones in `logs/replicas`.
        gateway: the Envoy in front of them.
        runners: by the platform that a revision asks for.
        attempts: makes those of the checks that a revision asks for; None for a target that runs none with checks.
        silent_seconds: how long a process may live without answering before it is killed and replaced.
        clock: seconds since the machine booted.
    """

    def __init__(
        self,
        home: Path,
        gateway: EnvoyGateway,
        runners: Mapping[Platform, Runner],
        *,
        attempts: Attempts | None = None,
        silent_seconds: float = SILENT_SECONDS,
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        self._home = home.absolute()
        self._gateway = gateway
        self._runners = runners
        self._clock = clock
        self._watcher = Watcher(attempts, silent_seconds, clock)
        self._readers: dict[Path, notes.LinesReader[Noted]] = {}
        self._counters: dict[Path, notes.LinesReader[Counted]] = {}
        self._busy: defaultdict[RevisionRef, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._helped_at: dict[RevisionRef, float] = {}
        self._changing = asyncio.Lock()
        self._view: Mapping[RevisionRef, frozenset[Endpoint]] | None = None
        self._viewed_at = float("-inf")

    # -- the whole ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """See `Target.start`. What died while nobody looked is taken out before requests can reach its port."""
        await self._look()
        async with self._changing:
            snapshot = self._living_only(self._gateway.snapshot())
            self._gateway.remember(snapshot)
            await self._gateway.ensure_running()
            await self._gateway.apply(snapshot)

    def is_whole(self) -> bool:
        """See `Target.is_whole`."""
        return self._gateway.is_whole()

    def watches(self, revisions: int) -> int:
        """See `Target.watches`."""
        return self._gateway.watches(revisions)

    async def stop(self, *, keep_containers: bool = False) -> list[RevisionRef]:
        """See `Target.stop`. Logs of the replicas stay."""
        await self._watcher.close()
        stays = keep_containers and self._gateway.is_apart
        if not stays:
            await self._gateway.stop()
        await self._look()
        found = [slot for ref in await self.running() for slot in self._slots(ref).values()]
        meant = [slot for slot in found if not (keep_containers and self._runner(slot).has_containers)]
        slots = [slot for slot in meant if self._runner(slot).knows()]
        kept = {slot.ref for slot in found if slot not in slots}
        if stays:
            await self._leave_only(kept)
        await asyncio.gather(*(self._runner(slot).end(slot, _STOP_GRACE_SECONDS) for slot in slots))
        for slot in slots:
            self._runner(slot).clear(slot)
        if not stays:
            self._gateway.remember(_with_only(self._gateway.snapshot(), kept))
        self._refuse_unknown(meant, None)
        return sorted({slot.ref for slot in slots})

    async def _leave_only(self, kept: Collection[RevisionRef]) -> None:
        """Take all other replicas out of a gateway that serves on."""
        try:
            await self._apply(lambda snapshot: _with_only(snapshot, kept))
        except Unavailable as error:  # it finds by itself which of them are gone, a moment later
            log.warning("%s", error)
        await self._gateway.close()

    async def close(self) -> None:
        """Let go of everything and leave it running."""
        await self._watcher.close()
        await self._gateway.close()
        for runner in self._runners.values():
            await runner.close()

    async def running(self) -> Sequence[RevisionRef]:
        """See `Target.running`."""
        left = {ref for runner in self._runners.values() for ref, _ in runner.left()}
        return sorted({*revisions_of(self._home), *left})

    def url(self, deployment: str) -> str:
        """See `Target.url`."""
        return f"{self._gateway.url}/{deployment}"

    def preview_url(self, deployment: str) -> str:
        """See `Target.preview_url`."""
        return f"{self._gateway.url}/{deployment}{PREVIEW}"

    def grpc_address(self) -> str:
        """See `Target.grpc_address`. It is the gateway's one port: Envoy tells HTTP/2 by how a connection begins."""
        return self._gateway.url.removeprefix("http://")

    async def logs(self, ref: RevisionRef, index: int, lines: int) -> list[str]:
        """See `Target.logs`. Works for a replica that is gone, too."""
        slot = Slot(self._home, ref, index)
        return await self._runner(slot).log(slot, lines)

    def _living_only(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot without the endpoints of replicas that no longer live: another may have the address.

        Nor with a revision that has none and that no route names: it was being removed when somebody was killed.
        """
        endpoints = {}
        routed = set(revisions(replace(snapshot, endpoints={})))
        for ref, listed in snapshot.endpoints.items():
            slots = [(slot, self._runner(slot)) for slot in self._slots(ref).values()]
            if not slots and ref not in routed:
                continue
            if not all(runner.knows() for _, runner in slots):
                endpoints[ref] = listed
                continue
            found = (runner.listening(slot) for slot, runner in slots)
            living = {at.endpoint for at in found if at is not None}
            endpoints[ref] = tuple(endpoint for endpoint in listed if endpoint in living)
        return replace(snapshot, endpoints=endpoints)

    # -- traffic -----------------------------------------------------------------------------------------------------

    async def set_split(
        self,
        deployment: str,
        split: Mapping[int, float],
        timeout_seconds: float,
        trial: Trial | None = None,
        sticky: Sticky | None = None,
        *,
        forced: tuple[Forced, ...] = (),
    ) -> SplitChange:
        """See `Target.set_split`. That a revision with a weight has a ready replica is the caller's business.

        Raises:
            InvalidInput: weights that are negative or do not sum to 100, or a timeout that is not positive.
            Unavailable: the gateway does not run or did not confirm; the split is kept and takes effect when it does.
        """
        _check_split(deployment, split, timeout_seconds)

        def change(snapshot: Snapshot) -> Snapshot:
            is_on = bool(split)
            before = snapshot.shares.get(deployment) or shares_of(snapshot.splits.get(deployment, {}))
            shares = reassigned(before, split) if is_on and sticky is not None else None
            return replace(
                snapshot,
                splits=_with(snapshot.splits, deployment, dict(split) or None),
                timeout_seconds=_with(snapshot.timeout_seconds, deployment, timeout_seconds if is_on else None),
                trials=_with(snapshot.trials, deployment, trial),
                sticky=_with(snapshot.sticky, deployment, sticky if is_on else None),
                shares=_with(snapshot.shares, deployment, shares),
                forced=_with(snapshot.forced, deployment, forced or None),
            )

        applied = await self._apply(change)
        return SplitChange(changed=applied.in_force_seconds > 0, in_force_seconds=applied.in_force_seconds)

    async def read(self, deployment: str) -> Reading:
        """See `Target.read`."""
        reading = await self._gateway.read()
        return Reading(reading.at, tuple(_of_deployment(process, deployment) for process in reading.processes))

    # -- answers -----------------------------------------------------------------------------------------------------

    async def note_answers(self, ref: RevisionRef, share: float) -> None:
        """See `Target.note_answers`."""
        for folder in self._folders(ref):
            self._notes_of(folder)
            self._ask(folder, notes.ANSWERS, share)

    async def noted(self, ref: RevisionRef) -> Sequence[Noted]:
        """See `Target.noted`."""
        return [noted for folder in self._folders(ref) for noted in self._notes_of(folder).read()]

    async def count_columns(self, ref: RevisionRef, share: float) -> None:
        """See `Target.count_columns`."""
        for folder in self._folders(ref):
            self._counts_of(folder)
            self._ask(folder, notes.COUNTS, share)

    async def counted(self, ref: RevisionRef) -> Counted:
        """See `Target.counted`."""
        found = (counted for folder in self._folders(ref) for counted in self._counts_of(folder).read())
        return sum(found, Counted())

    def counts_reader(self, ref: RevisionRef) -> CountsReader:
        """See `Target.counts_reader`."""
        return notes.FoldersReader(lambda: self._folders(ref))

    def _folders(self, ref: RevisionRef) -> list[Path]:
        return [self._runner(slot).folder(slot) for slot in self._slots(ref).values()]

    def _ask(self, folder: Path, wish: str, share: float) -> None:
        now = time.time()
        notes.ask(folder, wish, share, now + _NOTES_SECONDS, now)

    def _notes_of(self, folder: Path) -> notes.LinesReader[Noted]:
        if folder not in self._readers:
            self._readers[folder] = notes.LinesReader(folder / notes.ANSWERS_NAME, notes.noted)
        return self._readers[folder]

    def _counts_of(self, folder: Path) -> notes.LinesReader[Counted]:
        if folder not in self._counters:
            self._counters[folder] = notes.LinesReader(folder / notes.COUNTS_NAME, notes.counted)
        return self._counters[folder]

    async def served(self, after: NotesPositions) -> ServedNotes:
        """See `Target.served`."""
        return await self._gateway.served(after)

    async def _apply(self, change: Callable[[Snapshot], Snapshot]) -> Applied:
        async with self._changing:
            return await self._gateway.apply(change(self._gateway.snapshot()))

    # -- replicas ----------------------------------------------------------------------------------------------------

    async def ensure_replicas(self, spec: RevisionSpec, count: int) -> RevisionHealth:
        """See `Target.ensure_replicas`. A replica is ready when the gateway, by its own checks, sends it requests.

        While the gateway does not answer, it is ready when it says so itself.
        """
        async with self._busy[spec.ref]:
            await self._look()
            slots = self._slots(spec.ref)
            slots.update({index: Slot(self._home, spec.ref, index) for index in range(count) if index not in slots})
            slots = dict(sorted(slots.items()))
            self._refuse_unknown(slots.values(), spec)
            steps = (self._advance(slot, spec if index < count else None) for index, slot in slots.items())
            watched = dict(zip(slots, await asyncio.gather(*steps), strict=True))
            await self._restart_one({slots[index]: found for index, found in watched.items() if index < count})
            await self._set_endpoints(spec.ref, watched.values())
            return await self._health({slots[index]: watched[index] for index in range(count)})

    async def remove_revision(self, ref: RevisionRef) -> None:
        """See `Target.remove_revision`. Returns when the last process is gone, after the requests that it was at."""
        async with self._busy[ref]:
            if ref in self._gateway.snapshot().endpoints:
                await self._set_endpoints(ref, ())
            deadline = time.monotonic() + self._grace_seconds(ref) + _KILLED_SECONDS
            await self._look()
            while slots := self._slots(ref):
                self._refuse_unknown(slots.values(), None)
                await asyncio.gather(*(self._advance(slot, None) for slot in slots.values()))
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "a replica does not end",
                        subject=", ".join(str(slot.folder) for slot in slots.values()),
                        hint="see which process uses this folder, and end it",
                    )
                await asyncio.sleep(_POLL_SECONDS)
                await self._look()
            self._readers = {folder: reader for folder, reader in self._readers.items() if folder.exists()}
            self._counters = {folder: reader for folder, reader in self._counters.items() if folder.exists()}
            self._helped_at.pop(ref, None)
            await self._forget(ref)

    def _slots(self, ref: RevisionRef) -> dict[int, Slot]:
        """Return what there is of a revision's replicas, by index: also of those whose folder was lost."""
        left = (index for runner in self._runners.values() for other, index in runner.left() if other == ref)
        return {**{index: Slot(self._home, ref, index) for index in left}, **slots_of(self._home, ref)}

    def _runner(self, slot: Slot, spec: RevisionSpec | None = None) -> Runner:
        """Return what runs a replica: as its revision says, or as what is there of it says.

        Raises:
            Unavailable: this target has no such runner.
        """
        platform = spec.platform if spec is not None else slot.platform()
        for other, runner in self._runners.items() if spec is None else ():
            if (slot.ref, slot.index) in runner.left():
                platform = other
        if platform not in self._runners:
            raise Unavailable(
                f"{slot.ref.deployment} revision {slot.ref.revision} is for the platform {platform!r}, which this "
                "controller was not started for",
                subject=slot.ref.deployment,
                expected=", ".join(sorted(self._runners)),
                got=platform,
            )
        return self._runners[platform]

    async def _look(self) -> None:
        for runner in self._runners.values():
            await runner.look()

    def _refuse_unknown(self, slots: Collection[Slot], spec: RevisionSpec | None) -> None:
        """Raise Unavailable where nobody can say whether these replicas run: they may, and serve."""
        if not all(self._runner(slot, spec).knows() for slot in slots):
            raise Unavailable(
                "it is not known which replicas run as containers, for the agent has not answered yet",
                hint="docker compose logs agent says why",
            )

    async def _advance(self, slot: Slot, spec: RevisionSpec | None) -> Watched:
        """Take every step that is due; return what is found. One that cannot be taken now is taken at another time.

        Args:
            spec: what to run; None when the replica is not wanted.
        """
        try:
            return await self._step(slot, spec)
        except (Unavailable, Conflict) as error:
            log.warning("%s replica %d: %s", slot.ref, slot.index, error)
            return Watched(checks=() if spec is None else untried(spec))

    async def _step(self, slot: Slot, spec: RevisionSpec | None) -> Watched:
        away = Watched(checks=() if spec is None else untried(spec))
        runner = self._runner(slot, spec)
        while True:
            record, alive, now = slot.record(), runner.is_alive(slot), self._clock()
            grace = self._grace_seconds(slot.ref)
            match lifecycle.next_step(record, alive=alive, wanted=spec is not None, now=now, grace_seconds=grace):
                case Step.BURY:
                    self._watcher.forget(slot)
                    ending = await runner.reap(slot)
                    if ending.exit_code != lifecycle.EXIT_LOCKED:  # else the workers are those of the other copy
                        await runner.end_orphans(slot)
                    if ending.reason is not None and record.killed_because is None:
                        record = replace(record, killed_because=ending.reason)
                    deaths = worker_deaths(runner.folder(slot))
                    slot.save(lifecycle.buried(record, ending.exit_code, now, worker_deaths=deaths))
                    forget_worker_deaths(runner.folder(slot))
                case Step.CLEAR:
                    self._watcher.forget(slot)
                    await runner.reap(slot)
                    await runner.end_orphans(slot)
                    runner.clear(slot)
                    if spec is None:
                        return away
                case Step.SPAWN if spec is not None:
                    await self._spawn(runner, slot, record, spec)
                    return away
                case Step.DRAIN:
                    slot.save(replace(record, draining_since=now))
                    return away
                case Step.ASK:
                    await runner.send(slot, signal.SIGTERM)
                    slot.save(replace(record, asked_to_end_at=now))
                    return away
                case Step.KILL:
                    await runner.send(slot, signal.SIGKILL)
                    slot.save(replace(record, killed_at=now))
                    return away
                case Step.WAIT:
                    if spec is None or not alive or record.draining_since is not None:
                        return away
                    return await self._watch(runner, slot, record, spec)

    def _grace_seconds(self, ref: RevisionRef) -> float:
        timeouts = self._gateway.snapshot().timeout_seconds
        return timeouts.get(ref.deployment, DEFAULT_TIMEOUT_SECONDS) + _GRACE_SECONDS

    async def _spawn(self, runner: Runner, slot: Slot, record: SlotRecord, spec: RevisionSpec) -> None:
        try:
            started = await runner.start(slot, spec)
        except (OSError, InvalidInput) as error:
            reason = f"cannot be started: {error}"
            slot.save(lifecycle.buried(replace(record, killed_because=reason), None, self._clock()))
        except TidegateError as error:
            # Nothing of the replica's own: it is none of its deaths.
            reason = f"cannot be started: {error.message}"
            slot.save(replace(record, last_exit=reason, not_before=self._clock() + _START_AGAIN_SECONDS))
            log.warning("%s replica %d %s", slot.ref, slot.index, reason)
        else:
            if started is not None:
                slot.save(lifecycle.spawned(record, started.pid, self._clock(), started.born))

    async def _watch(self, runner: Runner, slot: Slot, record: SlotRecord, spec: RevisionSpec) -> Watched:
        """Look after a living replica that is wanted: note it, ask how it is, kill it when it does not start."""
        if record.spawned_at is None:
            # The controller that started it was killed before it could write this down.
            record = lifecycle.spawned(record, None, self._clock())
            slot.save(record)
        watched = self._watcher.look(slot, record, spec, runner.listening(slot))
        if watched.not_started is not None:
            await self._kill(slot, replace(record, killed_because=f"killed: {watched.not_started}"))
            return replace(watched, endpoint=None)
        if record.not_live_kills and watched.is_well_again:
            slot.save(replace(record, not_live_kills=0, not_live_killed_at=None))
            self._helped_at[slot.ref] = self._clock()
        return watched

    async def _restart_one(self, found: Mapping[Slot, Watched]) -> None:
        """Kill at most one replica that is not live, if one may be restarted now; see `target.restarts`."""
        now = self._clock()
        # When a restart has just helped, so may what mended that one have mended this one: ask it again first.
        ill = [
            slot
            for slot, watched in found.items()
            if watched.not_live_at is not None and watched.not_live_at > self._helped_at.get(slot.ref, 0.0)
        ]
        if not ill:
            return
        records = {slot: slot.record() for slot in found}
        unhelpful = [
            Restarted(record.not_live_kills, record.not_live_killed_at, is_back=found[slot].says_ready)
            for slot, record in records.items()
            if record.not_live_killed_at is not None
        ]
        if not may_restart(unhelpful, now):
            return
        slot = min(ill, key=lambda slot: (records[slot].not_live_kills, slot.index))
        told = found[slot].not_live or ""
        await self._kill(slot, lifecycle.killed_as_not_live(records[slot], told, now))

    async def _kill(self, slot: Slot, record: SlotRecord) -> None:
        """Kill a replica; the record says why, and is saved before."""
        log.warning("%s replica %d is %s", slot.ref, slot.index, record.killed_because)
        slot.save(record)
        await self._runner(slot).send(slot, signal.SIGKILL)

    async def _set_endpoints(self, ref: RevisionRef, watched: Collection[Watched]) -> None:
        endpoints = tuple(sorted(found.endpoint for found in watched if found.endpoint is not None))
        ready = {found.endpoint for found in watched if found.gets_requests}
        unready = frozenset(endpoints) - ready

        def change(snapshot: Snapshot) -> Snapshot:
            others = {other: kept for other, kept in snapshot.unready.items() if other != ref}
            return replace(
                snapshot,
                endpoints={**snapshot.endpoints, ref: endpoints},
                unready={**others, ref: unready} if unready else others,
            )

        before = self._gateway.snapshot()
        try:
            # Even if that is what was last asked for: it may have failed. To apply what is in force costs nothing.
            await self._apply(change)
            if (before.endpoints.get(ref), before.unready.get(ref, frozenset())) != (endpoints, unready):
                self._viewed_at = float("-inf")
        except Unavailable as error:
            # The processes are looked after all the same; the gateway reads this when it is back.
            log.warning("%s: the gateway was not told of its replicas: %s", ref, error.message)

    async def _forget(self, ref: RevisionRef) -> None:
        if ref not in self._gateway.snapshot().endpoints:
            return

        def change(snapshot: Snapshot) -> Snapshot:
            return replace(
                snapshot,
                endpoints={other: at for other, at in snapshot.endpoints.items() if other != ref},
                unready={other: at for other, at in snapshot.unready.items() if other != ref},
            )

        try:
            await self._apply(change)
        except Unavailable as error:
            log.warning("%s: the gateway was not told of its end: %s", ref, error.message)

    # -- health ------------------------------------------------------------------------------------------------------

    async def _health(self, found: Mapping[Slot, Watched]) -> RevisionHealth:
        view = await self._gateway_view()
        return RevisionHealth(tuple(self._replica_health(slot, watched, view) for slot, watched in found.items()))

    def _replica_health(
        self, slot: Slot, watched: Watched, view: Mapping[RevisionRef, frozenset[Endpoint]] | None
    ) -> ReplicaHealth:
        runner, record = self._runner(slot), slot.record()
        deaths, at = worker_deaths(runner.folder(slot)), runner.listening(slot)
        return ReplicaHealth(
            index=slot.index,
            address=None if at is None else f"{at.endpoint.host}:{at.endpoint.port}",
            grpc_address=None
            if at is None or at.endpoint.grpc_port is None
            else f"{at.endpoint.host}:{at.endpoint.grpc_port}",
            pid=None if at is None else at.pid,
            ready=watched.gets_requests and at is not None and self._is_ready(slot, at, view),
            restarts=record.restarts + deaths,
            last_exit="a worker died" if deaths else record.last_exit,
            unwell=watched.unwell,
            image=None if at is None else at.image,
            checks=watched.checks,
        )

    def _is_ready(self, slot: Slot, at: Listening, view: Mapping[RevisionRef, frozenset[Endpoint]] | None) -> bool:
        if view is None:
            return self._watcher.says_ready(at)
        return at.endpoint in view.get(slot.ref, ())

    async def _gateway_view(self) -> Mapping[RevisionRef, frozenset[Endpoint]] | None:
        """Return the replicas that the gateway sends requests to, None when it cannot say."""
        now = time.monotonic()
        if now - self._viewed_at > _VIEW_SECONDS:
            try:
                self._view = await self._gateway.healthy()
            except Unavailable:
                self._view = None
            self._viewed_at = now
        return self._view


def _of_deployment(process: ProcessCounts[RevisionRef], deployment: str) -> ProcessCounts[int]:
    mine = {ref.revision: counts for ref, counts in process.counts.items() if ref.deployment == deployment}
    return ProcessCounts(process.number, process.epoch, mine)


def _with_only(snapshot: Snapshot, kept: Collection[RevisionRef]) -> Snapshot:
    """Return the snapshot without the replicas of all other revisions."""
    return replace(
        snapshot,
        endpoints={ref: at for ref, at in snapshot.endpoints.items() if ref in kept},
        unready={ref: at for ref, at in snapshot.unready.items() if ref in kept},
    )


def _with(found: Mapping[str, T], deployment: str, value: T | None) -> dict[str, T]:
    """Return the mapping with this value for the deployment; without one where it is None."""
    others = {name: kept for name, kept in found.items() if name != deployment}
    return others if value is None else {**others, deployment: value}


def _check_split(deployment: str, split: Mapping[int, float], timeout_seconds: float) -> None:
    if split and (any(weight < 0 for weight in split.values()) or abs(sum(split.values()) - 100) > _ROUNDING):
        raise InvalidInput(
            "the weights of a split are percent that sum to 100",
            subject=deployment,
            expected="weights that sum to 100",
            got=", ".join(f"revision {revision}: {weight}" for revision, weight in sorted(split.items())),
        )
    if not timeout_seconds > 0:
        raise InvalidInput("a request timeout is above 0 seconds", subject=deployment, got=f"{timeout_seconds} s")
