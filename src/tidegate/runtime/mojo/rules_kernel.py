"""The compiled part of RuleFit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

#: Kinds of conditions.
BELOW, FROM, IN = range(3)


@kernel
def holds(
    value: float, kind: int, threshold: float, takes_missing: bool, levels: NDArray[np.float64], start: int, end: int
) -> bool:
    """Say whether a value meets a condition; its levels are a part of `levels`."""
    if np.isnan(value):
        return takes_missing
    if kind == BELOW:
        return value < threshold
    if kind == FROM:
        return value >= threshold
    for i in range(start, end):  # noqa: SIM110 (kernels have no generators)
        if value == levels[i]:
            return True
    return False


@kernel
def derive(
    rows: NDArray[np.float64],
    column_starts: NDArray[np.int64],
    rule_starts: NDArray[np.int64],
    codes: NDArray[np.float64],
    features: NDArray[np.int64],
    kinds: NDArray[np.int64],
    thresholds: NDArray[np.float64],
    takes_missing: NDArray[np.bool_],
    level_starts: NDArray[np.int64],
    levels: NDArray[np.float64],
    targets: NDArray[np.int64],
    derived: NDArray[np.float64],
) -> None:
    """Write into columns `targets` of `derived` the code of the last rule that holds; NaN where none does."""
    for r in range(rows.shape[0]):
        for c in range(len(targets)):
            found = np.nan
            for rule in range(column_starts[c + 1] - 1, column_starts[c] - 1, -1):
                meets = True
                for i in range(rule_starts[rule], rule_starts[rule + 1]):
                    value = rows[r, features[i]]
                    if not holds(
                        value, kinds[i], thresholds[i], takes_missing[i], levels, level_starts[i], level_starts[i + 1]
                    ):
                        meets = False
                        break
                if meets:
                    found = codes[rule]
                    break
            derived[r, targets[c]] = found
