"""The flights of 2013, month by month against January."""

from __future__ import annotations

from typing import Any

from examples.flights.data import COLUMNS, in_months, load_flights
from tidegate.drift import Reference

MONTHS = range(2, 13)


def readings() -> dict[str, Any]:
    """Return the rows of January, and of each later month its rows and the state, PSI and chance of each column."""
    flights = load_flights()
    # A delay at the arrival is what is to be predicted; whether it was late is what came of it.
    names = [*COLUMNS, "late"]
    january = in_months(flights, [1])[names]
    reference = Reference.of(january)
    months = {}
    for month in MONTHS:
        rows = in_months(flights, [month])[names]
        reading = reference.compare(rows)
        months[str(month)] = {
            "rows": len(rows),
            "columns": {
                column.name: {"state": str(column.state), "psi": column.psi, "chance": column.chance}
                for column in reading.columns
            },
        }
    return {"rows": len(january), "months": months}
