"""The pages of what was measured of rollouts and of the store, from the results that the benchmarks wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.chaos.page import page as chaos_page
from benchmarks.delivery.page import page as delivery_page
from benchmarks.store.page import page as store_page

_RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
_HEAD = """\
# Rollouts, measured

What users notice of rollouts, what they are spared, and what becomes of rollouts when everything else fails.
`make bench-delivery` and `make bench-chaos` measure it anew. Each part says when it was measured, and on what.
"""

_STORE_HEAD = """\
# The store, measured

What look-ups of features take among millions of vectors, how much the prediction log takes in and who notices it, what
an index is worth, and what a year of partitions is like. `make bench-store` measures it anew, into
[`benchmarks/results/store.md`](../../benchmarks/results/store.md). Each part says when it was measured, and on what.
See [how to keep everything in PostgreSQL](../how-to/keep-everything-in-postgresql.md).
"""


def measured_page() -> str:
    """Return the page; a benchmark that has not been run has no part in it."""
    sections = [_section("delivery.json", delivery_page), _section("chaos.json", chaos_page)]
    return "\n".join([_HEAD, *(section for section in sections if section)])


def store_measured_page() -> str:
    """Return the page of the store's figures."""
    lines = store_page(json.loads((_RESULTS / "store.json").read_text(encoding="utf-8"))).splitlines()
    return "\n".join([_STORE_HEAD, *lines[lines.index("") + 3 :]]) + "\n"


def _section(name: str, page: Callable[[dict[str, Any]], str]) -> str:
    file = _RESULTS / name
    if not file.exists():
        return ""
    lines = page(json.loads(file.read_text(encoding="utf-8"))).splitlines()
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines) + "\n"
