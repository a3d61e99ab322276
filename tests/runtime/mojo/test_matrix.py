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
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.kmeans import KMeans
from tidegate.runtime.mojo.load import MojoModel, load
from tidegate.runtime.mojo.rows import Policy

Entry = Mapping[str, Any]
Floats = NDArray[np.float64]

_INDEX: list[Entry] = read_index()["models"]
#: Sums whose order the format fixes, so that only the last bit of an `exp` may differ.
_TO_THE_BIT = frozenset({"gbm", "drf", "isolation_forest", "uplift", "xgboost", "glm", "isotonic"})


def _named(entries: Sequence[Entry]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=[entry["name"] for entry in entries])


_LENIENT = Policy(strict=False, invalid_as_missing=True)
_REFUSED = [entry for entry in _INDEX if "failure" in entry or "to_be_refused" in entry]
_LOADED = [entry for entry in _INDEX if entry not in _REFUSED]


@cache
def _rows(name: str) -> list[dict[str, str]]:
    return read_rows(DATA / name)


def _case(entry: Entry) -> tuple[MojoModel, Expected, list[dict[str, str]]]:
    return load(DATA / entry["mojo"]), read_expected(DATA / entry["expected"]), _rows(entry["rows"])


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
    if isinstance(model.scorer, KMeans):
        matrix = np.vstack([model.builder.one(rows[place], _LENIENT, {}) for place in scored])
        got = np.hstack([got, model.scorer.distances(matrix)])
    _assert_close(got, wanted, entry["algorithm"])


@_named([entry for entry in _LOADED if entry["refused_rows"]])
def test_rows_that_h2o_cannot_score_are_refused(entry: Entry) -> None:
    model, expected, rows = _case(entry)

    for place, refusal in enumerate(expected.refusals):
        if refusal:
            with pytest.raises(MojoRowError):
                model.predict(rows[place], invalid_as_missing=True)


@_named(_LOADED)
def test_texts_that_are_no_numbers_are_refused_where_h2o_refuses_them(entry: Entry) -> None:
    model, expected, rows = _case(entry)

    for place, (strict, lenient) in enumerate(zip(expected.strict_refusals, expected.refusals, strict=True)):
        if strict and not lenient:
            with pytest.raises(MojoRowError):
                model.predict(rows[place])


@_named(_REFUSED)
def test_files_that_h2o_cannot_score_are_refused(entry: Entry) -> None:
    with pytest.raises((MojoFormatError, MojoUnsupportedError)):
        load(DATA / entry["mojo"])


def _numbers(answer: Mapping[str, Any], *, labelled: bool) -> list[float]:
    return list(answer.values())[1:] if labelled else list(answer.values())


def _assert_close(got: Floats, wanted: Floats, algorithm: str) -> None:
    """Compare: the last bit of a row's largest number where sums have a fixed order, else 1e-12 of it."""
    assert got.shape == wanted.shape
    finite = np.where(np.isfinite(wanted), np.abs(wanted), 0.0)
    largest = finite.max(axis=1, keepdims=True) if algorithm in _TO_THE_BIT and wanted.shape[1] > 1 else finite
    allowed = np.spacing(largest) if algorithm in _TO_THE_BIT else 1e-12 * np.maximum(largest, 1e-290)
    with np.errstate(invalid="ignore"):
        same = (got == wanted) | (np.isnan(got) & np.isnan(wanted)) | (np.abs(got - wanted) <= allowed)
    rows, columns = np.nonzero(~same)
    shown = [(int(r), int(c), got[r, c], wanted[r, c]) for r, c in zip(rows[:5], columns[:5], strict=True)]
    assert same.all(), f"{len(rows)} of {same.size} differ, first as (row, column, got, H2O's): {shown}"
