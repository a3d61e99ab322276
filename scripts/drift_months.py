"""A year of flights in the how-to of drift: the plot and its table, from what the benchmark read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.drift.page import by_size, month_name, months_table
from tidegate.drawing.cells import cells
from tidegate.drawing.picture import picture

_ROOT = Path(__file__).resolve().parent.parent
_BEGIN = "<!-- Written by `python -m scripts.generate` from benchmarks/results/drift.json. -->"
_END = "<!-- until here -->"
_TONES = {"none": "good", "inconclusive": "", "moderate": "wait", "large": "bad"}


def drift_page() -> str:
    """Return the page with its table as measured."""
    page = (_ROOT / "docs" / "how-to" / "detect-drift.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(f"{_BEGIN}\n")
    _, _, after = rest.partition(f"{_END}\n")
    return "\n".join([f"{before}{_BEGIN}", *months_table(_measured()), f"{_END}\n{after}"])


def drift_picture() -> str:
    """Return the plot, as SVG: the PSI of each column in each month, coloured by what is said of it."""
    measured = _measured()
    shown = {
        (name, month_name(number)): (f"{column['psi']:.2f}", _TONES[column["state"]])
        for number, month in measured["months"].items()
        for name, column in month["columns"].items()
    }
    drawn = cells(
        by_size(measured),
        [month_name(number) for number in measured["months"]],
        shown,
        label="PSI of the columns of the flights of 2013, each month against January",
    )
    return picture(drawn)


def _measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_ROOT / "benchmarks" / "results" / "drift.json").read_text(encoding="utf-8"))
    return dict(found["months"])
