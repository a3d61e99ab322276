"""What is said of drift in lines: of what the log says, and of what nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from tidegate.cli.drift_lines import aspects_table, status_text, unread_lines

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def reading(aspect: str, state: str, *, drifted: bool) -> dict[str, Any]:
    said = [f"This is said of {aspect}.", "More of it."]
    return {"aspect": aspect, "at": NOW.isoformat(), "revision": 3, "requests": 1200, "state": state} | {
        "drifted": drifted,
        "said": said,
    }


def test_each_reading_of_the_log_has_a_line_with_its_first_sentence() -> None:
    console = Console(width=160)
    with console.capture() as shown:
        console.print(
            aspects_table([reading("quality", "worse", drifted=True), reading("together", "none", drifted=False)])
        )
    lines = shown.get().splitlines()
    assert all(word in lines[1] for word in ("1,200", "quality", "drifted", "worse", "This is said of quality."))
    assert "as before" in lines[2]
    assert "More of it." not in shown.get()


def test_what_has_the_same_reason_is_said_once_and_what_is_known_not_at_all() -> None:
    told = [("quality", "nobody told"), ("performance", "nobody told"), ("together", None)]
    assert unread_lines([{"aspect": aspect, "unread": why} for aspect, why in told]) == [
        "Nothing is known of quality and performance now: nobody told."
    ]


def test_the_status_names_what_stands_as_drifted() -> None:
    columns = [{"column": "age", "state": "none", "psi": 0.01}]
    drift = {
        "trouble": None,
        "at": NOW.isoformat(),
        "state": "none",
        "columns": columns,
        "requests": 9,
        "drifted": False,
    }
    quality, together = reading("quality", "worse", drifted=True), reading("together", "none", drifted=False)
    text = status_text({**drift, "aspects": [quality, together]}, NOW).plain
    assert text.endswith("; quality worse")
    assert "together" not in text
