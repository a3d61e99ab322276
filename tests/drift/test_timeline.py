"""Readings as a page: each column has its line, broken where another revision serves, and nothing is taken for HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegate.drift.timeline import html

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def reading(minute: float, revision: int = 1, *, drifted: bool = False, **psi: float) -> dict[str, Any]:
    return {
        "at": (T0 + timedelta(minutes=minute)).isoformat(),
        "revision": revision,
        "requests": 700,
        "drifted": drifted,
        "thresholds": {"moderate": 0.1, "large": 0.25, "alpha": 0.001},
        "columns": [{"column": name, "psi": value, "state": "none"} for name, value in psi.items()],
    }


def lines(page: str, kind: str = "stable") -> list[int]:
    """Return the number of points of each line."""
    return [moves.count("L") + 1 for moves in re.findall(rf'class="line {kind}" d="M([^"]*)"', page)]


def test_the_line_of_a_column_is_broken_where_another_revision_serves() -> None:
    found = [reading(at, 1 if at < 15 else 2, age=0.01 * at) for at in (0, 5, 10, 15, 20)]
    page = html("churn", found, at=T0)
    assert lines(page) == [3, 2]
    assert "as before" in page
    assert "5, of 2026-03-01 00:00:00 to 2026-03-01 00:20:00 UTC" in page


def test_the_largest_comes_first_and_names_are_no_html() -> None:
    page = html("<b>", [reading(0, age=0.1, **{"<i>": 0.4}), reading(5, drifted=True, age=0.3)], at=T0)
    titles = re.findall(r"<h3>(.*?)</h3>", page)
    assert titles == ["&lt;i&gt;: none", "age: none"]
    assert "<b>" not in page
    assert '<span class="outcome bad">drifted</span>' in page


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 50)), min_size=1, max_size=30))
def test_any_readings_make_a_page_with_every_one_of_them(given_: list[tuple[float, float]]) -> None:
    found = [reading(minute, age=psi) for minute, psi in sorted(given_)]
    page = html("churn", found, at=T0)
    assert "nan" not in page
    assert (lines(page) or [1]) == [len(found)]


def told(
    minute: float, aspect: str = "quality", revision: int = 1, **figures: tuple[float | None, float]
) -> dict[str, Any]:
    """Return a reading of the log: of each figure what it was in the reference, and is."""
    values = [
        {"figure": name, "reference": {"value": before}, "current": {"value": now}}
        for name, (before, now) in figures.items()
    ]
    measured = {"area": 0.7} if aspect == "together" else {"figures": values}
    at = (T0 + timedelta(minutes=minute)).isoformat()
    return {"aspect": aspect, "at": at, "revision": revision, "state": "worse", "requests": 1200, "measured": measured}


def test_each_figure_of_the_log_has_a_line_beside_that_of_its_reference() -> None:
    found = [
        told(at, revision=1 if at < 10 else 2, accuracy=(0.9, 0.6), bias=(None, -3.0)) for at in (0, 5, 10, 15, 20)
    ]
    page = html("churn", [reading(0, age=0.1)], at=T0, aspects=[*found, told(5, "together")])
    titles = re.findall(r"<h3>(.*?)</h3>", page)
    assert titles == ["age: none", "quality: accuracy", "quality: bias", "together: area under the ROC curve"]
    assert lines(page, "current") == [2, 3, 2, 3]
    assert lines(page, "reference") == [2, 3]
    assert "worse, of 1,200 requests" in page
