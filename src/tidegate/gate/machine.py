"""What this machine has left: memory, open files, disk, inotify instances."""

from __future__ import annotations

import math
import os
import resource
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tidegate.contract.errors import Unavailable
from tidegate.runtime.command.child import free_port

_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """Measured once.

    Attributes:
        open_files: the limit of each process, None for no limit.
        inotify_left: inotify instances that this user may still have, None where the system does not tell.
        cores: may have a fraction.
    """

    free_memory_bytes: int
    free_disk_bytes: int
    open_files: int | None
    inotify_left: int | None
    cores: float


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
        inotify_left=inotify_left(Path("/proc")),
        cores=min(len(os.sched_getaffinity(0)), group_cores(_GROUP)),
    )


def group_cores(group: Path) -> float:
    """Return how many cores a control group (version 2) may use; infinite where it has no limit, or is none."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf


def inotify_left(proc: Path) -> int | None:
    """Return how many inotify instances this user may still have; None where the system does not tell.

    Those of processes in which nobody may look, as of another user's namespace, are not counted.
    """
    try:
        limit = int((proc / "sys/fs/inotify/max_user_instances").read_text())
    except (OSError, ValueError):
        return None
    return limit - sum(map(inotify_instances, proc.glob("[0-9]*")))


def inotify_instances(process: Path) -> int:
    """Return how many a process of this user has, by its folder in /proc; 0 for one of another user."""
    try:
        mine = process.stat().st_uid == os.getuid()
        return sum(map(_is_inotify, (process / "fd").iterdir())) if mine else 0
    except OSError:  # it ended meanwhile, or is not to be looked at
        return 0


def _is_inotify(link: Path) -> bool:
    try:
        return str(link.readlink()) == "anon_inode:inotify"
    except OSError:  # closed meanwhile
        return False


def taken_ports(ports: Iterable[int]) -> dict[int, str]:
    """Return those of the ports on which nobody can listen now, each with the reason."""
    found = {}
    for port in ports:
        try:
            free_port(port)
        except Unavailable as error:
            found[port] = error.message.partition(": ")[2].rstrip(".")
    return found


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
