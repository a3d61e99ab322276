"""What a process and all below it hold."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import psutil

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def tree_pss_bytes(pid: int) -> int:
    """Return the proportional set size of a process and its descendants: shared pages count once among those that
    share them."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += _pss_bytes(process.pid)
    return total


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def tree_private_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants that is not mapped from files.

    Cheap, unlike the proportional set size: for that the kernel walks every page with the process's memory locked,
    which takes tens of milliseconds from the very requests that are measured.
    """
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(OSError):
                resident, shared = Path(f"/proc/{process.pid}/statm").read_text().split()[1:3]
                total += (int(resident) - int(shared)) * _PAGE_BYTES
    return total


class MemoryWatch:
    """Samples the memory of a tree of processes until it is stopped; `samples` are (monotonic time, bytes)."""

    def __init__(self, pid: int, every_seconds: float = 1.0) -> None:
        self.samples: list[tuple[float, int]] = []
        self._pid, self._every = pid, every_seconds
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.samples.append((monotonic(), tree_private_bytes(self._pid)))
