"""The how-to pages on models that are kept and made anew: the registry, and drift that retrains."""

from __future__ import annotations

import json

import pytest

from tests.docs.pages import HOW_TO, read
from tests.docs.running import Reader
from tests.support import models

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_the_page_on_the_model_registry_moves_the_alias_with_what_serves(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "register-models.md"))
    reader.type("tidegate registry show arrivals@champion --output json")
    assert json.loads(reader.told)["version"] == 1
    reader.type("tidegate delete arrivals --yes")


def test_the_page_on_drift_finds_it_and_retrains(reader: Reader) -> None:
    reader.forget()
    models.flights(6_000, seed=5).dropna().to_parquet(reader.folder / "training.parquet")
    reader.instead = {"interval: 5m": "interval: 2s"}  # nobody waits that long for a page
    try:
        reader.follow(read(HOW_TO / "watch-for-drift.md"))
    finally:
        reader.instead = {}
    assert reader.told.startswith("Due: drift in hour (PSI ")
