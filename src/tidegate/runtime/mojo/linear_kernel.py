"""Kernels of models that add coefficients up: GLM and GAM. Each sum is taken in the order of H2O's scorer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.link_kernel import inverse
from tidegate.runtime.mojo.packed_kernel import float64s, int64s

#: What is made of the values: the mean alone, or a label and probabilities.
MEAN, TWO_CLASSES = range(2)


@kernel
def first_fault(rows: NDArray[np.float64], filled: bool, cats: int) -> int:
    """Return where the first categorical lies that has no level, as row * cats + column; -1 for nowhere.

    Args:
        filled: whether a missing level is filled in.
    """
    for r in range(rows.shape[0]):
        for i in range(cats):
            value = rows[r, i]
            if math.isnan(value):
                if not filled:
                    return r * cats + i
            elif not (0.0 <= value <= 2147483647.0 and value == math.floor(value)):
                return r * cats + i
    return -1


@kernel
def categorical_part(
    rows: NDArray[np.float64],
    r: int,
    cat_offsets: NDArray[np.int64],
    first_level: int,
    cat_fill: NDArray[np.int64],
    beta: NDArray[np.float64],
) -> float:
    """Return the sum of the coefficients of a row's levels. A level beyond its column's coefficients has none."""
    total = 0.0
    for i in range(cat_offsets.shape[0] - 1):
        value = rows[r, i]
        code = cat_fill[i] if math.isnan(value) else int(value)
        if code >= first_level:
            index = cat_offsets[i] + code - first_level
            if index < cat_offsets[i + 1]:
                total += beta[index]
    return total


@kernel
def score_one(
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    cat_offsets: NDArray[np.int64],
    first_level: int,
    cat_fill: NDArray[np.int64],
    num_fill: NDArray[np.float64],
    beta: NDArray[np.float64],
    link: int,
    power: float,
    form: int,
    threshold: float,
    out: NDArray[np.float64],
) -> None:
    """Score rows with one linear predictor.

    Args:
        offset: per row, or empty.
        first_level: 0 where the first level of a column has a coefficient, else 1.
        link, power: of `link_kernel.inverse`.
        cat_fill, num_fill: what stands for a missing value; NaN for a number that stays missing.
        beta: of the levels, of the numbers, and the intercept.
        out: shape (rows, 1) for `MEAN`, (rows, 3) for `TWO_CLASSES`.
    """
    cats = cat_offsets.shape[0] - 1
    weights = beta[cat_offsets[cats] :]
    numbers = rows[:, cats:]
    n = rows.shape[0]
    done = 0
    # Four rows at once: each sum waits for its last addition, and four of them wait together.
    while done + 4 <= n:
        a = categorical_part(rows, done, cat_offsets, first_level, cat_fill, beta)
        b = categorical_part(rows, done + 1, cat_offsets, first_level, cat_fill, beta)
        c = categorical_part(rows, done + 2, cat_offsets, first_level, cat_fill, beta)
        d = categorical_part(rows, done + 3, cat_offsets, first_level, cat_fill, beta)
        for i in range(num_fill.shape[0]):
            coefficient = weights[i]
            fill = num_fill[i]
            value = numbers[done, i]
            a += coefficient * (fill if math.isnan(value) else value)
            value = numbers[done + 1, i]
            b += coefficient * (fill if math.isnan(value) else value)
            value = numbers[done + 2, i]
            c += coefficient * (fill if math.isnan(value) else value)
            value = numbers[done + 3, i]
            d += coefficient * (fill if math.isnan(value) else value)
        out[done, 0] = a
        out[done + 1, 0] = b
        out[done + 2, 0] = c
        out[done + 3, 0] = d
        done += 4
    for r in range(done, n):
        total = categorical_part(rows, r, cat_offsets, first_level, cat_fill, beta)
        for i in range(num_fill.shape[0]):
            value = numbers[r, i]
            total += weights[i] * (num_fill[i] if math.isnan(value) else value)
        out[r, 0] = total
    intercept = beta[beta.shape[0] - 1]
    for r in range(n):
        total = out[r, 0] + intercept
        if offset.shape[0] > 0:
            total += offset[r]
        mean = inverse(link, total, power)
        if form == TWO_CLASSES:
            out[r, 0] = 1.0 if mean >= threshold else 0.0
            out[r, 1] = 1.0 - mean
            out[r, 2] = mean
        else:
            out[r, 0] = mean


@kernel
def score_packed_one(
    table: NDArray[np.int64], rows: NDArray[np.float64], offset: NDArray[np.float64], out: NDArray[np.float64]
) -> int:
    """Do as `score_one` does, and return -1; or stop before that, and return what `first_fault` does.

    In the table are the arrays of `score_one`; power and threshold; first level, link, form, and whether missing levels
    are filled in.
    """
    floats, whole = float64s(table, 4), int64s(table, 5)
    cat_offsets = int64s(table, 0)
    fault = first_fault(rows, whole[3] != 0, cat_offsets.shape[0] - 1)
    if fault >= 0:
        return fault
    score_one(
        rows,
        offset,
        cat_offsets,
        whole[0],
        int64s(table, 1),
        float64s(table, 2),
        float64s(table, 3),
        whole[1],
        floats[0],
        whole[2],
        floats[1],
        out,
    )
    return -1


@kernel
def add_up(
    rows: NDArray[np.float64],
    r: int,
    cat_offsets: NDArray[np.int64],
    first_level: int,
    cat_fill: NDArray[np.int64],
    num_fill: NDArray[np.float64],
    beta: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Put a row's linear predictors into columns 1 and on of `out`; `beta` has shape (coefficients, predictors)."""
    cats = cat_offsets.shape[0] - 1
    start = cat_offsets[cats]
    count = beta.shape[1]
    for c in range(count):
        out[r, 1 + c] = 0.0
    for i in range(cats):
        value = rows[r, i]
        code = cat_fill[i] if math.isnan(value) else int(value)
        if code >= first_level:
            index = cat_offsets[i] + code - first_level
            if index < cat_offsets[i + 1]:
                for c in range(count):
                    out[r, 1 + c] += beta[index, c]
    for i in range(num_fill.shape[0]):
        value = rows[r, cats + i]
        if math.isnan(value):
            value = num_fill[i]
        for c in range(count):
            out[r, 1 + c] += beta[start + i, c] * value
    for c in range(count):
        out[r, 1 + c] += beta[beta.shape[0] - 1, c]


