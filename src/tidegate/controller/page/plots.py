"""The plots of a report: split and evidence over time, rates per step. Each is None where nothing was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from tidegate.drawing.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    across,
    frame,
    nice_top,
    path,
    svg,
    ticks,
    upward,
)
from tidegate.judge import Tally
from tidegate.judge.bernoulli import lower_bound, upper_bound
from tidegate.trial.counting import Totals
from tidegate.trial.rules import tallies

#: Of the intervals, each side half of it: the true rate is ever outside with at most this probability.
INTERVAL_DELTA = 0.05
_ROW = 22
_SIGNAL_STYLES = ("one", "two", "three", "four", "five", "six")

Report = Mapping[str, Any]


def split_plot(report: Report) -> str | None:
    """Return the candidate's share of the requests, asked and observed, over time."""
    start = datetime.fromisoformat(report["started_at"])
    asked = [
        (_since(start, event["at"]), float(event["data"]["weight"]))
        for event in report["events"]
        if "weight" in event["data"]
    ]
    if not asked:
        return None
    looks = [look for look in report["looks"] if look["observed_percent"] is not None]
    end = max([*(second for second, _ in asked), *(_since(start, look["at"]) for look in looks)])
    x, y = across(end), upward(100.0)
    corners: list[tuple[float, float]] = []
    level = 0.0
    for second, weight in asked:
        corners += [(x.at(second), y.at(level)), (x.at(second), y.at(weight))]
        level = weight
    corners.append((x.at(end), y.at(level)))
    parts = frame(x, y, [(value, f"{value:g} %") for value in (0, 25, 50, 75, 100)], "time since the start")
    parts.append(path(corners, "asked"))
    parts += [
        f'<circle class="dot candidate" cx="{x.at(_since(start, look["at"]))}" '
        f'cy="{y.at(look["observed_percent"])}" r="2.2"/>'
        for look in looks
    ]
    return svg(parts, "The candidate's share of the requests over time, asked and observed")


def evidence_plot(report: Report, kind: str) -> str | None:
    """Return how much of the evidence that a decision takes there was, per signal, over time.

    Args:
        kind: "harm" or "safety".
    """
    start = datetime.fromisoformat(report["started_at"])
    looks = [look for look in report["looks"] if look["signals"]]
    if not looks:
        return None
    names = signal_names(report)
    highest = max((look["signals"][name][kind] for look in looks for name in look["signals"]), default=0.0)
    top = nice_top(min(max(highest, 1.2), 3.0))
    x, y = across(max(_since(start, look["at"]) for look in looks)), upward(top)
    parts = frame(x, y, [(value, f"{100 * value:.0f} %") for value in ticks(top)], "time since the start")
    parts.append(f'<line class="bar" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y.at(1.0)}" y2="{y.at(1.0)}"/>')
    for name, style in zip(names, _SIGNAL_STYLES, strict=False):
        # A step begins its evidence for safety anew: the line is broken there.
        for run in _runs(looks, name):
            points = [(x.at(_since(start, look["at"])), y.at(look["signals"][name][kind])) for look in run]
            parts.append(path(points, style))
    return svg(parts, f"Evidence of {kind} per signal over time, as a share of what a decision takes")


def rates_plot(report: Report, signal: str) -> str | None:
    """Return the rate of bad requests of candidate and stable in each step, with intervals."""
    rows = [(step, _tallies(step, signal)) for step in report["steps"]]
    rows = [(step, found) for step, found in rows if found]
    if not rows:
        return None
    bounds = {(index, role): _bounds(tally) for index, (_, found) in enumerate(rows) for role, tally in found.items()}
    objective = _objective(report, signal)
    shown = [*(upper for _, upper in bounds.values()), objective or 0.0]
    rates = [tally.rate or 0.0 for _, found in rows for tally in found.values()]
    # An interval of a handful of requests reaches far; it is cut where it would flatten everything else.
    top = nice_top(max(min(max(shown), max(4 * max(rates), 4 * (objective or 0.0), 0.02)), 1e-4))
    height = TOP + 2 * _ROW * len(rows) + 10 * len(rows) + BOTTOM
    x = Axis(0.0, top, LEFT + 30, WIDTH - RIGHT - 10)
    floor = height - BOTTOM
    parts = []
    for value in ticks(top):
        column = x.at(value)
        parts.append(f'<line class="grid" x1="{column}" x2="{column}" y1="{TOP}" y2="{floor}"/>')
        parts.append(
            f'<text class="tick" x="{column}" y="{floor + 18}" text-anchor="middle">{100 * value:.3g} %</text>'
        )
    if objective is not None and objective <= top:
        column = x.at(objective)
        parts.append(f'<line class="bar" x1="{column}" x2="{column}" y1="{TOP}" y2="{floor}"/>')
    for index, (step, found) in enumerate(rows):
        upper_edge = TOP + index * (2 * _ROW + 10)
        label = escape(f"{step['weight']:g} %")
        parts.append(
            f'<text class="label" x="{LEFT + 20}" y="{upper_edge + _ROW + 5}" text-anchor="end">{label}</text>'
        )
        for place, role in enumerate(("candidate", "stable")):
            if role in found:
                row = upper_edge + _ROW * (place + 0.5) + 2
                parts += _whisker(x, row, found[role], bounds[index, role], role)
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="title" x="{middle}" y="{height - 5}" text-anchor="middle">share of the requests</text>')
    return svg(parts, f"Rate of {signal} per step, candidate and stable", height)


