"""Replicas as processes on this machine, behind one Envoy.

Nothing that matters is only in memory: a replica's life is a lock that its process holds, its history and address are
files in its folder (`slots`), the split and the endpoints are the gateway's own files. So a controller that starts
again finds everything as it stands, and what it is then asked to ensure is already so.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tidegate.boot import birth_of, seconds_since_boot
from tidegate.contract.errors import InvalidInput, Unavailable
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
from tidegate.gateway.os_process import OsProcess, find_by_argument
from tidegate.gateway.resources import DEFAULT_TIMEOUT_SECONDS, PREVIEW, revisions
from tidegate.gateway.shares import reassigned, shares_of
from tidegate.health.base import Attempts
from tidegate.target import lifecycle, notes, process
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
from tidegate.target.process import Command, server_command
from tidegate.target.restarts import Restarted, may_restart
from tidegate.target.slots import ReplicaState, Slot, revisions_of, slots_of
from tidegate.target.watching import Watched, Watcher, untried

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The default of `LocalTarget`; far above the pauses of a busy machine.
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
#: How long a process may take to be gone after SIGKILL.
_KILLED_SECONDS = 10.0

#: At `stop`, from SIGTERM to SIGKILL: the gateway is gone by then and no request is on its way.
_STOP_GRACE_SECONDS = 8.0


class LocalTarget:
    """A `Target` of processes.

    Args:
        home: Tidegate's home; replicas live in its folder `replicas`, the logs of past ones in `logs/replicas`.
        gateway: the Envoy in front of them.
        command: returns the command line of a replica, by default that of Tidegate's own server.
        attempts: makes those of the checks that a revision asks for; None for a target that runs none with checks.
        silent_seconds: how long a process may live without answering before it is killed and replaced.
        clock: seconds since the machine booted.
    """

    def __init__(
        self,
        home: Path,
        gateway: EnvoyGateway,
        *,
        command: Command = server_command,
        attempts: Attempts | None = None,
        silent_seconds: float = SILENT_SECONDS,
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        self._home = home.absolute()
        self._gateway = gateway
        self._command = command
        self._clock = clock
        self._watcher = Watcher(attempts, silent_seconds, clock)
        self._children: dict[Path, subprocess.Popen[bytes]] = {}
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
        async with self._changing:
            snapshot = _living_only(self._gateway.snapshot(), self._home)
            self._gateway.remember(snapshot)
            await self._gateway.ensure_running()
            await self._gateway.apply(snapshot)

    def is_whole(self) -> bool:
        """See `Target.is_whole`."""
        return self._gateway.is_whole()

    def watches(self, revisions: int) -> int:
        """See `Target.watches`."""
        return self._gateway.watches(revisions)

    async def stop(self) -> None:
        """See `Target.stop`. Logs of the replicas stay."""
        await self._watcher.close()
        await self._gateway.stop()
        refs = revisions_of(self._home)
        slots = [slot for ref in refs for slot in slots_of(self._home, ref).values()]
        await asyncio.gather(*(self._end(slot, _STOP_GRACE_SECONDS) for slot in slots))
        orphans = [found for slot in slots for found in _end_orphans(slot)]
        await asyncio.gather(*(found.wait_gone(_KILLED_SECONDS) for found in orphans))
        for slot in slots:
            self._reap(slot)
            slot.clear()
        snapshot = self._gateway.snapshot()
        self._gateway.remember(replace(snapshot, endpoints={}, unready={}))

    async def close(self) -> None:
        """Let go of everything and leave it running."""
        await self._watcher.close()
        await self._gateway.close()

    async def running(self) -> Sequence[RevisionRef]:
        """See `Target.running`."""
        return revisions_of(self._home)

    def url(self, deployment: str) -> str:
        """See `Target.url`."""
        return f"{self._gateway.url}/{deployment}"

    def preview_url(self, deployment: str) -> str:
        """See `Target.preview_url`."""
        return f"{self._gateway.url}/{deployment}{PREVIEW}"

    def grpc_address(self) -> str:
        """See `Target.grpc_address`. It is the gateway's one port: Envoy tells HTTP/2 by how a connection begins."""
        return self._gateway.url.removeprefix("http://")

    def logs(self, ref: RevisionRef, index: int, lines: int) -> list[str]:
        """See `Target.logs`. Works for a replica that is gone, too."""
        return Slot(self._home, ref, index).tail(lines)

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
        return [slot.folder for slot in slots_of(self._home, ref).values()]

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
            slots = slots_of(self._home, spec.ref)
            slots.update({index: Slot(self._home, spec.ref, index) for index in range(count) if index not in slots})
            watched = {
                index: self._advance(slot, spec if index < count else None) for index, slot in sorted(slots.items())
            }
            self._restart_one({slots[index]: found for index, found in watched.items() if index < count})
            await self._set_endpoints(spec.ref, watched.values())
            return await self._health({slots[index]: watched[index] for index in range(count)})

    async def remove_revision(self, ref: RevisionRef) -> None:
        """See `Target.remove_revision`. Returns when the last process is gone, after the requests that it was at."""
        async with self._busy[ref]:
            if ref in self._gateway.snapshot().endpoints:
                await self._set_endpoints(ref, ())
            deadline = time.monotonic() + self._grace_seconds(ref) + _KILLED_SECONDS
            while slots := slots_of(self._home, ref):
                for slot in slots.values():
                    self._advance(slot, None)
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "a replica does not end",
                        subject=", ".join(str(slot.folder) for slot in slots.values()),
                        hint="see which process uses this folder, and end it",
                    )
                await asyncio.sleep(_POLL_SECONDS)
            self._readers = {folder: reader for folder, reader in self._readers.items() if folder.exists()}
            self._counters = {folder: reader for folder, reader in self._counters.items() if folder.exists()}
            self._helped_at.pop(ref, None)
            await self._forget(ref)

    def _advance(self, slot: Slot, spec: RevisionSpec | None) -> Watched:
        """Take every step that is due; return what is found.

        Args:
            spec: what to run; None when the replica is not wanted.
        """
        away = Watched(checks=() if spec is None else untried(spec))
        while True:
            record, alive, now = slot.record(), slot.is_alive(), self._clock()
            grace = self._grace_seconds(slot.ref)
            match lifecycle.next_step(record, alive=alive, wanted=spec is not None, now=now, grace_seconds=grace):
                case Step.BURY:
                    exit_code = self._reap(slot)
                    if exit_code != lifecycle.EXIT_LOCKED:  # else the workers are those of the other copy
                        _end_orphans(slot)
                    slot.save(lifecycle.buried(record, exit_code, now, worker_deaths=slot.worker_deaths()))
                    slot.forget_worker_deaths()
                case Step.CLEAR:
                    self._reap(slot)
                    _end_orphans(slot)
                    slot.clear()
                    if spec is None:
                        return away
                case Step.SPAWN if spec is not None:
                    self._spawn(slot, record, spec)
                    return away
                case Step.DRAIN:
                    slot.save(replace(record, draining_since=now))
                    return away
                case Step.ASK:
                    self._signal(slot, signal.SIGTERM)
                    slot.save(replace(record, asked_to_end_at=now))
                    return away
                case Step.KILL:
                    self._signal(slot, signal.SIGKILL)
                    slot.save(replace(record, killed_at=now))
                    return away
                case Step.WAIT:
                    if spec is None or not alive or record.draining_since is not None:
                        return away
                    return self._watch(slot, record, spec)

    def _grace_seconds(self, ref: RevisionRef) -> float:
        timeouts = self._gateway.snapshot().timeout_seconds
        return timeouts.get(ref.deployment, DEFAULT_TIMEOUT_SECONDS) + _GRACE_SECONDS

    def _spawn(self, slot: Slot, record: SlotRecord, spec: RevisionSpec) -> None:
        try:
            child = process.spawn(slot, spec, self._command)
        except OSError as error:
            reason = f"cannot be started: {error}"
            slot.save(lifecycle.buried(replace(record, killed_because=reason), None, self._clock()))
            return
        if child is not None:
            self._children[slot.folder] = child
            slot.save(lifecycle.spawned(record, child.pid, self._clock(), birth_of(child.pid)))

    def _watch(self, slot: Slot, record: SlotRecord, spec: RevisionSpec) -> Watched:
        """Look after a living replica that is wanted: note it, ask how it is, kill it when it does not start."""
        if record.spawned_at is None:
            # The controller that started it was killed before it could write this down.
            record = lifecycle.spawned(record, None, self._clock())
            slot.save(record)
        watched = self._watcher.look(slot, record, spec)
        if watched.not_started is not None:
            self._kill(slot, replace(record, killed_because=f"killed: {watched.not_started}"))
            return replace(watched, endpoint=None)
        if record.not_live_kills and watched.is_well_again:
            slot.save(replace(record, not_live_kills=0, not_live_killed_at=None))
            self._helped_at[slot.ref] = self._clock()
        return watched

    def _restart_one(self, found: Mapping[Slot, Watched]) -> None:
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
        self._kill(slot, lifecycle.killed_as_not_live(records[slot], told, now))

    def _kill(self, slot: Slot, record: SlotRecord) -> None:
        """Kill the process of a replica; the record says why, and is saved before."""
        log.warning("%s replica %d is %s", slot.ref, slot.index, record.killed_because)
        slot.save(record)
        self._signal(slot, signal.SIGKILL)

    def _signal(self, slot: Slot, sent: signal.Signals) -> None:
        for found in _processes(slot):
            found.send(sent)

    async def _end(self, slot: Slot, grace_seconds: float) -> None:
        for found in _processes(slot) if slot.is_alive() else ():
            await found.end(grace_seconds)

    def _reap(self, slot: Slot) -> int | None:
        """Return the exit code of the slot's process when it was our child, else None; it is gone."""
        self._watcher.forget(slot)
        child = self._children.pop(slot.folder, None)
        if child is None:
            return None
        try:
            return child.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return None

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
        record, worker_deaths = slot.record(), slot.worker_deaths()
        state = slot.state() if slot.is_alive() else None
        return ReplicaHealth(
            index=slot.index,
            address=None if state is None else f"{state.endpoint.host}:{state.endpoint.port}",
            grpc_address=None
            if state is None or state.endpoint.grpc_port is None
            else f"{state.endpoint.host}:{state.endpoint.grpc_port}",
            pid=None if state is None else state.process.pid,
            ready=watched.gets_requests and state is not None and self._is_ready(slot, state, view),
            restarts=record.restarts + worker_deaths,
            last_exit="a worker died" if worker_deaths else record.last_exit,
            unwell=watched.unwell,
            checks=watched.checks,
        )

    def _is_ready(
        self, slot: Slot, state: ReplicaState, view: Mapping[RevisionRef, frozenset[Endpoint]] | None
    ) -> bool:
        if view is None:
            return self._watcher.says_ready(state)
        return state.endpoint in view.get(slot.ref, ())

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


