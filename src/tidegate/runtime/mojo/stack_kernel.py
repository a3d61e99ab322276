"""Scores one row with a whole ensemble in one call of compiled code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.address_kernel import table_at, words_at
from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.forest_kernel import score_packed_drf, score_packed_gbm
from tidegate.runtime.mojo.linear_kernel import score_packed_one
from tidegate.runtime.mojo.packed import BOOSTER, DRF, GBM
from tidegate.runtime.mojo.packed_kernel import int64s
from tidegate.runtime.mojo.stacked_ensemble_kernel import to_logits
from tidegate.runtime.mojo.xgboost_kernel import score_packed_trees

#: Of each model of an ensemble: its program (kind, address of the table and its length, width, outputs, whether it
#: needs an offset); the address of the columns that it takes of the ensemble's row, 0 for all; which outputs go to the
#: metalearner (the first, and how many), and where to.
KIND, TABLE, LENGTH, WIDTH, OUTPUTS, OFFSET, PICKS, FIRST, COUNT, PLACE, FIELDS = range(11)


@kernel
def _score_single(
    kind: int, table: NDArray[np.int64], needs_offset: bool, row: NDArray[np.float64], out: NDArray[np.float64]
) -> bool:
    offset = np.zeros(1 if needs_offset else 0)
    out[:] = 0.0
    if kind == GBM:
        score_packed_gbm(table, row, offset, out)
    elif kind == DRF:
        score_packed_drf(table, row, out)
    elif kind == BOOSTER:
        score_packed_trees(table, row, offset, out)
    else:
        return score_packed_one(table, row, offset, out) < 0
    return True


@kernel
def score_stack(table: NDArray[np.int64], row: NDArray[np.float64], out: NDArray[np.float64]) -> bool:
    """Write a row's outputs, both of shape (1, …); False, with anything in `out`, for one that cannot be scored.

    In the table are the fields above of all models, the metalearner last; the width of its row, and whether it takes
    logits.
    """
    models, whole = int64s(table, 0), int64s(table, 2)
    level_one = np.zeros((1, whole[0]))
    last = len(models) // FIELDS - 1
    for number in range(last + 1):
        model = models[number * FIELDS : (number + 1) * FIELDS]
        scores = np.empty((1, model[OUTPUTS]))
        if number == last and whole[1]:
            to_logits(level_one)
        if number == last:
            taken = level_one
        elif model[PICKS] == 0:
            taken = row
        else:
            picks = words_at(model[PICKS], model[WIDTH])
            taken = np.empty((1, model[WIDTH]))
            for i in range(model[WIDTH]):
                taken[0, i] = row[0, picks[i]]
        table_of_model = table_at(model[TABLE], model[LENGTH])
        if not _score_single(model[KIND], table_of_model, model[OFFSET] != 0, taken, scores):
            return False
        target = out if number == last else level_one
        for i in range(model[COUNT]):
            target[0, model[PLACE] + i] = scores[0, model[FIRST] + i]
    return True
