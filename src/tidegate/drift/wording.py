"""A reading in words and short texts, the same on a terminal and on a page. Pure."""

from __future__ import annotations

from tidegate.drift.reading import ColumnReading, Reading, State


def sentences(reading: Reading) -> list[str]:
    """Return what is said of a reading in words."""
    drifted = [column.name for column in reading.columns if column.state in (State.MODERATE, State.LARGE)]
    columns = f"{len(reading.columns)} column{'' if len(reading.columns) == 1 else 's'}"
    said = [
        f"Drift in {len(drifted)} of {columns}: {', '.join(drifted)}."
        if drifted
        else f"No drift was found in {columns} of {reading.rows:,} rows."
    ]
    unsure = [column for column in reading.columns if column.state is State.INCONCLUSIVE]
    if unsure:
        said.append(_needed(unsure, reading.rows))
    said += [f"Not compared: {name}, for {why}." for name, why in reading.skipped.items()]
    if reading.new:
        said.append(f"Not in the reference: {', '.join(reading.new)}.")
    return said


def change(before: float, now: float) -> str:
    """Return two shares of a column, nothing where both are 0."""
    return "" if before == now == 0 else f"{before:.1%} → {now:.1%}"


def chance(value: float) -> str:
    return "< 1e-6" if value < 1e-6 else f"{value:.2g}"


def _needed(unsure: list[ColumnReading], rows: int) -> str:
    names = ", ".join(column.name for column in unsure)
    known = [column.rows_needed for column in unsure if column.rows_needed is not None]
    if len(known) < len(unsure):
        return f"Inconclusive: {names}. The reference has too few rows."
    return f"Inconclusive: {names}. {max(known):,} rows would do; there are {rows:,}."
