"""MOJO files that H2O wrote, the rows that they are tried with, and what H2O's own scorer answered."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from tidegate.runtime.mojo.delimited import NOTHING
from tidegate.runtime.mojo.values import ABSENT

FOLDER = Path(__file__).resolve().parents[1] / "runtime" / "mojo" / "data" / "load"
ROWS = FOLDER / "rows.csv"
ENCODINGS = (
    "enum",
    "one_hot_explicit",
    "binary",
    "eigen",
    "label_encoder",
    "sort_by_response",
    "enum_limited",
)


def columns_of_rows() -> dict[str, list[Any]]:
    """Return the columns of `rows.csv`; cells with nothing in them are absent, as they are for H2O's tool."""
    with ROWS.open(encoding="utf-8", newline="") as stream:
        names, *rows = csv.reader(stream)
    columns = zip(*rows, strict=True)
    return {
        name: [ABSENT if cell in NOTHING else cell for cell in column]
        for name, column in zip(names, columns, strict=True)
    }


def expected_of(name: str) -> dict[str, list[Any]]:
    """Return what genmodel answered for these rows: labels as texts, other outputs as floats."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        names, *rows = csv.reader(stream)
    columns = zip(*rows, strict=True)
    return {name: [_value(cell) for cell in column] for name, column in zip(names, columns, strict=True)}


def _value(cell: str) -> Any:
    if cell in ("NaN", ""):
        return math.nan
    return float.fromhex(cell) if "0x" in cell else cell
