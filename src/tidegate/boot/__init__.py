"""What no change of the clock touches: the boot of this machine, the time since then, and when processes were born.

The time of day can be set, by a person or a time server, forward or back by any amount; and what `psutil` calls the
creation time of a process moves with it, since the kernel counts from the boot and the boot is dated by the clock.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name of the command, in parentheses, may hold anything; the start is the 20th field behind it, in ticks.
    ticks = told.rpartition(")")[2].split()[19]
    return f"{ticks}@{boot_id()}"
