"""Networks, stacked ensembles and proportional hazards in the forms of older files, against the answers of H2O's own
scorer. `data/old/make.py` wrote them, of models of the matrix, without what came later."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.mojo.matrix.agreement import assert_scores
from tests.runtime.mojo.matrix.kept import read_expected
from tests.runtime.mojo.old_shapes import ENTRY_OF, FOLDER, PATHS, rows_for
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.load import load

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def ini_of(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist() if name.endswith("model.ini"))


@each
def test_answers_are_those_of_h2o(path: Path) -> None:
    assert_scores(load(path), read_expected(path.with_suffix(".npz")), rows_for(path.stem), ENTRY_OF[path.stem])


@each
def test_rows_that_h2o_refuses_are_refused(path: Path) -> None:
    model, expected = load(path), read_expected(path.with_suffix(".npz"))
    for row, refusal in zip(rows_for(path.stem), expected.refusals, strict=True):
        if refusal:
            with pytest.raises(MojoRowError):
                model.predict(row, invalid_as_missing=True)


@each
def test_a_row_scores_alone_as_it_does_among_others(path: Path) -> None:
    model, expected = load(path), read_expected(path.with_suffix(".npz"))
    rows = [row for row, refusal in zip(rows_for(path.stem), expected.refusals, strict=True) if not refusal][:20]
    for row, answer in zip(rows, model.predict(rows, invalid_as_missing=True), strict=True):
        np.testing.assert_equal(model.predict(row, invalid_as_missing=True), answer)


def test_they_are_of_the_first_version_and_have_nothing_that_came_later() -> None:
    kinds = {"deep_learning": 0, "stacked": 0, "coxph": 0}
    for path in PATHS:
        text = ini_of(path)
        assert text.partition("mojo_version = ")[2].startswith("1.00\n")
        for key in ("_genmodel_encoding", "escape_domain_values", "metalearner_transform", "num_offsets"):
            assert f"{key} = " not in text
        (kind,) = [kind for kind in kinds if path.stem.startswith(kind)]
        kinds[kind] += 1
    assert min(kinds.values()) > 5


@pytest.mark.parametrize(("name", "column"), [("numbers", "n1_n2"), ("levels", "c2_c3")])
def test_a_column_that_is_made_of_others_was_the_callers_to_make(name: str, column: str) -> None:
    """A first file of proportional hazards does not say what it is made of: without it there is no hazard."""
    model = load(FOLDER / f"coxph_interaction_{name}.zip")
    (levels,) = [field.levels for field in model.fields if field.name == column]
    rows = [row for row in rows_for(f"coxph_interaction_{name}") if levels is None or row.get(column) in levels]
    row = next(row for row in rows if column in row)
    assert math.isfinite(model.predict(row)["lp"])
    assert math.isnan(model.predict({key: value for key, value in row.items() if key != column})["lp"])
