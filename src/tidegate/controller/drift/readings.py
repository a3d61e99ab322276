"""What becomes of a reading: the rows that are stored, the event when the standing changes, the document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tidegate.controller.drift import intervals
from tidegate.controller.drift.intervals import Interval, Run
from tidegate.drift import ColumnReading, Reading, State
from tidegate.drift.watch import Standing
from tidegate.store import DriftColumn, DriftReading, NewEvent

#: The kinds of the events.
DRIFTED, DRIFT_OVER = "drifted", "drift_over"
#: Columns that an event names.
_NAMED = 5


def stored(
    reading: Reading,
    *,
    at: datetime,
    deployment: str,
    revision: int,
    look: int,
    standing: Standing,
    interval: Interval,
    run: Run,
) -> DriftReading:
    """Return a reading as the store has it.

    Args:
        look: its number within the watch of this revision, from 1.
        standing: after it.
        interval: what was counted since the reading before.
        run: counters with it.
    """
    whole = {
        "state": str(reading.state),
        "requests": reading.rows,
        "look": look,
        "thresholds": reading.as_dict()["thresholds"],
        "drifted": standing.has_drifted,
        "drift_at": None if standing.drift_at is None else standing.drift_at.isoformat(),
        **intervals.of_whole(interval, run),
    }
    columns = tuple(_column(column, intervals.of_column(interval, run, column.name)) for column in reading.columns)
    return DriftReading(at, deployment, revision, columns, whole)


def _column(column: ColumnReading, counted: Mapping[str, Any]) -> DriftColumn:
    told = column.as_dict()
    data = {name: told[name] for name in ("kind", "chance", "jensenShannon", "missing", "unseen", "rowsNeeded")}
    # Names of the bins and the reference's counts are with the revision.
    data["counts"] = list(column.current)
    return DriftColumn(column.name, sum(column.current), column.psi, str(column.state), {**data, **counted})


def standing_of(last: DriftReading | None) -> Standing:
    """Return the standing after a stored reading; None: before the first."""
    if last is None:
        return Standing()
    at = last.whole["drift_at"]
    return Standing(last.whole["drifted"], None if at is None else datetime.fromisoformat(at))


def happened(before: Standing, after: Standing, reading: DriftReading, period: str) -> NewEvent | None:
    """Return the event that a reading makes; None where the standing is as before.

    Args:
        period: that readings are of, for people.
    """
    if before.has_drifted == after.has_drifted:
        return None
    data = {
        "requests": reading.whole["requests"],
        "look": reading.whole["look"],
        "columns": {column.name: {"state": column.state, "psi": column.psi} for column in reading.columns},
    }
    of = f"{reading.whole['requests']:,} requests"
    if not after.has_drifted:
        told = f"no column has drifted for {period}: {len(reading.columns)} of {of} are like the reference again"
        return NewEvent(DRIFT_OVER, told, reading.revision, data)
    named = [f"{column.name} (PSI {column.psi:.2f})" for column in drifted_columns(reading)]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    told = f"drift in {len(named)} of {len(reading.columns)} columns of {of}: {', '.join(named[:_NAMED])}{more}"
    return NewEvent(DRIFTED, told, reading.revision, data)


def drifted_columns(reading: DriftReading) -> list[DriftColumn]:
    """Return the columns that a reading calls drift, the largest PSI first."""
    return [column for column in reading.columns if column.state in (State.MODERATE, State.LARGE)]


def seen_view(last: DriftReading | None, trouble: str | None) -> dict[str, Any]:
    """Return what is known of a watch, as the status has it: the standing, the columns of the last reading in short."""
    columns = [] if last is None else last.columns
    return {
        "drifted": False if last is None else last.whole["drifted"],
        "state": None if last is None else last.whole["state"],
        "at": None if last is None else last.at.isoformat(),
        "requests": 0 if last is None else last.whole["requests"],
        "columns": [{"column": one.name, "state": one.state, "psi": one.psi} for one in columns],
        "trouble": trouble,
    }


def view(reading: DriftReading) -> dict[str, Any]:
    """Return a reading as the API shows it."""
    return {
        "at": reading.at.isoformat(),
        "revision": reading.revision,
        "state": reading.whole["state"],
        "drifted": reading.whole["drifted"],
        "requests": reading.whole["requests"],
        "look": reading.whole["look"],
        "thresholds": reading.whole["thresholds"],
        "interval": reading.whole.get(intervals.INTERVAL),
        "columns": [
            {"column": one.name, "state": one.state, "psi": one.psi, "rows": one.rows, **_without_run(one.data)}
            for one in reading.columns
        ],
    }


def _without_run(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != intervals.RUN}
