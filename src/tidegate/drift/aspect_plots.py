"""What the log of predictions says over time, as plots of a page: each figure beside that of its reference. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from tidegate.drawing.axes import Axis, across, frame, nice_top, path, svg, ticks, upward
from tidegate.drawing.sheet import figure
from tidegate.drift.wording import FIGURE_NAMES

_NAMES = {**FIGURE_NAMES, "area": "area under the ROC curve"}
_TIMES = ("current", "reference")


def measured(aspect: str, told: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Return what a reading measured by figure and time, "reference" or "current"; what is not defined is left out.

    Args:
        told: the data of an `aspects.AspectReading`.
    """
    if aspect == "together":
        return {("area", "current"): told["area"]}
    found: dict[tuple[str, str], float | None] = {}
    for one in told["figures"]:
        if aspect == "quality":
            pair = one["reference"]["value"], one["current"]["value"]
        else:
            pair = one["reference"], one["estimate"]
        found |= {(one["figure"], "reference"): pair[0], (one["figure"], "current"): pair[1]}
    return {name: value for name, value in found.items() if value is not None}


def plots(readings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a plot of each figure of each aspect.

    Args:
        readings: as documents have them, with `aspect`, `at`, `revision` and `measured`, oldest first.
    """
    found: dict[tuple[str, str], list[tuple[Mapping[str, Any], dict[str, float]]]] = {}
    for reading in readings:
        by_figure: dict[str, dict[str, float]] = {}
        for (name, time), value in measured(reading["aspect"], reading["measured"]).items():
            by_figure.setdefault(name, {})[time] = value
        for name, values in by_figure.items():
            found.setdefault((reading["aspect"], name), []).append((reading, values))
    return [_plot(aspect, name, points) for (aspect, name), points in found.items()]


def _plot(aspect: str, name: str, points: Sequence[tuple[Mapping[str, Any], dict[str, float]]]) -> str:
    start, end = (datetime.fromisoformat(points[at][0]["at"]) for at in (0, -1))
    # Which way a bias goes is in the readings; how large it is, is drawn.
    top = nice_top(1.1 * max((abs(value) for _, values in points for value in values.values()), default=0) or 1.0)
    x, y = across((end - start).total_seconds()), upward(top)
    parts = frame(x, y, [(value, f"{value:g}") for value in ticks(top)], "time since the first reading")
    # Each revision has a reference of its own: lines are broken there.
    for _, run in groupby(points, key=lambda point: point[0]["revision"]):
        of_one = list(run)
        parts += [path(_pixels(of_one, time, start, x, y), time) for time in _TIMES]
    last = points[-1][0]
    what = f"{aspect}: {_NAMES[name]}"
    note = f"{last['state']}, of {last['requests']:,} requests"
    return figure(what, [(time, time) for time in _TIMES], svg(parts, f"{what} over time"), note)


def _pixels(
    points: Sequence[tuple[Mapping[str, Any], dict[str, float]]], time: str, start: datetime, x: Axis, y: Axis
) -> list[tuple[float, float]]:
    return [
        (x.at((datetime.fromisoformat(reading["at"]) - start).total_seconds()), y.at(abs(values[time])))
        for reading, values in points
        if time in values
    ]
