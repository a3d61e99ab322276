"""One contender in a process of its own: `python contenders.py NAME FOLDER FEATURES`, one line of JSON as the answer.

The data is in memory, in the form that the contender takes, before the clock starts. Memory is the largest that the
process ever had, and what it had when the clock started. Runs in the environment of the contender.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift.data import Numbers, Sides, read

Columns = dict[str, Numbers]
#: By feature, what was measured of it.
Values = dict[str, dict[str, float]]

_SHARES = np.arange(1, 10) / 10
_MOST_NUMBERS = 20


def tidegate(reference: Columns, current: Columns) -> Values:
    """PSI and KS, and with them Jensen–Shannon, Wasserstein and χ²: they come along."""
    from tidegate.drift import Reference

    reading = Reference.of(reference).compare(current)
    return {column.name: {"psi": column.psi, "ks": column.kolmogorov_smirnov or 0.0} for column in reading.columns}


def numpy(reference: Columns, current: Columns) -> Values:
    """The same definitions, as one writes them down with NumPy."""
    return {
        name: {"psi": _psi(reference[name], current[name]), "ks": _ks(reference[name], current[name])}
        for name in reference
    }


def _psi(reference: Numbers, current: Numbers) -> float:
    there = reference[~np.isnan(reference)]
    different = np.unique(there)
    if len(different) <= _MOST_NUMBERS:
        before, now = _each(reference, different), _each(current, different)
    else:
        edges = np.unique(np.quantile(there, _SHARES, method="inverted_cdf"))
        edges = edges[edges < there.max()]
        before, now = _between(reference, edges), _between(current, edges)
    seen = (before > 0) | (now > 0)
    first, second = (np.where(counts[seen] == 0, 0.5, counts[seen]) / counts.sum() for counts in (before, now))
    return float(((second - first) * np.log(second / first)).sum())


def _each(values: Numbers, different: Numbers) -> Any:
    counts = [(values == number).sum() for number in different]
    missing = np.isnan(values).sum()
    return np.array([*counts, len(values) - sum(counts) - missing, missing], dtype=np.float64)


def _between(values: Numbers, edges: Numbers) -> Any:
    there = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, there), minlength=len(edges) + 1)
    return np.array([*counts, len(values) - len(there)], dtype=np.float64)


def _ks(reference: Numbers, current: Numbers) -> float:
    first, second = (np.sort(values[~np.isnan(values)]) for values in (reference, current))
    both = np.concatenate([first, second])
    apart = np.searchsorted(first, both, "right") / len(first) - np.searchsorted(second, both, "right") / len(second)
    return float(np.abs(apart).max())


def evidently_report(reference: Any, current: Any) -> Values:
    """A report of Evidently with nothing in it but PSI and KS of each column."""
    from evidently import Report
    from evidently.metrics import ValueDrift

    names = list(reference.as_dataframe().columns)
    wanted = [(name, method) for name in names for method in ("psi", "ks")]
    report = Report([ValueDrift(column=name, method=method) for name, method in wanted])
    told = report.run(current, reference).dict()["metrics"]
    found: Values = {name: {} for name in names}
    for (name, method), metric in zip(wanted, told, strict=True):
        assert metric["config"]["column"] == name
        found[name][_KEYS[method]] = float(metric["value"])
    return found


def evidently_tests(reference: Any, current: Any) -> Values:
    """What the report calls for its figures, alone: no histograms for plots, no correlation."""
    from evidently.legacy.calculations.stattests import ks_stat_test, psi_stat_test
    from evidently.legacy.core import ColumnType

    found: Values = {}
    for name in reference.columns:
        before, now = (side[name].replace([-np.inf, np.inf], np.nan).dropna() for side in (reference, current))
        found[name] = {
            key: float(test(before, now, ColumnType.Numerical, None).drift_score)
            for key, test in (("psi", psi_stat_test), ("chance", ks_stat_test))
        }
    return found


def _frame(columns: Columns) -> Any:
    import pandas as pd

    # One block after the other, so that no moment holds the data twice.
    return pd.DataFrame(columns, copy=False)


def _data_set(columns: Columns) -> Any:
    from evidently import DataDefinition, Dataset

    frame = _frame(columns)
    return Dataset.from_pandas(frame, data_definition=DataDefinition(numerical_columns=list(frame.columns)))


_KEYS = {"psi": "psi", "ks": "chance"}
_NAMED: dict[str, tuple[Callable[[Columns], Any], Callable[[Any, Any], Values]]] = {
    "tidegate": (lambda columns: columns, tidegate),
    "numpy": (lambda columns: columns, numpy),
    "evidently": (_data_set, evidently_report),
    "evidently-tests": (_frame, evidently_tests),
}


def main(name: str, folder: Path, features: int) -> None:
    prepare, measure = _NAMED[name]
    # What is imported and made ready on first use is no part of the time.
    few = {side: {key: values[:1000].copy() for key, values in read(folder, side, 1).items()} for side in Sides}
    measure(prepare(few["reference"]), prepare(few["current"]))
    reference, current = (prepare(read(folder, side, features)) for side in Sides)
    before, begun, worked = _memory("VmRSS"), time.perf_counter(), time.process_time()
    values = measure(reference, current)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - begun,
                "cpu": time.process_time() - worked,
                "data": before,
                "peak": _memory("VmHWM"),
                "values": values,
            }
        )
    )


def _memory(what: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(what)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
