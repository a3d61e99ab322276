"""What this machine has left: memory, open files, disk."""

from __future__ import annotations

import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """Measured once. `open_files` is the limit of each process, None for no limit."""

    free_memory_bytes: int
    free_disk_bytes: int
    open_files: int | None


def measure(home: Path) -> Machine:
    """Look at the machine, or at the control group when it allows less; `home` need not exist yet."""
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = int(psutil.virtual_memory().available)
    left = group_left(_GROUP)
    return Machine(
        free_memory_bytes=free if left is None else min(free, left),
        free_disk_bytes=shutil.disk_usage(nearest).free,
        open_files=None if soft == resource.RLIM_INFINITY else soft,
    )


def group_left(group: Path) -> int | None:
    """Return the bytes that a control group (version 2) may still take; None where it has no limit, or is none.

    Pages of files that nobody uses right now can be had back, as the kernel's documentation (cgroup-v2, memory.stat)
    says of `inactive_file`.
    """
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if not limit.isdecimal():
        return None
    return max(0, int(limit) - used + int(stat.get("inactive_file", 0)))
