"""A process that may outlive the one that started it, told apart from a later one with the same pid."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tidegate.boot import birth_of, is_alive

_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class OsProcess:
    """A process known by its pid and its birth (`boot.birth_of`)."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the living process with this pid, None when there is none."""
        born = birth_of(pid)
        found = cls(pid, born) if born is not None else None
        return found if found is not None and found.is_alive() else None

    def is_alive(self) -> bool:
        """Say whether this very process runs; a zombie, once its last thread has ended, does not."""
        return is_alive(self.pid, self.born)

    def send(self, sent: signal.Signals) -> bool:
        """Send a signal; False when the process is gone."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, sent)
        except ProcessLookupError:
            return False
        return True

    async def wait_gone(self, seconds: float) -> bool:
        """Wait until the process is gone; False when it is still there after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def end(self, grace_seconds: float) -> None:
        """Ask the process to end, and kill it when it has not after `grace_seconds`; returns when it is gone."""
        if self.send(signal.SIGTERM) and not await self.wait_gone(grace_seconds):
            self.send(signal.SIGKILL)
            await self.wait_gone(5.0)

    def listening_ports(self) -> list[int]:
        """Return the TCP ports at which the process listens; none when it is gone."""
        if not self.is_alive():
            return []
        try:
            found = psutil.Process(self.pid).net_connections("tcp")
        except psutil.Error:
            return []
        return sorted({one.laddr.port for one in found if one.status == psutil.CONN_LISTEN})


def find_by_argument(*arguments: str) -> list[OsProcess]:
    """Return the living processes that have each of the arguments as one whole word of their command line.

    Takes some milliseconds per hundred processes: for when the record of a process was lost, not for a loop.
    """
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        info = process.info
        if set(arguments) <= set(info["cmdline"] or ()) and info["status"] != psutil.STATUS_ZOMBIE:
            born = birth_of(info["pid"])
            found += [OsProcess(info["pid"], born)] if born is not None else []
    return found


def is_locked(file: Path) -> bool:
    """Say whether a living process has the file to itself (`flock`), which ends with the process, however that ends."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at once do not take each other for somebody who has it.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
