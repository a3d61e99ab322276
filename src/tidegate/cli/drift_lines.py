"""What is said of drift in a line: the style of what is said of a column, the columns that matter, the status. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from tidegate.cli.humanize import ago, clock, count

STYLES = {
    "large": "bold red",
    "worse": "bold red",
    "dropped": "bold red",
    "moderate": "yellow",
    "inconclusive": "dim",
    "none": "green",
    "kept": "green",
}
#: Columns that a line names.
_NAMED = 3


def state_text(state: str) -> Text:
    return Text(state, style=STYLES[state])


def columns_text(columns: Sequence[Mapping[str, Any]]) -> str:
    """Return those that have drifted with their PSI, and where none has the first.

    Args:
        columns: of a reading, the largest PSI first.
    """
    drifted = [one for one in columns if one["state"] in ("moderate", "large")] or columns[:1]
    more = f" and {len(drifted) - _NAMED} more" if len(drifted) > _NAMED else ""
    return ", ".join(f"{one['column']} {one['psi']:.3f}" for one in drifted[:_NAMED]) + more


def standing_text(drifted: bool) -> str:
    return "drifted" if drifted else "as before"


def status_text(drift: Mapping[str, Any] | None, now: datetime) -> Text:
    """Return the watch of a deployment, as its status has it, in a line; empty where nobody asked for one."""
    if drift is None:
        return Text()
    if drift["trouble"] is not None:
        return Text(str(drift["trouble"]), style="bold red")
    if drift["at"] is None:
        return Text("no reading yet", style="dim")
    text = state_text(drift["state"])
    text.append(f" by {columns_text(drift['columns'])}", style="")
    text.append(f"  ({count(drift['requests'])} requests, {ago(drift['at'], now)})", style="dim")
    for one in drift.get("aspects", ()):
        if one["drifted"]:
            text.append(f"; {one['aspect']} ", style="").append_text(state_text(one["state"]))
    return text if not drift["drifted"] else Text("drifted: ", style="bold").append_text(text)


def aspects_table(readings: Sequence[Mapping[str, Any]]) -> Table:
    """Return a line for each reading of the log of predictions.

    Args:
        readings: as the API has them, oldest first.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("AT", "REVISION", "REQUESTS", "ASPECT", "STANDING", "STATE"):
        table.add_column(name, no_wrap=True)
    table.add_column("WHAT IS SAID", overflow="fold")
    for one in readings:
        table.add_row(
            clock(one["at"]),
            str(one["revision"]),
            count(one["requests"]),
            one["aspect"],
            standing_text(one["drifted"]),
            state_text(one["state"]),
            one["said"][0],
        )
    return table


def unread_lines(watched: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each reason why nothing is known, or nothing new."""
    found: dict[str, list[str]] = {}
    for one in watched:
        if one["unread"] is not None:
            found.setdefault(one["unread"], []).append(one["aspect"])
    return [f"Nothing is known of {' and '.join(names)} now: {why}." for why, names in found.items()]
