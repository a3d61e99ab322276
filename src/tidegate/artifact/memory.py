"""How much resident memory a piece of work adds to this process at its peak."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Counts from its creation.

    On Linux the kernel's high-water mark is reset first; elsewhere an earlier and higher peak hides a later one.
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            # 5 resets VmHWM to what is resident now, see proc_pid_clear_refs(5).
            _CLEAR.write_text("5")
        self._before = _resident_peak()

    def growth(self) -> int:
        """Return bytes, at least 0."""
        return max(0, _resident_peak() - self._before)


def largest_child_peak() -> int:
    """Return the peak resident memory, in bytes, of the largest process that this one has waited for, or they have."""
    return _in_bytes(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _resident_peak() -> int:
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return _in_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _in_bytes(ru_maxrss: int) -> int:
    return ru_maxrss if sys.platform == "darwin" else ru_maxrss * 1024
