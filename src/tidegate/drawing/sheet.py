"""A page and its parts. Whatever they are given is escaped, but for drawings and parts that are HTML already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tidegate.drawing.style import CSS


def document(title: str, parts: Iterable[str]) -> str:
    """Return a whole page of parts that are HTML."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            # Nothing may be loaded from anywhere: what is shown came in with requests, models and data.
            "<meta http-equiv=\"content-security-policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{escape(title)}</title><style>{CSS}</style></head><body>",
            *parts,
            "</body></html>",
            "",
        ]
    )


def figure(title: str, legend: Sequence[tuple[str, str]], drawn: str, note: str) -> str:
    """Return a plot with its title, (CSS class, name) pairs of what is in it, and what is to be known of it."""
    items = "".join(f'<li><i class="{style}"></i>{escape(name)}</li>' for style, name in legend)
    caption = f"<figcaption>{escape(note)}</figcaption>" if note else ""
    return f'<figure><h3>{escape(title)}</h3><ul class="legend">{items}</ul>{drawn}{caption}</figure>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str], kind: str = "") -> str:
    """Return a table; `styles` are the CSS classes of its columns, `kind` that of the whole."""
    # Only numbers have their headings on their own side.
    sides = (' class="number"' if style == "number" else "" for style in styles)
    head = "".join(f"<th{side}>{escape(heading)}</th>" for heading, side in zip(headings, sides, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{style}">{escape(cell)}</td>' for cell, style in zip(row, styles, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="table {kind}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
