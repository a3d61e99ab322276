"""SIGKILL for the processes of one Tidegate home, and what of them is left."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.chaos.faults import Faults
from tidegate.contract.errors import TidegateError
from tidegate.controller import launch

KINDS = ("controller", "gateway", "stable", "candidate")


@dataclass(frozen=True)
class Kill:
    """One SIGKILL.

    Attributes:
        kind: of what.
        at: seconds since 1970.
        revision: of a replica.
        left: of a replica, how many others of its revision lived and were ready; None for other processes.
    """

    kind: str
    at: float
    pid: int
    revision: int | None = None
    left: int | None = None


@dataclass(frozen=True)
class Serving:
    """What a deployment was seen to run.

    Attributes:
        stable, candidate: their numbers; None for what cannot be told.
        phase: of its rollout.
        ready: processes of replicas that are ready, by revision.
    """

    stable: int | None = None
    candidate: int | None = None
    phase: str | None = None
    ready: Mapping[int, Collection[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Serving:
        """Read the status of a deployment."""
        ready = {
            int(revision): [one["pid"] for one in health["replicas"] if one["ready"] and one["pid"] is not None]
            for revision, health in status["replicas"].items()
        }
        return cls(status["stable"], status["candidate"], status["phase"], ready)


def processes(home: Path) -> Iterator[psutil.Process]:
    """Yield the living processes whose command line names the home."""
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(home) in word for word in words):
            yield process


def kind_of(process: psutil.Process, stable: int | None, candidate: int | None) -> str | None:
    """Return what a process of the home is; None for what is none of ours to kill, such as the check of an artifact."""
    try:
        line = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return None
    if " -m tidegate.api " in line:
        return "controller"
    if "/envoy" in line and "--config-path" in line:
        return "gateway"
    if " -m tidegate.server " not in line:
        return None
    revision = line.partition("--revision ")[2].partition(" ")[0]
    return {str(stable): "stable", str(candidate): "candidate"}.get(revision)


def kill_one(home: Path, kind: str, seen: Serving, chance: random.Random) -> Kill | None:
    """Kill one living process of the kind; None when there is none."""
    found = [process for process in processes(home) if kind_of(process, seen.stable, seen.candidate) == kind]
    if not found:
        return None
    victim = chance.choice(sorted(found, key=lambda process: process.pid))
    revision = {"stable": seen.stable, "candidate": seen.candidate}.get(kind)
    left = None
    if revision is not None:
        # What was killed a moment ago may still be told to be ready.
        ready = {*seen.ready.get(revision, ())} & {process.pid for process in found}
        left = len(ready - {victim.pid})
    try:
        victim.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return None
    return Kill(kind, time.time(), victim.pid, revision, left)


def keep_controller(home: Path, faults: Faults) -> None:
    """Start the controller when it is gone, as a service manager would: again and again, until it stays."""
    if launch.running(home) is None:
        with faults.for_children(), suppress(TidegateError):
            launch.ensure_running(home, None, None)
