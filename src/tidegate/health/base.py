"""What is checked, of which replica, and what one attempt brought."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

#: `startup` gates the others, `liveness` restarts, `readiness` gives and takes traffic.
Affects = Literal["startup", "liveness", "readiness", "nothing"]


#: The name of the check that stands in for what Tidegate finds of a replica by itself.
LIVENESS = "liveness"


@dataclass(frozen=True)
class HttpProbe:
    """A GET request to the replica: path with query, and headers."""

    path: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CommandProbe:
    """A program with its arguments, which have placeholders; it runs in `folder`."""

    words: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class PythonProbe:
    """`module:function`; modules are looked for in `folder` first."""

    entry_point: str
    folder: Path


@dataclass(frozen=True)
class GoldenProbe:
    """A kept file of golden requests, see `gate.kept`."""

    file: Path


Probe = HttpProbe | CommandProbe | PythonProbe | GoldenProbe


@dataclass(frozen=True)
class Check:
    """One check of each replica of a revision.

    Attributes:
        initial_delay_seconds: from the start of the process for what affects startup, else from when it has started.
        timeout_seconds: of one attempt, whole.
        success_threshold, failure_threshold: attempts in a row that change what the check says.
        critical: whether its failure takes the candidate of a rollout back.
    """

    name: str
    affects: Affects
    probe: Probe
    initial_delay_seconds: float = 0.0
    period_seconds: float = 10.0
    timeout_seconds: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    critical: bool = False


@dataclass(frozen=True)
class Replica:
    """The replica that is asked: where it listens for HTTP, and who it is."""

    host: str
    port: int
    deployment: str
    revision: int
    index: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended; `detail` is a short sentence without a stop."""

    passed: bool
    detail: str


class Attempts(Protocol):
    """Makes attempts."""

    async def make(self, check: Check, replica: Replica | None) -> Attempt:
        """Make one attempt, within its time. `replica` None: it does not listen yet."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
