"""The page on features: a reader follows it from top to bottom, with real flights and a store of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.docs.pages import DOCS, read
from tests.docs.running import Reader

pytestmark = pytest.mark.e2e


def test_the_page_runs_and_says_what_it_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path, tmp_path / "home")
    try:
        reader.follow(read(DOCS / "how-to" / "keep-features.md"))
        # Rows that name an entity go through gateway and replica to the store of this home.
        rows = json.dumps([{"carrier": "UA", "distance": 1400}, {"carrier": "AA", "distance": 1}])
        reader.type(f"curl -sf http://127.0.0.1:8080/late/predict -H 'content-type: application/json' -d '{rows}'")
        assert len(json.loads(reader.told)["predictions"]) == 2
    finally:
        reader.leave()
    table = pq.read_table(tmp_path / "training.parquet")
    assert table.column_names == ["carrier", "at", "distance", "late", "carriers_at", "flights", "mean_delay"]
    for row in table.to_pylist():
        assert row["carriers_at"].replace(tzinfo=None).isoformat(sep=" ") <= row["at"]
    reader.type("tidegate features show carriers --output json")
    assert json.loads(reader.told)["holdings"]["quarantined"] == 3
