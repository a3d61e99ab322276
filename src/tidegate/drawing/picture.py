"""A plot as a picture of its own, as a page includes it that is written in another language."""

from __future__ import annotations

from tidegate.drawing.style import CSS

_WIDTH = 780


def picture(drawn: str) -> str:
    """Return a plot that `axes.svg` wrote as a whole file."""
    inside = drawn.partition(">")[2]
    head = drawn.partition(">")[0].replace("<svg", f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}"', 1)
    return f'{head}><style>{CSS}</style><rect width="100%" height="100%" fill="var(--paper)"/>{inside}\n'
