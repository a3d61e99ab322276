"""What the figures are to reach, and where they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.drift.alarms import RULES, interval

#: Two sums of the same numbers in another order differ by no more.
SAME = 1e-9
FASTER = 10.0
_EQUAL = "equal values where definitions agree"


@dataclass(frozen=True)
class Goal:
    """A goal: what was wanted and found, and what missed it, empty where it was met."""

    wanted: str
    found: str
    missed: str


def judged(run: Mapping[str, Any]) -> list[Goal]:
    """Judge.

    Args:
        run: `speed`, by size ("1,000,000 × 30") what `measure.measured` returned as `contenders`, and `agree`; `alarms`
            with `data`, by name `windows` and the counts of `alarms.counted`. Either may be missing.
    """
    sizes = run.get("speed", {})
    return [_speed(sizes), _values(sizes), _alarms(run.get("alarms", {}).get("data", {}))]


def ratio(contenders: Mapping[str, Any], other: str) -> float | None:
    """Return how many times as much CPU time another takes as Tidegate; None where either was not measured."""
    ours, theirs = contenders.get("tidegate", {}), contenders.get(other, {})
    if "cpu" not in ours or "cpu" not in theirs:
        return None
    return float(theirs["cpu"] / ours["cpu"])


def _speed(sizes: Mapping[str, Any]) -> Goal:
    wanted = f"at least {FASTER:g} times as fast as Evidently"
    ratios = {rows: ratio(size["contenders"], "evidently") for rows, size in sizes.items()}
    told = {rows: value for rows, value in ratios.items() if value is not None}
    if not told:
        return Goal(wanted, "Evidently was not measured", "not measured")
    found = ", ".join(f"{value:.1f} times at {rows}" for rows, value in told.items())
    missed = ", ".join(f"{value:.1f} at {rows}" for rows, value in told.items() if value < FASTER)
    return Goal(wanted, found, missed)


def _values(sizes: Mapping[str, Any]) -> Goal:
    largest: dict[str, float] = {}
    for size in sizes.values():
        agree = size["agree"]
        found = {f"NumPy's {what}": value for what, value in agree.get("numpy", {}).items()}
        if "evidently" in agree:
            found |= {
                "Evidently's KS": agree["evidently"]["ks"]["difference"],
                "Evidently's PSI, same bins": agree["evidently"]["same"]["difference"],
                "Evidently's PSI, its bins": agree["evidently"]["formula"]["difference"],
            }
        for name, value in found.items():
            largest[name] = max(largest.get(name, 0.0), value)
    if not largest:
        return Goal(_EQUAL, "not measured", "not measured")
    missed = ", ".join(f"{name}: {value:.1e}" for name, value in largest.items() if value > SAME)
    worst = max(largest.values(), default=0.0)
    return Goal(_EQUAL, f"no difference above {worst:.1e}", missed)


def _alarms(alarms: Mapping[str, Any]) -> Goal:
    wanted = "false alarms over A/A windows at most at the stated rate"
    rates, missed, windows = [], [], 0
    for data, found in alarms.items():
        windows = found["windows"]
        for size, counts in found["counts"].items():
            for name, _, stated in RULES:
                if stated is None:
                    continue
                if name == RULES[0][0]:
                    rates.append(counts[name] / windows)
                # A rate above what was stated is a miss when chance does not explain it.
                if interval(counts[name], windows)[0] > stated:
                    missed.append(f"{data}, {size} rows, {name}: {counts[name]}")
    if not rates:
        return Goal(wanted, "not measured", "not measured")
    found = f"as it comes: {min(rates):.1%} to {max(rates):.1%} of {windows:,} windows, 1 % stated"
    return Goal(wanted, found, "; ".join(missed))
