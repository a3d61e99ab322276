"""What the benchmark of the scanner says of its measurements."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.scan.page import as_markdown


def run(median: float) -> dict[str, Any]:
    found = {"median": median, "least": 0.8, "most": 2.5, "processor": 0.7}
    return {
        "at": "t",
        "files": 40,
        "runs": 15,
        "machine": {"cpus": 2, "cpu_model": "m", "python": "3.11"},
        "load_average": {"before": [0.0], "after": [1.0]},
        "hadolint": {"require": found, "off": {**found, "median": 0.6}},
    }


@pytest.mark.parametrize(("median", "verdict"), [(1.99, "is met."), (2.0, "is **missed**.")])
def test_a_scan_that_takes_too_long_misses_the_goal(median: float, verdict: str) -> None:
    assert as_markdown(run(median)).rstrip().endswith(verdict)


def test_the_page_tells_the_median_and_how_far_it_was_spread() -> None:
    assert "| with hadolint | **0.93** | 0.80 | 2.50 | 0.70 |" in as_markdown(run(0.93))
