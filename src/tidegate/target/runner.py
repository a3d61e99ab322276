"""What runs one replica: a process of this machine, or a container. Everything above is the same for both."""

from __future__ import annotations

import signal
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tidegate.gateway.base import Endpoint, RevisionRef
from tidegate.target.base import RevisionSpec
from tidegate.target.slots import Slot


@dataclass(frozen=True)
class Listening:
    """A replica that listens.

    Attributes:
        copy: unlike that of any copy of this replica before or after.
        endpoint: where.
        pid: of its process where that is one of this machine that the controller can see.
        image: of its container.
    """

    copy: Hashable
    endpoint: Endpoint
    pid: int | None = None
    image: str | None = None


@dataclass(frozen=True)
class Started:
    """What is known of a copy that was just started; see `lifecycle.SlotRecord`."""

    pid: int | None = None
    born: str | None = None


@dataclass(frozen=True)
class Ending:
    """How a replica ended.

    Attributes:
        exit_code: as `subprocess` gives it (negative for a signal), None where nobody was told.
        reason: what is known beyond that; a sentence's end such as `killed: …`.
    """

    exit_code: int | None = None
    reason: str | None = None


class Runner(Protocol):
    """Starts, finds and ends the copies of replicas. What it says of them is so at the last `look`."""

    @property
    def has_containers(self) -> bool:
        """Whether replicas have containers of their own, and serve on without the controller's."""
        ...

    async def look(self) -> None:
        """Find out what runs; at most a moment old. What cannot be found out stays as it was last known."""
        ...

    def knows(self) -> bool:
        """Say whether it could ever find out what runs; while not, it starts and ends nothing."""
        ...

    def is_alive(self, slot: Slot) -> bool:
        """Say whether a copy of this replica lives, whoever started it."""
        ...

    def listening(self, slot: Slot) -> Listening | None:
        """Return where the living copy listens; None before it does, and where none lives."""
        ...

    def left(self) -> list[tuple[RevisionRef, int]]:
        """Return the replicas that there is something of beside their slots, by revision and index."""
        ...

    def folder(self, slot: Slot) -> Path:
        """Return the folder in which the replica writes, and finds what it is asked to note."""
        ...

    async def start(self, slot: Slot, spec: RevisionSpec) -> Started | None:
        """Start a copy; None where one lives already.

        Raises:
            OSError, InvalidInput: it cannot be started, and would not be a second time.
            Unavailable, Conflict: not now.
        """
        ...

    async def send(self, slot: Slot, sent: signal.Signals) -> None:
        """Send SIGTERM or SIGKILL to the copy that lives; does nothing where none does.

        Raises:
            Unavailable: not now.
        """
        ...

    async def reap(self, slot: Slot) -> Ending:
        """Return how a copy ended, and let go of what is left of it.

        Raises:
            Unavailable: not now.
        """
        ...

    async def end_orphans(self, slot: Slot) -> None:
        """End what a dead copy left behind; see `processes.end_orphans`."""
        ...

    async def end(self, slot: Slot, grace_seconds: float) -> None:
        """End the copy that lives, and return when it is gone."""
        ...

    def clear(self, slot: Slot) -> None:
        """Remove what is on disk of a replica that is gone; its log stays."""
        ...

    async def log(self, slot: Slot, lines: int) -> list[str]:
        """Return the last lines that the replica wrote, or its last copy."""
        ...

    async def close(self) -> None:
        """Let go of connections; everything goes on running."""
        ...
