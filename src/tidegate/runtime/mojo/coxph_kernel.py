"""The compiled part of proportional hazards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

#: What `hazards` says of a row that cannot be scored.
SCORED, NO_STRATUM, NO_LEVEL, NO_INTERACTION = range(4)
#: Kinds of interactions.
LEVELS, NUMBERS, LEVEL_AND_NUMBER = range(3)

_INT_MAX = 2147483647.0
_INT_MIN = -2147483648.0


@kernel
def java_int(value: float) -> int:
    """Return what Java's cast to int does: towards zero, NaN to 0, and the nearest int for what is beyond."""
    if np.isnan(value):
        return 0
    if value >= _INT_MAX:
        return 2147483647
    if value <= _INT_MIN:
        return -2147483648
    return int(value)


@kernel
def stratum_of(row: NDArray[np.float64], strata: NDArray[np.int64]) -> int:
    """Return the place of the row's stratum, shape (strata, columns); 0 where the model has none; -1 for an unknown."""
    if strata.shape[0] == 0:
        return 0
    for s in range(strata.shape[0]):
        same = True
        for i in range(strata.shape[1]):
            if java_int(row[i]) != strata[s, i]:
                same = False
                break
        if same:
            return s
    return -1


@kernel
def interact(
    row: NDArray[np.float64],
    interactions: NDArray[np.int64],
    levels: NDArray[np.int64],
    pairs: NDArray[np.int64],
    codes: NDArray[np.int64],
    first_level: int,
    shifts: NDArray[np.int64],
) -> bool:
    """Fill in the columns of interactions that are NaN, and write for each the shift of its coefficient.

    Args:
        interactions: shape (interactions, 4): kind, the two columns (the one with levels first), the target.
        levels: shape (interactions, 4): how many levels the first and the second column have, and where the pairs
            of levels that have a code begin and end.
        pairs, codes: ascending, first code × levels of the second + second code; the code of the pair.

    Returns:
        False where a level is beyond its column's, on which H2O's scorer fails.
    """
    for t in range(interactions.shape[0]):
        shifts[t] = 0
        target = interactions[t, 3]
        if not np.isnan(row[target]):
            continue
        one = row[interactions[t, 1]]
        two = row[interactions[t, 2]]
        kind = interactions[t, 0]
        if kind == NUMBERS:
            row[target] = one * two
        elif kind == LEVEL_AND_NUMBER:
            level = java_int(one) - first_level
            if level < 0:
                row[target] = 0.0
            else:
                row[target] = two
                shifts[t] = level
        else:
            a = java_int(one)
            b = java_int(two)
            if a < 0 or b < 0 or a >= levels[t, 0] or b >= levels[t, 1]:
                return False
            wanted = a * levels[t, 1] + b
            place = levels[t, 2] + np.searchsorted(pairs[levels[t, 2] : levels[t, 3]], wanted)
            row[target] = codes[place] if place < levels[t, 3] and pairs[place] == wanted else -1.0
    return True


@kernel
def hazards(
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    strata: NDArray[np.int64],
    bases: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    cat_offsets: NDArray[np.int64],
    level_shifts: NDArray[np.int64],
    num_offsets: NDArray[np.int64],
    first_level: int,
    interactions: NDArray[np.int64],
    shifted: NDArray[np.int64],
    levels: NDArray[np.int64],
    pairs: NDArray[np.int64],
    codes: NDArray[np.int64],
    scores: NDArray[np.float64],
    faults: NDArray[np.int64],
) -> int:
    """Write the linear predictors, shape (rows, 1). Stop at a row that cannot be scored, and say why.

    Args:
        offset: of each row, or empty.
        level_shifts: of each categorical column, what is taken off its code.
        shifted: of each interaction, which number's coefficient is shifted; -1 for none.
        faults: the row and the column at which it stopped are written there.
    """
    cats = len(cat_offsets) - 1
    lead = strata.shape[1]
    row = np.empty(rows.shape[1], np.float64)
    shifts = np.zeros(interactions.shape[0], np.int64)
    moved = np.zeros(len(num_offsets), np.int64)
    for r in range(rows.shape[0]):
        row[:] = rows[r]
        faults[0] = r
        stratum = stratum_of(row, strata)
        if stratum < 0:
            faults[1] = 0
            return NO_STRATUM
        if not interact(row, interactions, levels, pairs, codes, first_level, shifts):
            return NO_INTERACTION
        categorical = 0.0
        for c in range(cats):
            value = row[lead + c]
            if first_level == 1:
                if np.isnan(value):
                    categorical = np.nan
                    continue
                if value < 0:
                    continue
            level = java_int(value)
            if level != value:
                faults[1] = lead + c
                return NO_LEVEL
            place = cat_offsets[c] + level - level_shifts[c]
            if cat_offsets[c] <= place < cat_offsets[c + 1]:
                categorical += coefficients[place]
        moved[:] = 0
        for t in range(interactions.shape[0]):
            if shifted[t] >= 0:
                moved[shifted[t]] = shifts[t]
        numeric = 0.0
        for i in range(len(num_offsets)):
            place = num_offsets[i] + moved[i]
            if place >= len(coefficients):
                break
            numeric += row[lead + cats + i] * coefficients[place]
        score = categorical + numeric - bases[stratum]
        if len(offset) > 0:
            score += offset[r]
        scores[r, 0] = score
    return SCORED
