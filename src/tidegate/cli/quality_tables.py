"""How right answers were, as tables and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from tidegate.drift.quality import Quality, Value

_STYLES = {"worse": "bold red", "inconclusive": "dim", "kept": "green"}


@dataclass(frozen=True)
class Period:
    """A part of the time, with how many rows of it are known and their figures by name."""

    since: datetime
    until: datetime
    rows: int
    values: Mapping[str, Value]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "rows": self.rows,
            "figures": {name: value.as_dict() for name, value in self.values.items()},
        }


def quality_table(found: Quality) -> Table:
    """Return a line for each figure: what is said of it, the reference, and now."""
    from rich.table import Table
    from rich.text import Text

    from tidegate.drift.wording import FIGURE_NAMES, share, span

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("figure", "quality"):
        table.add_column(name)
    for name in ("reference", "95 %", "current", "95 %"):
        table.add_column(name, justify="right")
    for figure in found.figures:
        before, now = figure.reference, figure.current
        table.add_row(
            FIGURE_NAMES[figure.name],
            Text(figure.state, style=_STYLES[figure.state]),
            share(before.value),
            span(before.interval),
            share(now.value),
            span(now.interval),
        )
    return table


def periods_table(names: Sequence[str], periods: Sequence[Period]) -> Table:
    """Return a line for each part of the time."""
    from rich.table import Table

    from tidegate.drift.wording import FIGURE_NAMES, share, span

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("from (UTC)")
    table.add_column("rows", justify="right")
    for name in names:
        table.add_column(FIGURE_NAMES[name], justify="right")
    for one in periods:
        cells = [
            f"{share(one.values[name].value)} ({span(one.values[name].interval)})" if name in one.values else ""
            for name in names
        ]
        table.add_row(f"{one.since:%Y-%m-%d %H:%M}", f"{one.rows:,}", *cells)
    return table
