"""The page of what was measured of rollouts, from the results that the benchmarks wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.chaos.page import page as chaos_page
from benchmarks.delivery.page import page as delivery_page

_RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
_HEAD = """\
# Rollouts, measured

What users notice of rollouts, what they are spared, and what becomes of rollouts when everything else fails.
`make bench-delivery` and `make bench-chaos` measure it anew. Each part says when it was measured, and on what.
"""


def measured_page() -> str:
    """Return the page; a benchmark that has not been run has no part in it."""
    sections = [_section("delivery.json", delivery_page), _section("chaos.json", chaos_page)]
    return "\n".join([_HEAD, *(section for section in sections if section)])


def _section(name: str, page: Callable[[dict[str, Any]], str]) -> str:
    file = _RESULTS / name
    if not file.exists():
        return ""
    lines = page(json.loads(file.read_text(encoding="utf-8"))).splitlines()
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines) + "\n"
