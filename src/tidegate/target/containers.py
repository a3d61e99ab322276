"""Replicas as containers, which the agent starts (`tidegate.agent`).

A replica lives as long as its container runs, whoever started it: the engine knows, and labels tell which replica it
is. So a controller that starts again finds them all, and one whose home was lost, too. A replica's folder is in a
volume that controller and replicas share; it holds what the two say to each other, and is no proof of anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tidegate.agent.client import AgentClient
from tidegate.agent.service import Found
from tidegate.agent.specification import GRPC_PORT, HTTP_PORT, ReplicaKey, Specification
from tidegate.contract.errors import Conflict, NotFound, TidegateError, Unavailable
from tidegate.gateway.base import Endpoint, RevisionRef
from tidegate.gateway.files import read_json, write_json
from tidegate.target.base import RevisionSpec
from tidegate.target.process import (
    KEY_VARIABLE,
    SERVING_STORE_VARIABLE,
    STORE_SINK,
    STORE_VARIABLE,
    server_arguments,
    spec_document,
)
from tidegate.target.runner import Ending, Listening, Started
from tidegate.target.slots import Slot, forget_worker_deaths

log = logging.getLogger(__name__)

#: In a container of its own, at the address that the engine gives it.
_EVERYWHERE = Endpoint("0.0.0.0", HTTP_PORT, GRPC_PORT)  # noqa: S104
#: What was found is used again for so long: several deployments look one after the other.
_FRESH_SECONDS = 0.1
_POLL_SECONDS = 0.1
#: How long a container may take to be gone after SIGKILL.
_KILLED_SECONDS = 10.0
#: Of the log of a replica that ended.
_KEPT_LINES = 2000
#: What a container ends with that a signal ended: this and the signal's number.
_SIGNALLED = 128


class ContainerRunner:
    """A `Runner` of containers.

    Args:
        home: the controller's.
        agent: starts them.
    """

    def __init__(self, home: Path, agent: AgentClient) -> None:
        self._shared = home / "containers"
        self._agent = agent
        self._found: dict[ReplicaKey, Found] | None = None
        self._looked_at = float("-inf")
        #: When we changed something of a replica: a look that began before tells nothing of it.
        self._changed_at: dict[ReplicaKey, float] = {}
        self._looking = asyncio.Lock()
        self._is_silent = False

    has_containers = True

    async def look(self) -> None:
        """See `Runner.look`. While the agent is away what was found last stays: replicas serve without it."""
        async with self._looking:
            begun = time.monotonic()
            if begun - self._looked_at < _FRESH_SECONDS:
                return
            try:
                listed = {found.key: found for found in await self._agent.replicas()}
            except Unavailable as error:
                if not self._is_silent:
                    log.warning("%s; what runs goes on running", error)
                self._is_silent = True
                return
            if self._is_silent:
                log.info("the agent answers again")
            self._is_silent = False
            known = self._found or {}
            newer = {key for key, at in self._changed_at.items() if at >= begun}
            kept = {key: found for key, found in known.items() if key in newer}
            self._found = {**{key: found for key, found in listed.items() if key not in newer}, **kept}
            self._changed_at = {key: at for key, at in self._changed_at.items() if key in newer}
            self._looked_at = begun

    def knows(self) -> bool:
        return self._found is not None

    def is_alive(self, slot: Slot) -> bool:
        found = self._of(slot)
        return found is not None and found.is_running

    def listening(self, slot: Slot) -> Listening | None:
        """See `Runner.listening`. That it listens the replica says; where, the engine."""
        found, said = self._of(slot), read_json(self.folder(slot) / "state.json")
        if found is None or not found.is_running or found.address is None or said is None:
            return None
        grpc_port = GRPC_PORT if said.get("grpc_port") is not None else None
        return Listening(found.id, Endpoint(found.address, HTTP_PORT, grpc_port), image=found.image)

    def left(self) -> list[tuple[RevisionRef, int]]:
        return [(RevisionRef(key.deployment, key.revision), key.index) for key in self._found or ()]

    def folder(self, slot: Slot) -> Path:
        return self._shared / slot.ref.deployment / str(slot.ref.revision) / str(slot.index)

    async def start(self, slot: Slot, spec: RevisionSpec) -> Started | None:
        """See `Runner.start`. The container is of the agent's own image."""
        asked = specification(spec, slot.index, self.folder(slot), os.environ)
        await asyncio.to_thread(self._prepare, slot, spec, asked)
        try:
            started = await self._agent.start(asked)
        except Conflict:
            # One runs that the last look did not see, or as many as may: the next look tells.
            self._looked_at = float("-inf")
            raise
        self._change(asked.key, started)
        return Started()

    def _prepare(self, slot: Slot, spec: RevisionSpec, asked: Specification) -> None:
        folder = self.folder(slot)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "state.json").unlink(missing_ok=True)
        forget_worker_deaths(folder)
        slot.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(slot.folder / "spec.json", spec_document(spec, slot.index, list(asked.arguments)))

    async def send(self, slot: Slot, sent: signal.Signals) -> None:
        with suppress(NotFound):
            await self._agent.end(_key(slot), sent)

    async def reap(self, slot: Slot) -> Ending:
        """See `Runner.reap`. The container is removed; the end of its log is kept."""
        found, key = self._of(slot), _key(slot)
        if found is None:
            return Ending()
        if found.is_running:
            raise Unavailable("a container runs that was to have ended", subject=str(key))
        with suppress(NotFound):
            self._keep(slot, await self._agent.log(key, _KEPT_LINES))
            await self._agent.remove(key)
        self._change(key, None)
        return ending_of(found)

    async def end_orphans(self, slot: Slot) -> None:
        """See `Runner.end_orphans`. There are none: all that is in a container ends with it."""

    async def end(self, slot: Slot, grace_seconds: float) -> None:
        for sent, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, _KILLED_SECONDS)):
            deadline = time.monotonic() + seconds
            await self.send(slot, sent)
            while self.is_alive(slot) and time.monotonic() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
                await self.look()
        await self.reap(slot)

    def clear(self, slot: Slot) -> None:
        shutil.rmtree(self.folder(slot), ignore_errors=True)
        for parent in list(self.folder(slot).parents)[:2]:
            with suppress(OSError):  # another replica is still there
                parent.rmdir()
        slot.clear()

    async def log(self, slot: Slot, lines: int) -> list[str]:
        """See `Runner.log`. While the agent is away there is that of the last copy that ended."""
        try:
            return await self._agent.log(_key(slot), lines)
        except TidegateError:
            return await asyncio.to_thread(slot.tail, lines)

    async def close(self) -> None:
        await self._agent.close()

    def _of(self, slot: Slot) -> Found | None:
        return (self._found or {}).get(_key(slot))

    def _change(self, key: ReplicaKey, found: Found | None) -> None:
        known = {other: kept for other, kept in (self._found or {}).items() if other != key}
        self._found = known if found is None else {**known, key: found}
        self._changed_at[key] = time.monotonic()

    def _keep(self, slot: Slot, lines: list[str]) -> None:
        """Keep what a copy that ended wrote, where that of a process would be."""
        slot.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        slot.log.write_text("\n".join(lines) + "\n", encoding="utf-8")


