"""A reading as one HTML page: what has drifted, a table, and the bins of each column as a plot. Pure."""

from __future__ import annotations

from datetime import datetime
from html import escape

from tidegate.drawing.bars import pairs_of_bars
from tidegate.drawing.sheet import document, figure, table
from tidegate.drift.reading import ColumnReading, Reading, State
from tidegate.drift.wording import chance, change, sentences

_TONES = {State.NONE: "good", State.INCONCLUSIVE: "", State.MODERATE: "wait", State.LARGE: "bad"}
_HEADINGS = (
    *("column", "drift", "PSI", "chance", "Jensen–Shannon", "KS", "Wasserstein", "missing", "unseen", "rows needed"),
)
_LEGEND = [("reference", "reference"), ("current", "current")]


def html(reading: Reading, *, reference: str, current: str, at: datetime) -> str:
    """Return the page.

    Args:
        reference, current: what the two are called.
        at: when they were compared, in UTC.
    """
    title = f"Drift of {current} from {reference}"
    tone = _TONES[reading.state]
    policy = reading.policy
    meaning = (
        f"a PSI of {policy.moderate:g} (large: {policy.large:g}), and a chance of at most {100 * policy.alpha:g} %"
    )
    facts = (
        ("reference", f"{reference}, {_rows(reading)} rows"),
        ("current", f"{current}, {reading.rows:,} rows"),
        ("compared", f"{at:%Y-%m-%d %H:%M:%S} UTC"),
        ("drift is", f"{meaning}, all columns together"),
    )
    return document(
        title,
        [
            f'<header><h1>{escape(title)} <span class="outcome {tone}">{reading.state}</span></h1>',
            f'<p class="verdict {tone}">{escape(" ".join(sentences(reading)))}</p><dl>',
            *(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts),
            "</dl></header>",
            "<h2>Columns</h2>",
            table(_HEADINGS, map(_row, reading.columns), ("name", "fixed", *("number",) * 8)),
            "<h2>Plots</h2>",
            '<div class="plots">',
            *map(_figure, reading.columns),
            "</div>",
            "<footer>Written by Tidegate.</footer>",
        ],
    )


def _rows(reading: Reading) -> str:
    return f"{max((sum(column.reference) for column in reading.columns), default=0):,}"


def _row(column: ColumnReading) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}"

    return (
        column.name,
        str(column.state),
        f"{column.psi:.3f}",
        chance(column.chance),
        f"{column.jensen_shannon:.3f}",
        number(column.kolmogorov_smirnov),
        number(column.wasserstein),
        change(*column.missing),
        change(*column.unseen),
        "the reference is too small" if column.rows_needed is None else f"{column.rows_needed:,}",
    )


def _figure(column: ColumnReading) -> str:
    drawn = pairs_of_bars(
        column.bins,
        {"reference": column.reference, "current": column.current},
        what="rows",
        label=f"Distribution of {column.name}, reference and current",
    )
    return figure(f"{column.name}: {column.state}", _LEGEND, drawn, f"PSI {column.psi:.3f}")
