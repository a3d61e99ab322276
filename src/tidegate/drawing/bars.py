"""The plot of two distributions: shares per bin, a pair of bars each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tidegate.drawing.axes import BOTTOM, RIGHT, TOP, WIDTH, Axis, nice_top, svg, ticks

_ROW = 9
_GAP = 8
#: Pixels for the names of bins, and the characters that fit there.
_NAMES, _LONGEST = 146, 20


def pairs_of_bars(bins: Sequence[str], sides: Mapping[str, Sequence[int]], *, what: str, label: str) -> str:
    """Return the shares of two sides per bin.

    Args:
        bins: their names; one that is empty on both sides is left out.
        sides: counts per bin, by the name of the side, which is also its CSS class.
        what: is counted, "requests".
        label: what a screen reader says.
    """
    shares = {role: _shares(counts) for role, counts in sides.items()}
    places = [place for place in range(len(bins)) if any(counts[place] for counts in sides.values())]
    top = nice_top(max(max(known) for known in shares.values()))
    height = TOP + (2 * _ROW + _GAP) * len(places) + BOTTOM
    x = Axis(0.0, top, _NAMES + 6, WIDTH - RIGHT - 10)
    floor = height - BOTTOM
    parts = []
    for value in ticks(top):
        column = x.at(value)
        parts.append(f'<line class="grid" x1="{column}" x2="{column}" y1="{TOP}" y2="{floor}"/>')
        tick = f"{100 * value:.3g} %"
        parts.append(f'<text class="tick" x="{column}" y="{floor + 18}" text-anchor="middle">{tick}</text>')
    for index, place in enumerate(places):
        edge = TOP + index * (2 * _ROW + _GAP)
        name = bins[place]
        shown = escape(_short(name))
        parts.append(f'<text class="tick" x="{_NAMES}" y="{edge + _ROW + 4}" text-anchor="end">{shown}</text>')
        for row, role in enumerate(sides):
            share, at = shares[role][place], edge + row * _ROW + _ROW / 2
            told = escape(f"{role}: {name}, {sides[role][place]:,} {what} ({100 * share:.3g} %)")
            parts.append(
                f'<g><title>{told}</title><line class="line {role}" style="stroke-width:{_ROW - 2}" x1="{x.start}" '
                f'x2="{x.at(share)}" y1="{at}" y2="{at}"/></g>'
            )
    middle = (x.start + x.end) / 2
    parts.append(f'<text class="title" x="{middle}" y="{height - 5}" text-anchor="middle">share of the {what}</text>')
    return svg(parts, label, height)


def _short(name: str) -> str:
    """Return the name as it fits: levels are often told apart by their ends."""
    half = (_LONGEST - 1) // 2
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1 - half].rstrip()}…{name[-half:].lstrip()}"


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(1, sum(counts))
    return [count / total for count in counts]
