"""The flights, loaded once, and a part of them that trains in a few seconds."""

from __future__ import annotations

import pandas as pd
import pytest

from examples.flights import data


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    return data.load_flights()


@pytest.fixture(scope="session")
def some_flights(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.sample(n=25_000, random_state=1).sort_index()