@kernel
def score_multinomial(
    rows: NDArray[np.float64],
    cat_offsets: NDArray[np.int64],
    first_level: int,
    cat_fill: NDArray[np.int64],
    num_fill: NDArray[np.float64],
    beta: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Score rows of a multinomial model; `out` has shape (rows, 1 + classes)."""
    for r in range(rows.shape[0]):
        add_up(rows, r, cat_offsets, first_level, cat_fill, num_fill, beta, out)
        # The maximum starts at 0, so that it is not always the largest predictor.
        largest = 0.0
        for c in range(1, out.shape[1]):
            largest = max(largest, out[r, c])
        total = 0.0
        for c in range(1, out.shape[1]):
            out[r, c] = math.exp(out[r, c] - largest)
            total += out[r, c]
        share = 1.0 / total
        best = 0.0
        label = 0
        for c in range(1, out.shape[1]):
            out[r, c] *= share
            if out[r, c] > best:
                best = out[r, c]
                label = c - 1
        out[r, 0] = label


@kernel
def score_ordinal(
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    cat_offsets: NDArray[np.int64],
    first_level: int,
    cat_fill: NDArray[np.int64],
    num_fill: NDArray[np.float64],
    beta: NDArray[np.float64],
    by_sign: bool,
    out: NDArray[np.float64],
) -> None:
    """Score rows of an ordinal model; `out` has shape (rows, 1 + classes), and `beta` one predictor less than classes.

    Args:
        by_sign: label as GAM does, by the first predictor above 0; else as GLM does, by the largest probability, with
            -1 where none is above 0.
    """
    classes = out.shape[1] - 1
    for r in range(rows.shape[0]):
        add_up(rows, r, cat_offsets, first_level, cat_fill, num_fill, beta, out)
        shift = offset[r] if offset.shape[0] > 0 else 0.0
        label = classes - 1 if by_sign else -1
        found = False
        before = 0.0
        best = 0.0
        for c in range(1, classes + 1):
            upto = 1.0
            if c < classes:
                predictor = out[r, c] + shift
                if by_sign and not found and predictor > 0.0:
                    found = True
                    label = c - 1
                upto = 1.0 / (1.0 + math.exp(-predictor))
            share = upto - before
            before = upto
            out[r, c] = share
            if not by_sign and share > best:
                best = share
                label = c - 1
        out[r, 0] = label
