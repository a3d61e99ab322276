"""The plot of a distribution: shares per bin of candidate and stable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from tidegate.controller.page.axes import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Axis, nice_top, svg, ticks

_ROW = 9
_GAP = 8
_NAMES = 110

Report = Mapping[str, Any]


def shifts_of(report: Report) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (signal, shift) of the last step in which distributions were compared."""
    for step in reversed(report["steps"]):
        signals = [one for one in (step["verdict"] or {}).get("signals", ()) if one.get("shifts")]
        found = [(one["signal"], shift) for one in signals for shift in one["shifts"] if sum(shift["candidate"])]
        if found:
            yield from found
            return


def shift_plot(shift: Mapping[str, Any]) -> str:
    """Return the shares of the requests per bin, a pair of bars each."""
    sides = {role: _shares(shift[role]) for role in ("candidate", "stable")}
    places = [place for place in range(len(shift["bins"])) if sides["candidate"][place] or sides["stable"][place]]
    top = nice_top(max(max(shares) for shares in sides.values()))
    height = TOP + (2 * _ROW + _GAP) * len(places) + BOTTOM
    x = Axis(0.0, top, LEFT + _NAMES - 40, WIDTH - RIGHT - 10)
    floor = height - BOTTOM
    parts = []
    for value in ticks(top):
        column = x.at(value)
        parts.append(f'<line class="grid" x1="{column}" x2="{column}" y1="{TOP}" y2="{floor}"/>')
        label = f"{100 * value:.3g} %"
        parts.append(f'<text class="tick" x="{column}" y="{floor + 18}" text-anchor="middle">{label}</text>')
    for index, place in enumerate(places):
        edge = TOP + index * (2 * _ROW + _GAP)
        name = str(shift["bins"][place])
        shown = name if len(name) <= 18 else f"{name[:17]}…"
        parts.append(
            f'<text class="tick" x="{x.start - 6}" y="{edge + _ROW + 4}" text-anchor="end">{escape(shown)}</text>'
        )
        for row, role in enumerate(("candidate", "stable")):
            share, at = sides[role][place], edge + row * _ROW + _ROW / 2
            told = escape(f"{role}: {name}, {shift[role][place]:,} requests ({100 * share:.3g} %)")
            parts.append(
                f'<g><title>{told}</title><line class="line {role}" style="stroke-width:{_ROW - 2}" x1="{x.start}" '
                f'x2="{x.at(share)}" y1="{at}" y2="{at}"/></g>'
            )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="title" x="{middle}" y="{height - 5}" text-anchor="middle">share of the requests</text>')
    return svg(parts, f"Distribution of {shift['feature']}, candidate and stable", height)


def _shares(counts: list[int]) -> list[float]:
    total = max(1, sum(counts))
    return [count / total for count in counts]
