"""SIGKILL for the processes of one Tidegate home, and what of them is left."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.chaos.faults import Faults
from tidegate.contract.errors import TidegateError
from tidegate.controller import launch

KINDS = ("controller", "gateway", "stable", "candidate")


@dataclass(frozen=True)
class Kill:
    """One SIGKILL: of what, when in seconds since 1970, and of which revision where it was a replica."""

    kind: str
    at: float
    pid: int
    revision: int | None = None


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


def kill_one(home: Path, kind: str, stable: int | None, candidate: int | None, chance: random.Random) -> Kill | None:
    """Kill one living process of the kind; None when there is none."""
    found = [process for process in processes(home) if kind_of(process, stable, candidate) == kind]
    if not found:
        return None
    victim = chance.choice(sorted(found, key=lambda process: process.pid))
    try:
        victim.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return None
    return Kill(kind, time.time(), victim.pid, {"stable": stable, "candidate": candidate}.get(kind))


def keep_controller(home: Path, faults: Faults) -> None:
    """Start the controller when it is gone, as a service manager would: again and again, until it stays."""
    if launch.running(home) is None:
        with faults.for_children(), suppress(TidegateError):
            launch.ensure_running(home, None, None)