def signal_names(report: Report) -> list[str]:
    """Return the signals that were recorded, in the order of the judge."""
    found: dict[str, None] = {}
    for look in report["looks"]:
        found |= dict.fromkeys(look["signals"])
    for step in report["steps"]:
        found |= dict.fromkeys(
            signal["signal"] for signal in (step["verdict"] or {}).get("signals", []) if "signal" in signal
        )
    return list(found)[: len(_SIGNAL_STYLES)]


def style_of(report: Report, signal: str) -> str:
    return _SIGNAL_STYLES[signal_names(report).index(signal)]


def further_signals(report: Report) -> list[str]:
    """Return the signals that other sources than the gateway counted."""
    found: dict[str, None] = {}
    for step in report["steps"]:
        for counts in (step["by_role"] or {}).values():
            found |= dict.fromkeys(Totals.from_dict(counts).further if counts else ())
    return list(found)


def _tallies(step: Mapping[str, Any], signal: str) -> dict[str, Tally]:
    found = {}
    for role, counts in (step["by_role"] or {}).items():
        if not counts:
            continue
        counted = Totals.from_dict(counts)
        usual = tallies(counted.requests, counted.errors, counted.rejections, counted.slow)
        tally = usual.get(signal, counted.of(signal))
        if tally.requests:
            found[role] = tally
    return found


def _bounds(tally: Tally) -> tuple[float, float]:
    return lower_bound(tally, INTERVAL_DELTA / 2), upper_bound(tally, INTERVAL_DELTA / 2)


def _objective(report: Report, signal: str) -> float | None:
    for step in reversed(report["steps"]):
        for one in (step["verdict"] or {}).get("signals", []):
            if one.get("signal") == signal and "objective" in one:
                return float(one["objective"])
    return None


def _whisker(x: Axis, row: float, tally: Tally, bounds: tuple[float, float], role: str) -> list[str]:
    low, high = (x.at(value) for value in bounds)
    cut = bounds[1] > x.high
    rate = tally.rate or 0.0
    told = f"{role}: {tally.bad:,} of {tally.requests:,} ({100 * rate:.3g} %)"
    end = "" if cut else f'<line class="line {role}" x1="{high}" x2="{high}" y1="{row - 4}" y2="{row + 4}"/>'
    return [
        f"<g><title>{escape(told)}</title>",
        f'<line class="line {role}" x1="{low}" x2="{high}" y1="{row}" y2="{row}"/>',
        f'<line class="line {role}" x1="{low}" x2="{low}" y1="{row - 4}" y2="{row + 4}"/>',
        end,
        f'<circle class="dot {role}" cx="{x.at(rate)}" cy="{row}" r="4"/></g>',
    ]


def _runs(looks: Sequence[Mapping[str, Any]], name: str) -> list[list[Mapping[str, Any]]]:
    """Return the looks that know the signal, cut where a step begins."""
    runs: list[list[Mapping[str, Any]]] = []
    step = None
    for look in looks:
        if name not in look["signals"]:
            continue
        if look["step"] != step:
            runs.append([])
            step = look["step"]
        runs[-1].append(look)
    return runs


def _since(start: datetime, at: str) -> float:
    return max(0.0, (datetime.fromisoformat(at) - start).total_seconds())


__all__ = [
    "HEIGHT",
    "INTERVAL_DELTA",
    "evidence_plot",
    "further_signals",
    "rates_plot",
    "signal_names",
    "split_plot",
    "style_of",
]
