"""The how-to pages that judge by what came of requests: outcomes and A/B tests."""

from __future__ import annotations

import json

import pytest

from tests.docs.pages import HOW_TO, read
from tests.docs.running import Reader
from tests.support import models

pytestmark = pytest.mark.e2e


def test_the_page_on_outcomes_takes_the_worse_candidate_back(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "judge-by-outcomes.md"))
    reader.type("tidegate status offers --output json")
    assert '"rolled_back"' in reader.told


def test_the_page_on_ab_tests_runs(reader: Reader) -> None:
    reader.forget()
    for at, name in enumerate(("churn-b", "churn-c")):
        model = models.sklearn_classifier(reader.folder / "models" / f"{name}.skops", seed=at + 1)
    (reader.folder / "row.json").write_text(json.dumps({"records": model.rows[:1]}))
    reader.follow(read(HOW_TO / "run-an-ab-test.md"))
    assert "Rollout" in reader.told
    assert "promoted" in reader.told
    assert "| b |" in reader.told
    assert "A healthy arm is taken out with a chance of 1% at most" in reader.told
