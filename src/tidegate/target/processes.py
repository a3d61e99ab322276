"""Replicas as processes of this machine.

A replica's life is a lock that its process holds; see `slots`.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

from tidegate.boot import birth_of
from tidegate.gateway.base import RevisionRef
from tidegate.gateway.os_process import OsProcess, find_by_argument
from tidegate.target import process
from tidegate.target.base import RevisionSpec
from tidegate.target.process import Command, server_command
from tidegate.target.runner import Ending, Listening, Started
from tidegate.target.slots import Slot

#: How long a process may take to be gone after SIGKILL.
KILLED_SECONDS = 10.0


class ProcessRunner:
    """A `Runner` of processes.

    Args:
        command: returns the command line of a replica.
    """

    def __init__(self, command: Command = server_command) -> None:
        self._command = command
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    has_containers = False

    async def look(self) -> None:
        """See `Runner.look`. Locks are asked when something is wanted of them."""

    def knows(self) -> bool:
        return True

    def is_alive(self, slot: Slot) -> bool:
        return slot.is_alive()

    def listening(self, slot: Slot) -> Listening | None:
        state = slot.state() if slot.is_alive() else None
        return None if state is None else Listening(state.process, state.endpoint, state.process.pid)

    def left(self) -> list[tuple[RevisionRef, int]]:
        return []

    def folder(self, slot: Slot) -> Path:
        return slot.folder

    async def start(self, slot: Slot, spec: RevisionSpec) -> Started | None:
        """See `Runner.start`. The process survives the caller."""
        child = process.spawn(slot, spec, self._command)
        if child is None:
            return None
        self._children[slot.folder] = child
        return Started(child.pid, birth_of(child.pid))

    async def send(self, slot: Slot, sent: signal.Signals) -> None:
        for found in _processes(slot):
            found.send(sent)

    async def reap(self, slot: Slot) -> Ending:
        """See `Runner.reap`. Only of our own child we are told how it ended."""
        child = self._children.pop(slot.folder, None)
        if child is None:
            return Ending()
        try:
            return Ending(child.wait(timeout=1.0))
        except subprocess.TimeoutExpired:
            return Ending()

    async def end_orphans(self, slot: Slot) -> None:
        end_orphans(slot)

    async def end(self, slot: Slot, grace_seconds: float) -> None:
        for found in _processes(slot) if slot.is_alive() else ():
            await found.end(grace_seconds)
        for orphan in end_orphans(slot):
            await orphan.wait_gone(KILLED_SECONDS)
        await self.reap(slot)

    def clear(self, slot: Slot) -> None:
        slot.clear()

    async def log(self, slot: Slot, lines: int) -> list[str]:
        return await asyncio.to_thread(slot.tail, lines)

    async def close(self) -> None:
        """See `Runner.close`. There are none."""


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


def end_orphans(slot: Slot) -> list[OsProcess]:
    """End the workers of a replica whose supervisor is gone, and return them.

    They end by themselves when they notice, unless one hangs; the next copy is not to wait for what they are still at.
    """
    orphans = find_by_argument(str(slot.folder), "--worker")
    for orphan in orphans:
        orphan.send(signal.SIGKILL)
    return orphans
