"""Times both sides in turn, one short piece each, so that what else the machine does falls on both alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.mojo.sides import Side

ROWS = 10_000
#: Seconds that a piece takes, and for which each of Java's ways is called before anything counts.
PIECE, WARM = 0.15, 3.0
#: By what is measured: Java's way, ours, and how many rows each call of them scores.
PAIRS = {
    "row": ("score0", 1, "score0", 1),
    "dict": ("easy", 1, "easy", 1),
    "batch": ("score0", 1, "matrix", ROWS),
    "columns": ("easy", 1, "columns", ROWS),
    "load": ("load", 1, "load", 1),
}
#: What is measured of ours alone, to tell what the time goes to.
OWN = ("call", "walk", "walk16", "touch")
#: Names a library of kernels to a process; see `tidegate mojo compile --help`.
LIBRARY = "TIDEGATE_MOJO_LIBRARY"
#: Processes of either side.
PAIRS_OF_PROCESSES = 3


class DisagreementError(Exception):
    """The two sides do not predict the same."""


@dataclass(frozen=True)
class Commands:
    """How each side is started: what comes before "serve" or "first", and the model and the table."""

    java: Sequence[str]
    ours: Sequence[str]
    root: Path


def measured(commands: Commands, model: Path, table: Path, rounds: int) -> dict[str, Any]:
    """Return medians over the rounds: seconds of CPU time per row or load, and the ratios of Java's to ours.

    Each side is started `PAIRS_OF_PROCESSES` times: where its memory lies decides over a part of what it takes.

    Raises:
        DisagreementError: the sums of all predictions differ.
    """
    files = [str(model), str(table)]
    return _medians([_measured(commands, files, rounds) for _ in range(PAIRS_OF_PROCESSES)])


def _medians(found: Sequence[Any]) -> Any:
    """Return the like of each of what was found, with the median of all in the place of every number."""
    if isinstance(found[0], dict):
        return {key: _medians([one[key] for one in found]) for key in found[0]}
    return statistics.median(found)


def _measured(commands: Commands, files: Sequence[str], rounds: int) -> dict[str, Any]:
    with (
        Side([*commands.java, "serve", *files], commands.root) as java,
        Side([*commands.ours, "serve", *files], commands.root) as ours,
    ):
        wanted, found = java.timed("score0", ROWS).total, ours.timed("matrix", 1).total
        if abs(found - wanted) > 1e-9 * abs(wanted):
            raise DisagreementError(f"{files[0]}: the predictions add up to {found!r}, Java's to {wanted!r}")
        for what in ("score0", "easy"):
            spent = 0.0
            while spent < WARM:
                spent += java.timed(what, ROWS).wall
        times = {name: _pair(java, ours, rounds, ways) for name, ways in PAIRS.items()}
        one, two = _in_turn(rounds, lambda: _wall(ours, "matrix"), lambda: _wall(ours, "threads2"))
        # In turn with the dict, of which it is a part.
        read, single = _in_turn(rounds, lambda: _piece(ours, "read"), lambda: _piece(ours, "easy"))
        return {
            **times,
            "threads": {
                "one": statistics.median(one),
                "two": statistics.median(two),
                "ratio": statistics.median(a / b for a, b in zip(one, two, strict=True)),
            },
            "processes": _two_processes(commands, files, ours, rounds),
            "bandwidth": statistics.median(_wall(ours, "touch") / _wall(ours, "touch2") for _ in range(5)),
            "own": {
                "read": statistics.median(read),
                "dict": statistics.median(single),
                **{what: statistics.median(_piece(ours, what) for _ in range(3)) for what in OWN},
            },
            "steps": ours.steps(),
            "bytes": {"java": java.memory(), "ours": ours.memory()},
        }


def started(commands: Commands, model: Path, table: Path, rounds: int, library: Path) -> dict[str, Any]:
    """Return medians of seconds from the start of a process to its first prediction, by the clock and of CPU time, and
    of its largest memory in bytes.

    Args:
        library: that of all kernels, with which ours is started as well ("library"), as in images; else it takes the
            machine code that numba keeps.
    """
    without = {name: value for name, value in os.environ.items() if name != LIBRARY}
    ways = {
        "java": (commands.java, without),
        "ours": (commands.ours, without),
        "library": (commands.ours, {**without, LIBRARY: str(library)}),
    }
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (command, environment) in ways.items():
            found[name].append(_run([*command, "first", str(model), str(table)], commands.root, environment))
    return {
        name: {
            what: statistics.median(run[place] for run in runs)
            for place, what in enumerate(("seconds", "cpu", "bytes"))
        }
        for name, runs in found.items()
    }


def _pair(java: Side, ours: Side, rounds: int, ways: tuple[str, int, str, int]) -> dict[str, float]:
    his, his_rows, own, own_rows = ways
    left, right = _in_turn(rounds, lambda: _piece(java, his) / his_rows, lambda: _piece(ours, own) / own_rows)
    return {
        "java": statistics.median(left),
        "ours": statistics.median(right),
        "ratio": statistics.median(a / b for a, b in zip(left, right, strict=True)),
    }


def _in_turn(rounds: int, *ways: Callable[[], float]) -> list[list[float]]:
    found: list[list[float]] = [[] for _ in ways]
    for way in ways:
        way()
    for _ in range(rounds):
        for place, way in enumerate(ways):
            found[place].append(way())
    return found


def _piece(side: Side, what: str) -> float:
    """Return the CPU time of one call, from as many as fill a piece."""
    calls = 1
    while True:
        timing = side.timed(what, calls)
        if timing.cpu >= PIECE / 2 or calls >= 1_000_000:
            return timing.cpu / calls
        calls = max(2 * calls, min(int(calls * PIECE / max(timing.cpu, 1e-6)), 100 * calls))


def _wall(side: Side, what: str) -> float:
    calls = 7
    return min(side.timed(what, 1).wall for _ in range(calls))


def _two_processes(commands: Commands, files: Sequence[str], ours: Side, rounds: int) -> float:
    """Return how many times as many rows two processes score as one, each by itself, with a model of its own."""
    with Side([*commands.ours, "serve", *files], commands.root) as other, ThreadPoolExecutor(2) as pool:

        def both() -> float:
            walls = pool.map(lambda side: side.timed("matrix", 5).wall, (ours, other))
            return max(walls)

        one, two = _in_turn(rounds, lambda: ours.timed("matrix", 5).wall, both)
    return statistics.median(2 * a / b for a, b in zip(one, two, strict=True))


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[float, float, int]:
    begun = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        # The kernel's own figure for a child would be no less than this process had when it began it.
        said = process.stdout.read().split()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begun
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_utime + usage.ru_stime, int(said[-1])
