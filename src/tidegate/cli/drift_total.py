"""The drift of a period as text: a table of columns for each revision, and what is in it and what is not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.table import Table

from tidegate.cli.drift_lines import state_text
from tidegate.cli.humanize import count, duration
from tidegate.cli.render import listing
from tidegate.drift.wording import chance, change

Total = Mapping[str, Any]


def heading(total: Total) -> str:
    """Return what a total is of."""
    since, until = datetime.fromisoformat(total["since"]), datetime.fromisoformat(total["until"])
    span = (until - since).total_seconds()
    counted = duration(total["seconds"]) + (f" of {duration(span)}" if span - total["seconds"] >= 1 else "")
    return (
        f"Revision {total['revision']}: {count(total['requests'])} requests of {when(total['since'])} to "
        f"{when(total['until'])} UTC, in {_intervals(total['intervals'])} ({counted})."
    )


def table(total: Total, *, boxed: bool) -> Table:
    """Return a line for each column."""
    made = listing(boxed, "COLUMN", "DRIFT", "PSI", "JS", "CHANCE", "MISSING", "UNSEEN")
    for one in total["columns"]:
        made.add_row(
            one["column"],
            state_text(one["state"]),
            f"{one['psi']:.3f}",
            f"{one['jensenShannon']:.3f}",
            chance(one["chance"]),
            *(change(one[what]["reference"], one[what]["current"]) for what in ("missing", "unseen")),
        )
    return made


def sentences(total: Total) -> list[str]:
    """Return what is said of a total."""
    columns = total["columns"]
    drifted = [one["column"] for one in columns if one["state"] in ("moderate", "large")]
    of = f"{len(columns)} column{'' if len(columns) == 1 else 's'}"
    said = []
    if columns:
        found = f"Drift in {len(drifted)} of {of}: {', '.join(drifted)}."
        said.append(found if drifted else f"No drift was found in {of}.")
    unsure = [one for one in columns if one["state"] == "inconclusive"]
    if unsure:
        needed = [one["rowsNeeded"] for one in unsure]
        why = (
            "The reference has too few rows"
            if None in needed
            else f"{count(max(needed))} requests would do; there are {count(total['requests'])}"
        )
        said.append(f"Inconclusive: {', '.join(one['column'] for one in unsure)}. {why}.")
    return said + [f"Not compared: {name}, for {why}." for name, why in total["skipped"].items()]


def left_out(found: Mapping[str, Any]) -> list[str]:
    """Return what of a period is in no total."""
    said = [
        f"Left out: {count(one['requests'])} requests of {when(one['since'])} to {when(one['until'])} UTC, an interval "
        "that reaches over an end of the time."
        for one in found["straddling"]
    ]
    if found["uncountedUntil"] is not None:
        said.append(
            f"Left out: all up to {when(found['uncountedUntil'])} UTC, since readings had no counts of their own yet."
        )
    return said


def when(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S}"


def _intervals(number: int) -> str:
    return f"{count(number)} interval{'' if number == 1 else 's'}"
