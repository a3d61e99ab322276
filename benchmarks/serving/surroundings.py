"""On what a run was made: facts of the machine that bear on the figures, and nothing that names it."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import psutil


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def load_average() -> list[float]:
    """Return the load averages over 1, 5 and 15 minutes: what else the machine was busy with."""
    return [round(value, 2) for value in os.getloadavg()]


def busy_percent(before: Any) -> float:
    """Return how much of the machine's processors was in use since `before`, of `psutil.cpu_times()`."""
    spent = [now - then for then, now in zip(before, psutil.cpu_times(), strict=True)]
    idle = sum(part for part, name in zip(spent, before._fields, strict=True) if name in ("idle", "iowait"))
    return round(100 * (1 - idle / max(sum(spent), 1e-9)), 1)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
