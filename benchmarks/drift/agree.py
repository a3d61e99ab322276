"""Which values are the same by definition, and whether they are. Where definitions differ, why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.drift.data import Numbers, Sides, path
from tidegate.drift.measures import population_stability_index

Values = Mapping[str, Mapping[str, float]]

#: Up to so many different numbers both give each a bin of its own.
_MOST_NUMBERS = 20


def with_numpy(ours: Values, theirs: Values) -> dict[str, float]:
    """Return the largest differences of the PSI and of KS, which are of one definition."""
    return {what: max(abs(found[what] - theirs[name][what]) for name, found in ours.items()) for what in ("psi", "ks")}


def with_evidently(ours: Values, theirs: Values, folder: Path) -> dict[str, Any]:
    """Return how the values relate, feature by feature.

    Returns:
        `ks`: the largest difference of Evidently's probability from that of our distance, by SciPy's formula. `same`:
        of the PSI where both count in the same bins. `formula`: of the PSI where our formula is given Evidently's bins
        and none of them is empty on one side; `empty` where one is. Each with the names of its features.
    """
    found: dict[str, Any] = {name: {"features": [], "difference": 0.0} for name in ("ks", "same", "formula", "empty")}
    for name, told in theirs.items():
        before, now = (_there(np.load(path(folder, side, name), mmap_mode="r")) for side in Sides)
        chance = _chance(ours[name]["ks"], len(before), len(now))
        _add(found["ks"], name, abs(chance - told["chance"]))
        if len(np.unique(before[:10_000])) <= _MOST_NUMBERS and len(np.unique(before)) <= _MOST_NUMBERS:
            _add(found["same"], name, abs(ours[name]["psi"] - told["psi"]))
            continue
        edges = np.histogram_bin_edges(np.concatenate([before, now]), "sturges")
        counts = [np.histogram(side, edges)[0] for side in (before, now)]
        is_empty = bool(((counts[0] == 0) != (counts[1] == 0)).any())
        difference = abs(population_stability_index(*counts) - told["psi"])
        _add(found["empty" if is_empty else "formula"], name, difference)
    return found


def _add(group: dict[str, Any], name: str, difference: float) -> None:
    group["features"].append(name)
    group["difference"] = max(group["difference"], difference)


def _there(values: Numbers) -> Numbers:
    return np.asarray(values[~np.isnan(values)])


def _chance(distance: float, n: int, m: int) -> float:
    """Return SciPy's asymptotic probability of `ks_2samp`; its exact one up to 10,000 values."""
    if max(n, m) <= 10_000:
        raise ValueError("values are compared with more than 10,000 rows")
    return float(stats.kstwo.sf(distance, round(n * m / (n + m))))
