"""XGBoost models in the forms of older files, against the answers of H2O's own scorer."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidegate.runtime.mojo.delimited import NOTHING
from tidegate.runtime.mojo.load import MojoModel, load
from tidegate.runtime.mojo.rows import Policy
from tidegate.runtime.mojo.values import ABSENT

FOLDER = Path(__file__).resolve().parent / "data" / "boosters"
PATHS = sorted(FOLDER.glob("old_*.zip"))
LENIENT = Policy(strict=False, invalid_as_missing=True)


def table_of(path: Path) -> dict[str, list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        names, *rows = csv.reader(stream)
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def scores(model: MojoModel) -> dict[str, Any]:
    table = table_of(FOLDER / "rows.csv")
    columns = {name: [ABSENT if cell in NOTHING else cell for cell in cells] for name, cells in table.items()}
    return model.predict_columns(columns, len(table["size"]), LENIENT)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_answers_are_those_of_h2o(path: Path) -> None:
    found = scores(load(path))
    wanted = table_of(path.with_suffix(".csv"))
    for (name, values), (column, cells) in zip(found.items(), wanted.items(), strict=True):
        assert name in (column, f"p{column}")
        if values.dtype.kind != "f":
            assert values.tolist() == cells
        elif "events" in path.stem:  # the last bit of a float32 `exp` may be another than Java's
            np.testing.assert_allclose(values, [float.fromhex(cell) for cell in cells], rtol=2e-7, atol=0)
        else:
            assert values.tolist() == [float.fromhex(cell) for cell in cells]


def test_each_form_of_a_file_has_its_own_numbers_somewhere() -> None:
    """A reader that took one form for another would be seen."""
    answers = {path.stem: path.with_suffix(".csv").read_bytes() for path in PATHS}
    assert len(answers) == 35
    for first, second in (("first", "one"), ("last_added", "first_added")):
        pairs = [(name, name.removesuffix(first) + second) for name in answers if name.endswith(f"_{first}")]
        assert len(pairs) == 7
        assert any(answers[one] != answers[other] for one, other in pairs)
