"""The total of a period, for people: of what it is, what has drifted, and what of the time is in none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.cli.drift_total import heading, left_out, sentences
from tidegate.cli.main import app

TOTAL = {
    "revision": 3,
    "since": "2026-11-01T00:02:10+00:00",
    "until": "2026-11-01T01:02:10+00:00",
    "intervals": 11,
    "seconds": 3300.0,
    "requests": 12_345,
    "columns": [
        {"column": "hour", "state": "large", "rowsNeeded": 90},
        {"column": "age", "state": "inconclusive", "rowsNeeded": 20_000},
    ],
    "skipped": {"note": "it was counted in 2 of 11 intervals"},
}


def test_a_total_says_what_it_is_of_and_what_has_drifted() -> None:
    assert heading(TOTAL) == (
        "Revision 3: 12,345 requests of 2026-11-01 00:02:10 to 2026-11-01 01:02:10 UTC, in 11 intervals "
        "(55 min of 1 h)."
    )
    assert heading({**TOTAL, "intervals": 1, "seconds": 3600.0}).endswith("UTC, in 1 interval (1 h).")
    assert sentences(TOTAL) == [
        "Drift in 1 of 2 columns: hour.",
        "Inconclusive: age. 20,000 requests would do; there are 12,345.",
        "Not compared: note, for it was counted in 2 of 11 intervals.",
    ]


def test_a_total_without_drift_and_one_with_too_small_a_reference_say_so() -> None:
    calm = {**TOTAL, "columns": [{"column": "age", "state": "none", "rowsNeeded": 3}], "skipped": {}}
    assert sentences(calm) == ["No drift was found in 1 column."]
    unsure = {**calm, "columns": [{"column": "age", "state": "inconclusive", "rowsNeeded": None}]}
    assert sentences(unsure)[1:] == ["Inconclusive: age. The reference has too few rows."]
    assert sentences({**calm, "columns": [], "skipped": {"age": "why"}}) == ["Not compared: age, for why."]


def test_what_of_a_time_is_in_no_total_is_told() -> None:
    over = {"revision": 3, "since": "2026-10-31T23:57:10+00:00", "until": "2026-11-01T00:02:10+00:00", "requests": 7}
    first, second = left_out({"straddling": [over], "uncountedUntil": "2026-10-01T00:00:00+00:00"})
    assert first.startswith("Left out: 7 requests of 2026-10-31 23:57:10 to 2026-11-01 00:02:10 UTC, an interval that")
    assert second == "Left out: all up to 2026-10-01 00:00:00 UTC, since readings had no counts of their own yet."
    assert left_out({"straddling": [], "uncountedUntil": None}) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "1h", "--until", "2h"], ["--until: the time ends before it begins"]),
        (["--until", "soon"], ["--until: expected how long ago, such as 24h or 7d"]),
        (["--total", "--out", "page.html"], ["--out: a page is of readings, and --total is one answer"]),
    ],
)
def test_a_time_that_makes_no_sense_is_refused_before_anything_is_asked(
    tmp_path: Path, words: list[str], said: list[str]
) -> None:
    home = tmp_path / "home"
    result: Any = CliRunner().invoke(app, ["drift", "history", "churn", *words, "--home", str(home)])
    assert result.exit_code == 2
    assert all(one in result.stderr for one in said)
    assert not home.exists()
