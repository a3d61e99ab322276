"""What the figures are to reach, and where they do."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Models = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Goal:
    """A goal: what was wanted and found, by how much it was met, and the models that missed it."""

    wanted: str
    found: str
    missed: tuple[str, ...]


def judged(models: Models) -> list[Goal]:
    batches = {name: found["batch"]["ratio"] for name, found in models.items()}
    median = statistics.median(batches.values())
    starts = {name: found["start"]["ours"]["seconds"] for name, found in models.items()}
    return [
        _each("a numeric row: not slower than `score0`", {n: f["row"]["ratio"] for n, f in models.items()}, 1.0),
        _each("a dict: at most half of EasyPredict's time", {n: f["dict"]["ratio"] for n, f in models.items()}, 2.0),
        _each("10,000 rows: at least twice Java's rate per thread, each model", batches, 2.0),
        Goal(
            "10,000 rows: at least 4 times Java's rate at the median",
            f"{median:.1f} times",
            () if median >= 4.0 else ("median",),
        ),
        _each("two threads: at least 1.7 times one", {n: f["threads"]["ratio"] for n, f in models.items()}, 1.7),
        Goal(
            "process start to first prediction: at most 1.5 s",
            f"{min(starts.values()):.2f} to {max(starts.values()):.2f} s",
            tuple(name for name, seconds in starts.items() if seconds > 1.5),
        ),
    ]


def _each(wanted: str, ratios: Mapping[str, float], least: float) -> Goal:
    missed = tuple(f"{name} {ratio:.2f}" for name, ratio in ratios.items() if ratio < least)
    return Goal(wanted, f"{min(ratios.values()):.2f} to {max(ratios.values()):.2f} times", missed)
