"""Real models of every algorithm that H2O exports, against the numbers of its own scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.mojo.matrix.kept import DATA, Expected, read_expected, read_index
from tests.runtime.mojo.matrix.rows import read_rows
from tidegate.runtime.mojo.deep_learning import AutoencoderScorer
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.kmeans import KMeans
from tidegate.runtime.mojo.load import MojoModel, load
from tidegate.runtime.mojo.rows import Policy

Entry = Mapping[str, Any]
Floats = NDArray[np.float64]

_INDEX: list[Entry] = read_index()["models"]
#: Sums whose order the format fixes, so that only the last bit of an `exp` may differ.
_TO_THE_BIT = frozenset({"gbm", "drf", "isolation_forest", "uplift", "xgboost", "glm", "isotonic"})
#: Smoothers whose columns genmodel writes to the wrong places or cannot compute; rules with levels of two lines, which
#: it cannot read and does not need; columns that were made of categories, whose levels only the columns' names say;
#: ensembles of models that number levels otherwise: the cluster's answers are the right ones.
_RIGHT_IN_THE_CLUSTER = (
    "gam_i_splines",
    "gam_m_splines",
    "gam_thin_plate_standardized",
    "rulefit_odd",
    "xgboost_encoded_one_hot_explicit",
    "kmeans_encoded_one_hot",
    "extended_isolation_forest_one_hot",
    "stacked_encoded",
    "stacked_sorted",
)
#: A low rank model with an `exp` in its loss: its last bit may end the search for the factors a step earlier or later.
_SEARCHED_BY_EXP = "glrm_poisson"
#: Of rows without any probability these say that they have no class, over which genmodel stumbles.
_ORDINAL = ("glm_ordinal", "gam_cubic_ordinal")


def _named(entries: Sequence[Entry]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=[entry["name"] for entry in entries])


_LENIENT = Policy(strict=False, invalid_as_missing=True)
_BY_CLUSTER = [entry for entry in _INDEX if entry["name"].startswith(_RIGHT_IN_THE_CLUSTER)]
_REFUSED = [e for e in _INDEX if ("failure" in e or "to_be_refused" in e) and e not in _BY_CLUSTER]
_LOADED = [entry for entry in _INDEX if entry not in _REFUSED and entry not in _BY_CLUSTER]


@cache
def _rows(name: str) -> list[dict[str, str]]:
    return read_rows(DATA / name)


@cache
def _model(name: str) -> MojoModel:
    return load(DATA / name)


def _case(entry: Entry) -> tuple[MojoModel, Expected, list[dict[str, str]]]:
    return _model(entry["mojo"]), read_expected(DATA / entry["expected"]), _rows(entry["rows"])


def test_the_matrix_has_every_algorithm_in_many_shapes() -> None:
    algorithms = {entry["algorithm"] for entry in _INDEX}

    assert len(_INDEX) >= 150
    assert len(algorithms) == 18
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 20_000_000


@_named(_LOADED)
def test_scores_are_those_of_h2o(entry: Entry) -> None:
    model, expected, rows = _case(entry)
    scored = [place for place, refusal in enumerate(expected.refusals) if not refusal]

    answers = model.predict([rows[place] for place in scored], invalid_as_missing=True)

    wanted = np.hstack([expected.values, expected.calibrated]) if expected.calibrated.size else expected.values
    if expected.labels:
        assert [answer["predict"] for answer in answers] == [expected.labels[place] or None for place in scored]
    got = np.array([_numbers(answer, labelled=bool(expected.labels)) for answer in answers])
    wanted = wanted[scored][:, 1:] if expected.labels else wanted[scored]
    got = np.hstack([got, _besides(model, [rows[place] for place in scored])])
    if isinstance(model.scorer, AutoencoderScorer):
        # genmodel has no error of a row where a number is missing; the cluster has, and so has the reader.
        got[np.isnan(wanted[:, -1]), -1] = np.nan
    _assert_close(got, wanted, _allowed(wanted, entry))


@_named(_BY_CLUSTER)
def test_scores_are_those_of_the_cluster_where_genmodel_is_wrong(entry: Entry) -> None:
    model, expected, rows = _case(entry)
    assert expected.cluster is not None

    answers = model.predict(rows[: len(expected.cluster)])

    labelled = isinstance(next(iter(answers[0].values())), str)
    got = np.array([_numbers(answer, labelled=labelled) for answer in answers])
    wanted = expected.cluster[:, 1:] if labelled else expected.cluster
    _assert_close(got, wanted, 1e-11 * np.abs(wanted))


@_named([entry for entry in _LOADED if entry["algorithm"] != "glrm"])
def test_one_row_scores_as_it_does_among_others(entry: Entry) -> None:
    model, expected, rows = _case(entry)
    scored = [place for place, refusal in enumerate(expected.refusals) if not refusal]

    together = model.predict([rows[place] for place in scored], invalid_as_missing=True)

    for place, answer in list(zip(scored, together, strict=True))[::4]:
        np.testing.assert_equal(model.predict(rows[place], invalid_as_missing=True), answer)


@_named([entry for entry in _LOADED if entry["refused_rows"]])
def test_rows_that_h2o_cannot_score_are_refused(entry: Entry) -> None:
    model, expected, rows = _case(entry)

    for place, refusal in enumerate(expected.refusals):
        if entry["name"].startswith(_ORDINAL) and "Index -1" in refusal:
            continue
        if entry["algorithm"] == "gam" and refusal.startswith("NumberFormatException"):
            continue  # genmodel forgets to take the text in a smoother's column as missing, as it was asked to
        if refusal:
            with pytest.raises(MojoRowError):
                model.predict(rows[place], invalid_as_missing=True)


@_named([entry for entry in _LOADED if entry["name"].startswith(_ORDINAL)])
def test_rows_without_any_probability_have_no_class(entry: Entry) -> None:
    model, expected, rows = _case(entry)

    for place, refusal in enumerate(expected.refusals):
        if "Index -1" in refusal:
            assert model.predict(rows[place], invalid_as_missing=True)["predict"] is None


@_named(_LOADED)
def test_texts_that_are_no_numbers_are_refused_where_h2o_refuses_them(entry: Entry) -> None:
    model, expected, rows = _case(entry)

    for place, (strict, lenient) in enumerate(zip(expected.strict_refusals, expected.refusals, strict=True)):
        if strict and not lenient:
            with pytest.raises(MojoRowError):
                model.predict(rows[place])


@_named(_REFUSED)
def test_files_that_cannot_be_scored_as_h2o_does_are_refused(entry: Entry) -> None:
    with pytest.raises((MojoFormatError, MojoUnsupportedError)):
        load(DATA / entry["mojo"])


def _besides(model: MojoModel, rows: Sequence[Mapping[str, str]]) -> Floats:
    """Return what genmodel says besides the outputs: distances of clusters, the error of a reconstruction."""
    matrix = np.vstack([model.builder.one(row, _LENIENT, {}) for row in rows])
    if isinstance(model.scorer, KMeans):
        return model.scorer.distances(matrix)
    if isinstance(model.scorer, AutoencoderScorer):
        return model.scorer.errors(matrix)[:, np.newaxis]
    return np.zeros((len(rows), 0))


def _numbers(answer: Mapping[str, Any], *, labelled: bool) -> list[float]:
    return list(answer.values())[1:] if labelled else list(answer.values())


def _allowed(wanted: Floats, entry: Entry) -> Floats:
    """Return how far a number may be from H2O's.

    Where sums have a fixed order it is the last bit, for the sake of `exp`; a probability that is 1 minus another one
    has the last bit of that one, and where there are several, each `exp`, the sum and the quotient add theirs.
    """
    size: Floats = np.where(np.isfinite(wanted), np.abs(wanted), 0.0)
    largest: Floats = np.maximum(size.max(axis=1, keepdims=True), np.zeros_like(size))
    if entry["name"] == _SEARCHED_BY_EXP:
        return 1e-7 * largest
    if entry["algorithm"] not in _TO_THE_BIT:
        return 1e-12 * (largest if entry["algorithm"] in ("pca", "glrm", "deep_learning") else size)
    if entry["category"] in ("Binomial", "Multinomial", "Ordinal"):
        size = largest
    last_bits: Floats = np.spacing(size)
    return last_bits * (4 if entry["category"] == "Multinomial" else 1)


def _assert_close(got: Floats, wanted: Floats, allowed: Floats) -> None:
    assert got.shape == wanted.shape
    with np.errstate(invalid="ignore"):
        same = (got == wanted) | (np.isnan(got) & np.isnan(wanted)) | (np.abs(got - wanted) <= allowed)
    rows, columns = np.nonzero(~same)
    shown = [(int(r), int(c), got[r, c], wanted[r, c]) for r, c in zip(rows[:5], columns[:5], strict=True)]
    assert not shown, f"{len(rows)} of {same.size} differ, first as (row, column, got, H2O's): {shown}"
