"""The models of `data/old`, and the rows that they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.runtime.mojo.matrix.cases import ENTRIES
from tests.runtime.mojo.matrix.kept import DATA
from tests.runtime.mojo.matrix.rows import read_rows

FOLDER = Path(__file__).resolve().parent / "data" / "old"
PATHS = sorted(FOLDER.glob("*.zip"))
ENTRY_OF = {entry["name"]: entry for entry in ENTRIES}
#: Columns that were made of categories are the model's own here: an older scorer made none.
MADE = "deep_learning_encoded_binary"
MADE_ROWS = FOLDER / "made_rows.csv.gz"
#: Nor did it multiply columns of a model of hazards.
_MULTIPLIED = "coxph_interaction"


def rows_for(name: str) -> list[dict[str, str]]:
    if name == MADE:
        return read_rows(MADE_ROWS)
    rows = read_rows(DATA / ENTRY_OF[name]["rows"])
    return [{**row, **_products(row)} for row in rows] if name.startswith(_MULTIPLIED) else rows


def _products(row: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that are made of two others, where both are there."""
    found = {}
    if "c2" in row and "c3" in row:
        found["c2_c3"] = f"{row['c2']}_{row['c3']}"
    with suppress(KeyError, ValueError):
        found["n1_n2"] = repr(float(row["n1"]) * float(row["n2"]))
    return found
