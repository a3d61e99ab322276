"""The plot of a figure for each of many things at many times: a table of cells, coloured by what is said of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tidegate.drawing.axes import LEFT, RIGHT, TOP, WIDTH, svg

_ROW = 17
_NAMES = 66
_FOOT = 22


def cells(
    rows: Sequence[str], columns: Sequence[str], shown: Mapping[tuple[str, str], tuple[str, str]], *, label: str
) -> str:
    """Return the table.

    Args:
        rows, columns: their names.
        shown: by row and column the figure, of four characters or so, and its CSS class: "good", "wait", "bad", or
            none. A cell that is not in it stays empty.
        label: what a screen reader says.
    """
    left = LEFT + _NAMES - 20
    width = (WIDTH - RIGHT - left) / max(1, len(columns))
    height = TOP + _FOOT + _ROW * len(rows)
    parts = [
        f'<text class="tick" x="{round(left + (place + 0.5) * width, 1)}" y="{TOP + 4}" text-anchor="middle">'
        f"{escape(name)}</text>"
        for place, name in enumerate(columns)
    ]
    for line, row in enumerate(rows):
        top = TOP + 12 + line * _ROW
        parts.append(
            f'<text class="tick" x="{left - 6}" y="{top + _ROW - 5}" text-anchor="end">{escape(_short(row))}</text>'
        )
        for place, column in enumerate(columns):
            if (row, column) not in shown:
                continue
            figure, tone = shown[row, column]
            x = round(left + place * width, 1)
            parts.append(
                f"<g><title>{escape(f'{row}, {column}: {figure}')}</title>"
                f'<rect class="cell {tone}" x="{x}" y="{top}" width="{round(width - 1.5, 1)}" height="{_ROW - 1.5}"/>'
                f'<text class="figure" x="{round(x + width / 2 - 0.75, 1)}" y="{top + _ROW - 5}" '
                f'text-anchor="middle">{escape(figure)}</text></g>'
            )
    return svg(parts, label, height)


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"
