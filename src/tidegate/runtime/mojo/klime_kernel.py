"""The compiled part of k-LIME."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel


@kernel
def reasons(
    rows: NDArray[np.float64],
    cat_offsets: NDArray[np.int64],
    first_level: int,
    cat_fill: NDArray[np.int64],
    num_fill: NDArray[np.float64],
    beta: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    """Write what each column adds to the prediction, shape (rows, columns), after missing values were filled in.

    Where the first level of a column has no coefficient, H2O's scorer takes that of the level after the next: so here.
    """
    cats = len(cat_offsets) - 1
    numbers = cat_offsets[cats]
    for r in range(rows.shape[0]):
        for i in range(cats):
            value = rows[r, i]
            level = cat_fill[i] if np.isnan(value) else int(value)
            place = cat_offsets[i] + level + first_level
            found[r, i] = beta[place] if 0 <= place < cat_offsets[i + 1] else np.nan
        for i in range(len(num_fill)):
            value = rows[r, cats + i]
            if np.isnan(value):
                value = num_fill[i]
            found[r, cats + i] = value * beta[numbers + i]
