"""Contenders, each in a process of its own, one after the other, with limits on time and memory."""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
#: A contender whose rounds have taken so many seconds is not asked again.
_ENOUGH = 120.0


@dataclass(frozen=True)
class Limits:
    """What a contender may take: seconds of CPU time, its start and the reading of the data among them, and bytes."""

    seconds: int
    memory: int


def measured(
    interpreters: Mapping[str, Path], folder: Path, features: int, rounds: int, limits: Limits
) -> dict[str, dict[str, Any]]:
    """Return by contender the medians of its times, the memory, its values, and the number of rounds; or `failed`, and
    why.

    Args:
        interpreters: by contender, the Python that runs it.
        folder: of the data.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in interpreters}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for name, python in interpreters.items():
            if name in failed or sum(run["cpu"] for run in runs[name]) > _ENOUGH:
                continue
            print(f"  {name} …", flush=True)
            run = _run(python, name, folder, features, limits)
            if isinstance(run, str):
                failed[name] = run
            else:
                runs[name].append(run)
    found: dict[str, dict[str, Any]] = {name: {"failed": why} for name, why in failed.items()}
    for name, done in runs.items():
        if name not in failed:
            found[name] = {
                **{what: statistics.median(run[what] for run in done) for what in ("seconds", "cpu", "data", "peak")},
                "rounds": len(done),
                "values": done[0]["values"],
            }
    return {name: found[name] for name in interpreters}


def _run(python: Path, name: str, folder: Path, features: int, limits: Limits) -> dict[str, Any] | str:
    """Return what a contender told of itself, or why it told nothing."""
    command = [str(python), str(_HERE / "contenders.py"), name, str(folder), str(features)]
    environment = {**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'src'}", "DO_NOT_TRACK": "1"}

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, limits.memory))
        resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + 5))

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, preexec_fn=limited)
    if done.returncode == -signal.SIGXCPU:
        return f"more than {limits.seconds:,} CPU seconds"
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return f"more than {limits.memory / 2**30:.0f} GiB" if "MemoryError" in last[0] else last[0][:200]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told
