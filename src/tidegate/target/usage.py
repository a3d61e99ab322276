"""What processes take of this machine: memory that is their own, and processor time, children included."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Anonymous memory, resident and swapped out. A mapped file is shared with whoever maps it, and taken back when memory
#: is short; counted by its share it would jump whenever another process that maps it comes or goes.
_OWN = re.compile(r"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """What several processes and their children take together.

    Attributes:
        roots: of those that were asked for, how many run.
        memory_bytes: anonymous and shared memory, swapped out or not; without mapped files.
        cpu_seconds: since each of them began, with those of children that have ended.
        processes: what tells this set of processes from any other.
    """

    roots: int
    memory_bytes: int
    cpu_seconds: float
    processes: str


def usage(pids: Iterable[int]) -> Usage:
    """Return what the processes with these pids take, with all their children; those that are gone take nothing."""
    roots, memory, seconds, names = 0, 0, 0.0, []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(pid)
            roots += 1
            for process in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error, OSError):
                    own, times = _own_bytes(process.pid), process.cpu_times()
                    memory += own
                    seconds += times.user + times.system + times.children_user + times.children_system
                    names.append(f"{process.pid}")
    return Usage(roots, memory, seconds, " ".join(sorted(names)))


def _own_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return 1024 * sum(int(size) for size in _OWN.findall(status))
