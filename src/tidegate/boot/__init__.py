"""What no change of the clock touches: the boot of this machine, the time since then, and when processes were born.

The time of day can be set, by a person or a time server, forward or back by any amount; and what `psutil` calls the
creation time of a process moves with it, since the kernel counts from the boot and the boot is dated by the clock.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Fields of /proc/PID/stat, from the one behind the name on.
_STATE, _THREADS, _START_TICKS = 0, 17, 19


@cache
def boot_id() -> str:
    """Return the name of this boot, unlike that of any other."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def seconds_since_boot() -> float:
    """Return how long ago the machine booted, time asleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def booted_at() -> float:
    """Return when this boot began according to the clock as it is set now, in seconds since 1970."""
    return time.time() - seconds_since_boot()


def birth_of(pid: int) -> str | None:
    """Return what tells the process from every other that had its pid or will have it; None when there is none."""
    told = _stat(pid)
    return None if told is None else _born(told)


def is_alive(pid: int, born: str) -> bool:
    """Say whether the process of this birth runs; a zombie, once its last thread has ended, does not."""
    told = _stat(pid)
    # The first thread of a killed process is a zombie while others still hold its ports and locks.
    return told is not None and _born(told) == born and not (told[_STATE] in "ZX" and int(told[_THREADS]) <= 1)


def _stat(pid: int) -> list[str] | None:
    """Return what proc(5) has in `stat` behind the name of the command; None when there is no process."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold anything.
    return told.rpartition(")")[2].split()


def _born(told: list[str]) -> str:
    return f"{told[_START_TICKS]}@{boot_id()}"
