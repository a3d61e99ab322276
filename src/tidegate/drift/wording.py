"""A reading in words and short texts, the same on a terminal and on a page. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.drift.calibration import Way
from tidegate.drift.performance import Kept, Performance
from tidegate.drift.quality import LEAST_OF_EACH, LEAST_REQUESTS, Fared, Figure, Quality
from tidegate.drift.reading import ColumnReading, Reading, State, TogetherReading

FIGURE_NAMES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "mae": "MAE",
    "rmse": "RMSE",
    "bias": "bias",
}
#: Columns that are named where all were compared together.
_NAMED = 5


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
    if reading.together is not None:
        said.append(together_sentence(reading.together))
    return said


def performance_sentences(found: Performance) -> list[str]:
    """Return what is said of an estimate in words."""
    dropped = [FIGURE_NAMES[figure.name] for figure in found.figures if figure.state is Kept.DROPPED]
    unsure = [FIGURE_NAMES[figure.name] for figure in found.figures if figure.state is Kept.INCONCLUSIVE]
    rows = f"by the scores of {found.rows[1]:,} rows"
    said = [
        f"Dropped by more than {found.drop:g}, {rows}: {', '.join(dropped)}."
        if dropped
        else f"Nothing is known to have dropped by more than {found.drop:g}, {rows}."
    ]
    if unsure:
        said.append(f"Inconclusive: {', '.join(unsure)}.")
    learnt = f"by {found.rows[0]:,} outcomes of the reference (chance {chance(found.calibration)})"
    said.append(
        f"Scores are calibrated, {learnt}."
        if found.way is Way.AS_THEY_ARE
        else f"Scores are not calibrated, {learnt}, and were calibrated by them."
    )
    return said


def quality_sentences(found: Quality, logged: Sequence[int], positive: str | None) -> list[str]:
    """Return what is said of how right answers were.

    Args:
        logged: requests of the reference and of the current window, whether or not their actuals are known.
        positive: the class that precision, recall and F1 are of; None for the mean over classes, or numbers.
    """
    worse = [FIGURE_NAMES[figure.name] for figure in found.figures if figure.state is Fared.WORSE]
    said = [f"Worse, and no chance: {', '.join(worse)}." if worse else "Nothing is known to be worse."]
    unsure = [figure for figure in found.figures if figure.state is Fared.INCONCLUSIVE]
    if unsure:
        said.append(_unsure(found, unsure))
    rare = ", ".join(f"{name} ({rows:,})" for name, rows in found.rare.items())
    if rare:
        said.append(f"It takes {LEAST_OF_EACH} rows of each class; there are fewer of {rare}.")
    if positive is not None:
        said.append(f"Precision, recall and F1 are of the class {positive}.")
    known = [f"{some:,} of {all_:,}" for some, all_ in zip(found.requests, logged, strict=True)]
    said.append(f"What really was is known of {known[1]} logged requests, and in the reference of {known[0]}.")
    return said


def _unsure(found: Quality, unsure: Sequence[Figure]) -> str:
    names = ", ".join(FIGURE_NAMES[figure.name] for figure in unsure)
    fewest = min(found.requests)
    if fewest < LEAST_REQUESTS:
        return f"Inconclusive: {names}. It takes {LEAST_REQUESTS} requests whose actual is known; there are {fewest:,}."
    needed = [figure.needed for figure in unsure if figure.needed is not None]
    if not needed:
        return f"Inconclusive: {names}. They are too near to what is tolerated."
    there = f"there are {found.requests[1]:,}"
    return f"Inconclusive: {names}. {max(needed):,} requests would do, with a reference that grows alike; {there}."


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def change(before: float, now: float) -> str:
    """Return two shares of a column, nothing where both are 0."""
    return "" if before == now == 0 else f"{before:.1%} → {now:.1%}"


def chance(value: float) -> str:
    return "< 1e-6" if value < 1e-6 else f"{value:.2g}"


def together_sentence(reading: TogetherReading) -> str:
    """Return what is said of all columns at once."""
    area = f"the area under its ROC curve is {reading.area:.2f} (chance {chance(reading.chance)})"
    if not reading.is_drift:
        if reading.state is State.INCONCLUSIVE:
            more = "The reference has too few rows" if reading.rows_needed is None else _rows_do(reading)
            return f"All columns together: inconclusive, {area}. {more}."
        return f"All columns together: no drift. A classifier hardly tells current rows from the reference's: {area}."
    first, *others = reading.columns.items()
    # Those that matter little beside the first tell a reader nothing.
    telling = [first[0], *(name for name, lost in others[: _NAMED - 1] if lost >= first[1] / 10)]
    return (
        f"All columns together: {reading.state}. A classifier tells current rows from the reference's, most of all by "
        f"{', '.join(telling)}: {area}."
    )


def _rows_do(reading: TogetherReading) -> str:
    return f"{reading.rows_needed:,} rows would do; there are {reading.rows[1]:,}"


def _needed(unsure: list[ColumnReading], rows: int) -> str:
    names = ", ".join(column.name for column in unsure)
    known = [column.rows_needed for column in unsure if column.rows_needed is not None]
    if len(known) < len(unsure):
        return f"Inconclusive: {names}. The reference has too few rows."
    return f"Inconclusive: {names}. {max(known):,} rows would do; there are {rows:,}."