def _processes(slot: Slot) -> list[OsProcess]:
    """Return a replica's living processes: the one that says so, else what we started, else what names its folder."""
    state, record = slot.state(), slot.record()
    if state is not None and state.process.is_alive():
        return [state.process]
    if record.pid is not None and record.born is not None:
        started = OsProcess(record.pid, record.born)
        if started.is_alive():
            return [started]
    return find_by_argument(str(slot.folder))


def _end_orphans(slot: Slot) -> list[OsProcess]:
    """End the workers of a replica whose supervisor is gone, and return them.

    They end by themselves when they notice, unless one hangs; the next copy is not to wait for what they are still at.
    """
    orphans = find_by_argument(str(slot.folder), "--worker")
    for orphan in orphans:
        orphan.send(signal.SIGKILL)
    return orphans


def _of_deployment(process: ProcessCounts[RevisionRef], deployment: str) -> ProcessCounts[int]:
    mine = {ref.revision: counts for ref, counts in process.counts.items() if ref.deployment == deployment}
    return ProcessCounts(process.number, process.epoch, mine)


def _living_only(snapshot: Snapshot, home: Path) -> Snapshot:
    """Return the snapshot without the endpoints of replicas that no longer live: another process may have the port.

    Nor with a revision that has none and that no route names: it was being removed when somebody was killed.
    """
    endpoints = {}
    routed = set(revisions(replace(snapshot, endpoints={})))
    for ref, listed in snapshot.endpoints.items():
        if not slots_of(home, ref) and ref not in routed:
            continue
        states = [slot.state() for slot in slots_of(home, ref).values() if slot.is_alive()]
        living = {state.endpoint for state in states if state is not None}
        endpoints[ref] = tuple(endpoint for endpoint in listed if endpoint in living)
    return replace(snapshot, endpoints=endpoints)


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
