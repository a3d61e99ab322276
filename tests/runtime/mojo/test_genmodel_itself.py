"""The comparison with H2O's own scorer, where its jar and Java are at hand.

TIDEGATE_H2O_JAR names h2o.jar or h2o-genmodel.jar; without it, the one in an installed package `h2o` is taken.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from tests.runtime.mojo.matrix.kept import DATA, read_index
from tests.runtime.mojo.matrix.rows import read_rows
from tests.runtime.mojo.matrix.tables import CLEAN
from tests.support.mojos import FOLDER, ROWS
from tidegate import mojo
from tidegate.contract.errors import TidegateError, Unavailable
from tidegate.runtime.mojo.genmodel_tool import find_jar, find_java


@pytest.fixture(scope="module")
def jar() -> str:
    try:
        found = find_jar(os.environ.get("TIDEGATE_H2O_JAR"))
        find_java(None)
    except TidegateError as error:
        pytest.skip(f"needs Java and H2O's jar (TIDEGATE_H2O_JAR): {error.message}")
    return found


@pytest.mark.parametrize("name", ["gbm_enum", "gbm_platt", "drf_one_hot_explicit", "glm_offset", "isolation", "kmeans"])
def test_tidegate_and_h2o_agree(jar: str, name: str) -> None:
    found = mojo.verify(FOLDER / f"{name}.zip", ROWS, jar=jar)
    assert found.rows == 60
    assert found.fault is None
    assert found.agrees(1e-12), found.outputs


def rows_for(name: str, folder: Path) -> Path:
    """Write rows of the table that a model was trained on, but for those with a carriage return."""
    (entry,) = [entry for entry in read_index()["models"] if entry["name"] == name]
    rows, path = read_rows(DATA / entry["rows"])[:CLEAN], folder / "rows.csv"
    rows = [row for row in rows if not any("\r" in cell for cell in row.values())]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_cells_and_labels_of_all_kinds_are_what_they_are_to_both(
    jar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line feeds, quotation marks, backslashes, commas and what is not ASCII, where nothing says in which encoding."""
    monkeypatch.setenv("LC_ALL", "POSIX")
    path = rows_for("gbm_odd_four", tmp_path)
    lines = path.read_bytes().decode()
    assert all(text in lines for text in ("\\", '""', "\n", "東京"))
    found = mojo.verify(DATA / "models" / "gbm_odd_four.zip", path, jar=jar)
    assert found.rows > 30
    assert found.agrees(1e-12), found.outputs


def test_where_h2o_fails_the_reason_is_told(jar: str, tmp_path: Path) -> None:
    name = "gam_thin_plate_standardized"
    with pytest.raises(Unavailable, match="it has no answer for thin plates on standardised inputs"):
        mojo.verify(DATA / "models" / f"{name}.zip", rows_for(name, tmp_path), jar=jar)


def test_where_h2o_is_wrong_the_reason_is_told(jar: str, tmp_path: Path) -> None:
    for name, reason in (("gam_i_splines_2_real", "I-splines"), ("stacked_sorted", "numbered outside")):
        found = mojo.verify(DATA / "models" / f"{name}.zip", rows_for(name, tmp_path), jar=jar)
        assert not found.agrees(1e-12)
        assert reason in str(found.fault)
