"""From the leaves of a forest to the outputs of a model, in one call each."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.label_kernel import finish_classes
from tidegate.runtime.mojo.link_kernel import inverse
from tidegate.runtime.mojo.packed_kernel import flags, float64s, int32s, int64s
from tidegate.runtime.mojo.tree_kernel import add_leaves

REGRESSION = 0
TWO_CLASSES = 1
MULTINOMIAL = 2


@kernel
def _offset_of(offset: NDArray[np.float64], index: int) -> float:
    return offset[index] if len(offset) else 0.0


@kernel
def score_gbm(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    classes: NDArray[np.int64],
    columns: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    form: int,
    link: int,
    start: float,
    ratios: NDArray[np.float64],
    prior: NDArray[np.float64],
    threshold: float,
    n_classes: int,
    out: NDArray[np.float64],
) -> None:
    """Write the outputs of boosted trees into `out`, which is all zeros.

    Args:
        columns, kinds, limits: of `fill_slots`.
        offset: of each row; empty for 0.
        form: a constant above.
        start: what all trees' sums begin from.
        ratios, prior, threshold: of `finish_classes`.
    """
    add_leaves(nodes, sets, roots, classes, columns, kinds, limits, rows, out, 0 if form == REGRESSION else 1)
    finish_gbm(rows, offset, form, link, start, ratios, prior, threshold, n_classes, out)


@kernel
def score_packed_gbm(
    table: NDArray[np.int64], rows: NDArray[np.float64], offset: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Do as `score_gbm` does. In the table are its arrays, start and threshold, and form, link and classes."""
    floats, whole = float64s(table, 9), int64s(table, 10)
    score_gbm(
        int32s(table, 0),
        int32s(table, 1),
        int64s(table, 2),
        int64s(table, 3),
        int64s(table, 4),
        flags(table, 5),
        float64s(table, 6),
        rows,
        offset,
        whole[0],
        whole[1],
        floats[0],
        float64s(table, 7),
        float64s(table, 8),
        floats[1],
        whole[2],
        out,
    )


@kernel
def finish_gbm(
    rows: NDArray[np.float64],
    offset: NDArray[np.float64],
    form: int,
    link: int,
    start: float,
    ratios: NDArray[np.float64],
    prior: NDArray[np.float64],
    threshold: float,
    n_classes: int,
    out: NDArray[np.float64],
) -> None:
    """Turn sums of leaves into outputs, in place. Sums are in column 0, or in those from 1 on with classes."""
    for index in range(len(rows)):
        if form == REGRESSION:
            out[index, 0] = inverse(link, (out[index, 0] + start) + _offset_of(offset, index), 0.0)
        elif form == TWO_CLASSES:
            p1 = inverse(link, (out[index, 1] + start) + _offset_of(offset, index), 0.0)
            out[index, 1] = 1.0 - p1
            out[index, 2] = p1
        else:
            if n_classes == 2:
                out[index, 1] += start + _offset_of(offset, index)
                out[index, 2] = -out[index, 1]
            _softmax(out[index, 1 : 1 + n_classes])
    if form != REGRESSION:
        finish_classes(out, rows, ratios, prior, threshold, n_classes)


@kernel
def _softmax(values: NDArray[np.float64]) -> None:
    most = values[0]
    for index in range(1, len(values)):
        most = max(most, values[index])
    total = 0.0
    for index in range(len(values)):
        values[index] = math.exp(values[index] - most)
        total += values[index]
    for index in range(len(values)):
        values[index] /= total


@kernel
def score_drf(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    classes: NDArray[np.int64],
    columns: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    groups: float,
    form: int,
    ratios: NDArray[np.float64],
    prior: NDArray[np.float64],
    threshold: float,
    n_classes: int,
    out: NDArray[np.float64],
) -> None:
    """Write the outputs of a random forest into `out`, which is all zeros; see `score_gbm`.

    Args:
        groups: of trees, over which means are taken.
        form: `TWO_CLASSES` for trees of class 0 alone, `MULTINOMIAL` for trees of each class, also of two.
    """
    add_leaves(nodes, sets, roots, classes, columns, kinds, limits, rows, out, 0 if form == REGRESSION else 1)
    finish_drf(rows, groups, form, ratios, prior, threshold, n_classes, out)


@kernel
def score_packed_drf(table: NDArray[np.int64], rows: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Do as `score_drf` does. In the table are its arrays, groups and threshold, and form and classes."""
    floats, whole = float64s(table, 9), int64s(table, 10)
    score_drf(
        int32s(table, 0),
        int32s(table, 1),
        int64s(table, 2),
        int64s(table, 3),
        int64s(table, 4),
        flags(table, 5),
        float64s(table, 6),
        rows,
        floats[0],
        whole[0],
        float64s(table, 7),
        float64s(table, 8),
        floats[1],
        whole[1],
        out,
    )


@kernel
def finish_drf(
    rows: NDArray[np.float64],
    groups: float,
    form: int,
    ratios: NDArray[np.float64],
    prior: NDArray[np.float64],
    threshold: float,
    n_classes: int,
    out: NDArray[np.float64],
) -> None:
    """Turn sums of leaves into outputs, in place; see `finish_gbm`."""
    for index in range(len(rows)):
        if form == REGRESSION:
            out[index, 0] /= groups
        elif form == TWO_CLASSES:
            out[index, 1] /= groups
            out[index, 2] = 1.0 - out[index, 1]
        else:
            total = 0.0
            for place in range(1, 1 + n_classes):
                total += out[index, place]
            if total > 0.0:
                for place in range(1, 1 + n_classes):
                    out[index, place] /= total
    if form != REGRESSION:
        finish_classes(out, rows, ratios, prior, threshold, n_classes)


@kernel
def score_isolation_forest(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    classes: NDArray[np.int64],
    columns: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    groups: float,
    shortest: float,
    longest: float,
    threshold: float,
    flagged: bool,
    out: NDArray[np.float64],
) -> None:
    """Write score and mean length into `out`, which is all zeros; with `flagged`, whether the score is above the
    threshold before them. The shortest and longest lengths are those of all trees together."""
    at = 1 if flagged else 0
    add_leaves(nodes, sets, roots, classes, columns, kinds, limits, rows, out, at + 1)
    for index in range(len(rows)):
        length = out[index, at + 1]
        score = (longest - length) / (longest - shortest) if longest > shortest else 1.0
        out[index, at] = score
        out[index, at + 1] = length / groups
        if flagged:
            out[index, 0] = 1.0 if score > threshold else 0.0


@kernel
def score_uplift(
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
    roots: NDArray[np.int64],
    classes: NDArray[np.int64],
    columns: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    limits: NDArray[np.float64],
    rows: NDArray[np.float64],
    groups: float,
    out: NDArray[np.float64],
) -> None:
    """Write the effect of a treatment, and the probabilities with and without it, into `out`, which is all zeros."""
    add_leaves(nodes, sets, roots, classes, columns, kinds, limits, rows, out, 1)
    for index in range(len(rows)):
        out[index, 1] /= groups
        out[index, 2] /= groups
        out[index, 0] = out[index, 1] - out[index, 2]