def specification(spec: RevisionSpec, index: int, folder: Path, environment: Mapping[str, str]) -> Specification:
    """Return the container of a replica.

    Args:
        folder: in which it writes.
        environment: the controller's. Passwords are not taken from there: replicas have secrets of their own.
    """
    answering = spec.answering
    variables, secrets = {}, set()
    needs_store = answering.prediction_sink == STORE_SINK or answering.features_view is not None
    if needs_store and (store := environment.get(SERVING_STORE_VARIABLE)):
        variables[STORE_VARIABLE] = store
        secrets.add("replica_password")
    if answering.cache == "redis":
        secrets.add("redis_password")
    if answering.prediction_hashed and KEY_VARIABLE in environment:
        variables[KEY_VARIABLE] = environment[KEY_VARIABLE]
    return Specification(
        ReplicaKey(spec.ref.deployment, spec.ref.revision, index),
        is_supervised=spec.workers > 1,
        arguments=tuple(server_arguments(spec, index, folder, _EVERYWHERE)),
        environment=tuple(sorted(variables.items())),
        secrets=frozenset(secrets),
    )


def ending_of(found: Found) -> Ending:
    """Return how a container ended, as of a process."""
    reason = "killed: out of memory, beyond the container's limit" if found.ran_out_of_memory else None
    code = found.exit_code
    return Ending(code if code is None or code <= _SIGNALLED else _SIGNALLED - code, reason)


def _key(slot: Slot) -> ReplicaKey:
    return ReplicaKey(slot.ref.deployment, slot.ref.revision, slot.index)
