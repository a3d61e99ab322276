"""Windows of what the reference is of: each alarm is a false one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.drift.data import FEATURES
from examples.flights.data import COLUMNS, load_flights
from tidegate.drift import Policy, Reading, Reference

#: Rows of a reference, of a small one, and of the windows that are compared with it.
REFERENCE, SMALL_REFERENCE = 5_000, 100
WINDOWS = (50, 200, 1_000, 5_000)
#: The index that decides by itself where people do not ask for chance.
_BARE = 0.1

Table = dict[str, Any]


def _bare(reading: Reading) -> bool:
    return any(column.psi >= _BARE for column in reading.columns)


def _by_chance(alpha: float) -> Callable[[Reading], bool]:
    return lambda reading: any(column.chance <= alpha for column in reading.columns)


#: What would call a reading an alarm: name, rule, and the stated rate, None where none is stated.
RULES: tuple[tuple[str, Callable[[Reading], bool], float | None], ...] = (
    ("as it comes", lambda reading: reading.state in ("moderate", "large"), Policy().alpha),
    ("chance alone, 1 %", _by_chance(0.01), 0.01),
    ("chance alone, 5 %", _by_chance(0.05), 0.05),
    ("a PSI of 0.1 alone", _bare, None),
)


def flights() -> Callable[[np.random.Generator, int], Table]:
    """Return what draws rows of a year of flights at random: none is drawn twice, so that all are alike."""
    table = load_flights()[list(COLUMNS)]
    columns = {name: table[name].to_numpy() for name in COLUMNS}

    def draw(chance: np.random.Generator, rows: int) -> Table:
        chosen = chance.choice(len(table), rows, replace=False, shuffle=True)
        return {name: values[chosen] for name, values in columns.items()}

    return draw


def simulated() -> Callable[[np.random.Generator, int], Table]:
    """Return what draws the thirty features of the large tables, none of them moved."""
    return lambda chance, rows: {name: feature(chance, rows, 0.0) for name, feature, _ in FEATURES}


def counted(
    draw: Callable[[np.random.Generator, int], Table], windows: int, reference_rows: int
) -> dict[str, dict[str, int]]:
    """Return the alarms by size of the window and rule, of `windows` windows each, every one with a reference of its
    own."""
    found = {str(size): {name: 0 for name, _, _ in RULES} for size in WINDOWS}
    for seed in range(windows):
        chance = np.random.default_rng([2013, seed])
        table = draw(chance, reference_rows + sum(WINDOWS))
        reference = Reference.of({name: values[:reference_rows] for name, values in table.items()})
        start = reference_rows
        for size in WINDOWS:
            reading = reference.compare({name: values[start : start + size] for name, values in table.items()})
            for name, is_alarm, _ in RULES:
                found[str(size)][name] += is_alarm(reading)
            start += size
    return found


def interval(alarms: int, windows: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a rate (Clopper–Pearson)."""
    low, high = stats.binomtest(alarms, windows).proportion_ci(0.95, "exact")
    return float(low), float(high)
