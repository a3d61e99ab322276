"""Who starts the Envoys, and so is their parent: this process, or one that the gateway's container has for that."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Protocol

from tidegate.gateway import process
from tidegate.gateway.files import GatewayFolder


class Started(Protocol):
    """An Envoy that was just started."""

    @property
    def pid(self) -> int: ...

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs, and where only its parent was told."""
        ...

    def has_ended(self) -> bool:
        """Cheap: one look."""
        ...

    async def kill(self) -> None:
        """Kill it, and return when it is gone."""
        ...

    async def reap(self) -> None:
        """Wait for its end, and leave nothing of it among the processes."""
        ...


class Starter(Protocol):
    """Starts Envoys of one gateway."""

    @property
    def is_apart(self) -> bool:
        """Whether what it starts is in a container of its own, and is left running when that of the controller ends."""
        ...

    async def start(self, member: int, host: str, port: int, workers: int) -> Started:
        """Start one; see `process.spawn`.

        Raises:
            InvalidInput, Conflict, Unavailable: it cannot be started, or not now.
        """
        ...


class OwnChildren:
    """A `Starter` whose Envoys are children of this process, and survive it."""

    is_apart = False

    def __init__(self, shared: GatewayFolder) -> None:
        self._shared = shared

    async def start(self, member: int, host: str, port: int, workers: int) -> Started:
        return _OwnChild(process.spawn(self._shared.member(member), self._shared, host, port, workers))


class _OwnChild:
    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        return self._child.poll()

    def has_ended(self) -> bool:
        return self._child.poll() is not None

    async def kill(self) -> None:
        self._child.kill()
        await self.reap()

    async def reap(self) -> None:
        await asyncio.to_thread(self._child.wait)
