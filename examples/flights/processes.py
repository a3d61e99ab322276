"""What runs, seen from outside: the operating system's list of processes, not what Tidegate says of itself."""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Time between two looks; a second copy of a replica takes longer than that to import its framework.
LOOK_SECONDS = 0.5


@dataclass(frozen=True, order=True)
class Identity:
    """One process for ever: a pid alone is used again."""

    pid: int
    create_time: float


@dataclass(frozen=True, order=True)
class Slot:
    """One replica's place."""

    revision: int
    replica: int

    def __str__(self) -> str:
        return f"{self.revision}/{self.replica}"


def replicas(home: Path) -> dict[Slot, list[Identity]]:
    """Return the replica processes of this home that run now; more than one per slot would be a second copy."""
    found: dict[int, tuple[Slot, Identity, int]] = {}
    for process in psutil.process_iter(["pid", "ppid", "create_time", "cmdline"]):
        info = process.info
        slot = _slot(info["cmdline"] or [], str(home))
        if slot is not None:
            found[info["pid"]] = (slot, Identity(info["pid"], info["create_time"]), info["ppid"])
    running = defaultdict(list)
    for slot, identity, parent in found.values():
        # Between fork and exec a child of a replica bears the replica's command line.
        if parent not in found:
            running[slot].append(identity)
    return dict(running)


def _slot(command: Sequence[str], home: str) -> Slot | None:
    if "tidegate.server" not in command or not any(home in word for word in command):
        return None
    options = dict(itertools.pairwise(command))
    return Slot(int(options["--revision"]), int(options["--replica"]))


def belonging_to(home: Path) -> list[psutil.Process]:
    """Return every process that Tidegate runs for this home: controller, gateway, replicas."""
    return [process for process in psutil.process_iter() if _belongs(process, home)]


def _belongs(process: psutil.Process, home: Path) -> bool:
    try:
        words = process.cmdline()
        # The folder alone would take in whoever reads a log in it.
        ours = "envoy" in process.name() or any(word.startswith("tidegate.") for word in words)
        return ours and any(str(home) in word for word in words) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        # It has just ended, or it belongs to another user and so not to this home.
        return False


def wait_until_none(home: Path, seconds: float) -> list[str]:
    """Wait until no process of this home is left; return the command lines of those that are."""
    deadline = time.monotonic() + seconds
    while left := belonging_to(home):
        if time.monotonic() > deadline:
            return [" ".join(_command(process)) for process in left]
        psutil.wait_procs(left, timeout=0.2)
    return []


def end_all(home: Path) -> None:
    """Kill every process of this home: the last resort when `tidegate down` did not do it."""
    for process in belonging_to(home):
        process.kill()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return [f"pid {process.pid}"]


class Watch:
    """Looks at the replicas twice a second in a thread of its own and remembers every process it saw."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: dict[Slot, set[Identity]] = defaultdict(set)
        self._doubled: set[Slot] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def doubled(self) -> list[str]:
        """Slots in which two processes ran at the same time."""
        return sorted(map(str, self._doubled))

    @property
    def started(self) -> Mapping[str, int]:
        """How many processes each slot has had."""
        return {str(slot): len(identities) for slot, identities in sorted(self._seen.items())}

    def _run(self) -> None:
        for _ in self._looks():
            for slot, identities in replicas(self._home).items():
                self._seen[slot].update(identities)
                if len(identities) > 1:
                    self._doubled.add(slot)

    def _looks(self) -> Iterator[None]:
        yield
        while not self._ended.wait(LOOK_SECONDS):
            yield
