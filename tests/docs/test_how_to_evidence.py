"""The how-to pages that judge by what came of requests: outcomes and A/B tests."""

from __future__ import annotations

import json

import pytest

from tests.docs.pages import HOW_TO, read
from tests.docs.running import Reader
from tests.support.quick_models import write_flights

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_the_page_on_outcomes_takes_the_worse_candidate_back(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "judge-by-outcomes.md"))
    reader.type("tidegate status offers --output json")
    assert '"rolled_back"' in reader.told


def test_the_page_on_ab_tests_runs(reader: Reader) -> None:
    reader.forget()
    for name, hour in (("churn-b", 15.0), ("churn-c", 16.0)):
        write_flights(reader.folder / "models" / f"{name}.onnx", from_hour=hour)
    row = {"distance": 800.0, "hour": 17, "month": 6, "carrier": "UA"}
    (reader.folder / "row.json").write_text(json.dumps({"records": [row]}))
    reader.follow(read(HOW_TO / "run-an-ab-test.md"))
    assert "Rollout" in reader.told
    assert "promoted" in reader.told
    assert "| b |" in reader.told
    assert "A healthy arm is taken out with a chance of 1% at most" in reader.told
