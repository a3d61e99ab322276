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


def _resident_peak() -> int:
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
