"""How close scores are to be to H2O's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tests.runtime.mojo.matrix.cases import SEARCHED_BY_EXP, Entry
from tests.runtime.mojo.matrix.kept import Expected
from tidegate.runtime.mojo.deep_learning import AutoencoderScorer
from tidegate.runtime.mojo.kmeans import KMeans
from tidegate.runtime.mojo.load import MojoModel
from tidegate.runtime.mojo.rows import Policy

if TYPE_CHECKING:
    from tests.runtime.mojo.matrix.genmodel import Judged

Floats = NDArray[np.float64]

#: Sums whose order the format fixes, so that only the last bit of an `exp` may differ.
_TO_THE_BIT = frozenset({"gbm", "drf", "isolation_forest", "uplift", "xgboost", "glm", "isotonic"})
_LENIENT = Policy(strict=False, invalid_as_missing=True)


def assert_scores(
    model: MojoModel, expected: Expected | Judged, rows: Sequence[Mapping[str, str]], entry: Entry
) -> None:
    """Compare the scores of all rows that genmodel scores with what it says, and what it says besides."""
    scored = [place for place, refusal in enumerate(expected.refusals) if not refusal]

    answers = model.predict([rows[place] for place in scored], invalid_as_missing=True)

    wanted = np.hstack([expected.values, expected.calibrated]) if expected.calibrated.size else expected.values
    if expected.labels:
        assert [answer["predict"] for answer in answers] == [expected.labels[place] or None for place in scored]
    got = np.array([numbers(answer, labelled=bool(expected.labels)) for answer in answers])
    wanted = wanted[scored][:, 1:] if expected.labels else wanted[scored]
    got = np.hstack([got, _besides(model, [rows[place] for place in scored])])
    if isinstance(model.scorer, AutoencoderScorer):
        # genmodel has no error of a row where a number is missing; the cluster has, and so has the reader.
        got[np.isnan(wanted[:, -1]), -1] = np.nan
    assert_close(got, wanted, _allowed(wanted, entry))


def _besides(model: MojoModel, rows: Sequence[Mapping[str, str]]) -> Floats:
    """Return what genmodel says besides the outputs: distances of clusters, the error of a reconstruction."""
    matrix = np.vstack([model.builder.one(row, _LENIENT, {}) for row in rows])
    if isinstance(model.scorer, KMeans):
        return model.scorer.distances(matrix)
    if isinstance(model.scorer, AutoencoderScorer):
        return model.scorer.errors(matrix)[:, np.newaxis]
    return np.zeros((len(rows), 0))


def numbers(answer: Mapping[str, Any], *, labelled: bool) -> list[float]:
    return list(answer.values())[1:] if labelled else list(answer.values())


def _allowed(wanted: Floats, entry: Entry) -> Floats:
    """Return how far a number may be from H2O's.

    Where sums have a fixed order it is the last bit, for the sake of `exp`; a probability that is 1 minus another one
    has the last bit of that one, and where there are several, each `exp`, the sum and the quotient add theirs.
    """
    size: Floats = np.where(np.isfinite(wanted), np.abs(wanted), 0.0)
    largest: Floats = np.maximum(size.max(axis=1, keepdims=True), np.zeros_like(size))
    if entry["name"] == SEARCHED_BY_EXP:
        return 1e-7 * size
    if entry["algorithm"] not in _TO_THE_BIT:
        return 1e-12 * size
    if entry["category"] in ("Binomial", "Multinomial", "Ordinal"):
        size = largest
    last_bits: Floats = np.spacing(size)
    return last_bits * (4 if entry["category"] == "Multinomial" else 1)


def assert_close(got: Floats, wanted: Floats, allowed: Floats) -> None:
    assert got.shape == wanted.shape
    with np.errstate(invalid="ignore"):
        same = (got == wanted) | (np.isnan(got) & np.isnan(wanted)) | (np.abs(got - wanted) <= allowed)
    rows, columns = np.nonzero(~same)
    shown = [(int(r), int(c), got[r, c], wanted[r, c]) for r, c in zip(rows[:5], columns[:5], strict=True)]
    assert not shown, f"{len(rows)} of {same.size} differ, first as (row, column, got, H2O's): {shown}"
