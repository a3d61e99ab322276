"""Readings of a watch as one HTML page: how the data stands, and the PSI of each column over time as a plot. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Any

from tidegate.drawing.axes import LEFT, RIGHT, WIDTH, Axis, across, frame, nice_top, path, svg, ticks, upward
from tidegate.drawing.sheet import document, figure
from tidegate.drift.aspect_plots import plots

#: As documents have them: `at`, `revision`, `thresholds`, `columns` and so on.
Readings = Sequence[Mapping[str, Any]]

_LEGEND = [("stable", "PSI"), ("asked rule", "moderate, large")]


def html(name: str, readings: Readings, *, at: datetime, aspects: Readings = ()) -> str:
    """Return the page.

    Args:
        name: of the deployment.
        readings: oldest first, one at least.
        at: when they were asked for, in UTC.
        aspects: what the log of predictions says, see `aspect_plots.plots`.
    """
    last, first = readings[-1], readings[0]
    tone, standing = ("bad", "drifted") if last["drifted"] else ("good", "as before")
    title = f"Drift of what {name} is asked and answers"
    facts = (
        ("readings", f"{len(readings):,}, of {_when(first['at'])} to {_when(last['at'])} UTC"),
        ("the last one", f"of {last['requests']:,} requests to revision {last['revision']}"),
        ("asked for", f"{at:%Y-%m-%d %H:%M:%S} UTC"),
    )
    return document(
        title,
        [
            f'<header><h1>{escape(title)} <span class="outcome {tone}">{standing}</span></h1><dl>',
            *(f"<dt>{escape(what)}</dt><dd>{escape(fact)}</dd>" for what, fact in facts),
            "</dl></header>",
            '<div class="plots">',
            *(_figure(column, readings) for column in _by_size(readings)),
            *plots(aspects),
            "</div>",
            "<footer>Written by Tidegate.</footer>",
        ],
    )


def _by_size(readings: Readings) -> list[str]:
    """Return the columns, the largest PSI that one ever had first."""
    largest: dict[str, float] = {}
    for reading in readings:
        for one in reading["columns"]:
            largest[one["column"]] = max(largest.get(one["column"], 0.0), one["psi"])
    return sorted(largest, key=lambda column: (-largest[column], column))


def _figure(column: str, readings: Readings) -> str:
    found = [(reading, one) for reading in readings for one in reading["columns"] if one["column"] == column]
    start = datetime.fromisoformat(readings[0]["at"])
    thresholds = readings[-1]["thresholds"]
    top = nice_top(max(1.2 * thresholds["large"], *(one["psi"] for _, one in found)))
    x, y = across((datetime.fromisoformat(readings[-1]["at"]) - start).total_seconds()), upward(top)
    parts = frame(x, y, [(value, f"{value:g}") for value in ticks(top)], "time since the first reading")
    for value in (thresholds["moderate"], thresholds["large"]):
        parts.append(f'<line class="bar" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y.at(value)}" y2="{y.at(value)}"/>')
    # Each revision has a reference of its own: the line is broken there.
    for _, run in groupby(found, key=lambda pair: pair[0]["revision"]):
        parts.append(path(list(_points(run, start, x, y)), "stable"))
    _, last = found[-1]
    return figure(
        f"{column}: {last['state']}",
        _LEGEND,
        svg(parts, f"PSI of {column} over time"),
        f"PSI {last['psi']:.3f}",
    )


def _points(
    run: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], start: datetime, x: Axis, y: Axis
) -> Iterable[tuple[float, float]]:
    for reading, one in run:
        yield x.at((datetime.fromisoformat(reading["at"]) - start).total_seconds()), y.at(one["psi"])


def _when(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S}"
