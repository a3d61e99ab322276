"""The table of times in the how-to of MOJOs, from the results that the benchmark wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.mojo.page import TITLES

_ROOT = Path(__file__).resolve().parent.parent
_BEGIN = "<!-- Written by `python -m scripts.generate` from benchmarks/results/mojo.json. -->"
_END = "<!-- until here -->"
_HEAD = """\
| Model | A numeric row | A dict of a row | 10,000 rows | 10,000 rows, as columns |
|---|---|---|---|---|"""


def mojo_page() -> str:
    """Return the page with its table as measured."""
    page = (_ROOT / "docs" / "how-to" / "score-a-mojo.md").read_text(encoding="utf-8")
    models = json.loads((_ROOT / "benchmarks" / "results" / "mojo.json").read_text(encoding="utf-8"))["models"]
    before, _, rest = page.partition(f"{_BEGIN}\n")
    _, _, after = rest.partition(f"{_END}\n")
    rows = [f"| {TITLES[name]} | {' | '.join(_cells(found))} |" for name, found in models.items()]
    return "\n".join([f"{before}{_BEGIN}", _HEAD, *rows, f"{_END}\n{after}"])


def _cells(found: Mapping[str, Any]) -> list[str]:
    return [
        f"{_number(times['java'] * 1e6)} / {_number(times['ours'] * 1e6)} µs, {times['ratio']:.1f}×"
        for times in (found[what] for what in ("row", "dict", "batch", "columns"))
    ]


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
