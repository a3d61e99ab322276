"""What is logged and what really was end in readings: answers that are less right are seen, told and sensed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.e2e.conftest import Tidegate, eventually
from tests.e2e.test_drift_by_the_controller import run
from tests.support import models

pytestmark = pytest.mark.e2e

NAME = "graded"
DRIFT = {
    "interval": "2s",
    "period": "120s",
    "referencePeriod": "5s",
    "together": True,
    "quality": {"period": "120s", "drop": 0.1},
}


def ask(tidegate: Tidegate, rows: Sequence[dict[str, Any]], name: str) -> list[float]:
    """Ask for each row by itself, with an id; return the score of each."""
    url = f"{tidegate.status(NAME)['url']}/predict"
    with httpx.Client() as client:
        answers = [
            client.post(url, json={"records": [row]}, headers={"x-request-id": f"{name}-{number}"})
            for number, row in enumerate(rows)
        ]
    return [answer.json()["predictions"][0]["probabilities"]["1"] for answer in answers]


def tell(tidegate: Tidegate, name: str, actuals: Sequence[bool]) -> None:
    told = [{"request_id": f"{name}-{number}", "actual": int(one)} for number, one in enumerate(actuals)]
    with tidegate.client as client:
        client.tell_outcomes(NAME, told)


def states(tidegate: Tidegate) -> dict[str, str]:
    with tidegate.client as client:
        return {one["aspect"]: one["state"] for one in client.drift(NAME)["aspects"]}


def test_answers_that_become_less_right_are_a_reason_to_retrain(
    tidegate: Tidegate, fragile_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = models.flights(6_000, seed=9).dropna()
    reference = tidegate.folder / "reference.parquet"
    pd.DataFrame(frame).to_parquet(reference)
    fields = {"drift": {**DRIFT, "reference": str(reference)}, "predictionLog": {"sink": "store:"}}
    assert tidegate.ended(tidegate.deploy(NAME, fragile_model, **fields))["outcome"] == "promoted"

    def sensed(*words: str) -> tuple[int, str]:
        return run(tidegate, capsys, "drift", "sensor", NAME, *words)

    nothing = (
        "Not due: nothing is known of quality and performance: the store has no logged prediction of revision 1.\n"
    )
    eventually("a look", lambda: sensed("--by", "quality,performance") == (0, nothing))

    chance = np.random.default_rng(4)
    rows = models.records(frame)
    scores = ask(tidegate, rows[:400], "before")
    # What a score of 0.8 says comes in four of five cases.
    tell(tidegate, "before", [bool(one) for one in chance.random(len(scores)) < scores])

    eventually(
        "the end of the reference", lambda: "known of 0 of 0 requests that were logged since then" in sensed()[1]
    )
    # Evenings, of which nobody can tell, and what is answered is wrong more often than not.
    night = [row for row in rows[400:] if row["hour"] in {13, 14, 15}][:400]
    scores = ask(tidegate, night, "after")
    tell(tidegate, "after", [bool(one) for one in chance.random(len(scores)) > scores])
    wanted = {"quality": "worse", "performance": "dropped", "together": "large"}
    eventually("all three", lambda: states(tidegate) == wanted)

    code, out = sensed("--by", "quality", "--output", "json")
    told = json.loads(out)
    assert (code, told["due"], [one["aspect"] for one in told["aspects"]]) == (9, True, ["quality"])
    assert told["why"].startswith("quality is worse: Worse, and no chance: accuracy")
    assert sensed()[0] == 9
    out = run(tidegate, capsys, "drift", "history", NAME)[1]
    assert all(word in out for word in ("quality", "worse", "performance", "dropped", "together", "large"))
    assert "quality worse" in run(tidegate, capsys, "status", NAME)[1]
    with tidegate.client as client:
        text = httpx.get(f"{client.url}/v1/deployments/{NAME}/metrics").text
        events = [event for event in client.events(NAME) if event["kind"] == "drifted"]
    assert f'tidegate_drift_aspect_drifted{{aspect="quality",deployment="{NAME}",revision="1"}} 1.0' in text
    assert 'figure="accuracy"' in text
    assert {event["data"].get("aspect") for event in events} >= {"quality", "performance", "together"}
