"""Distributions of predictions and of requests, with real models behind a real Envoy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import SHORT, Tidegate
from tests.support import models
from tests.support.quick_models import write_flights

pytestmark = pytest.mark.e2e

#: A wide margin for everything else: these tests are about distributions.
CALM = {**SHORT, "stepDuration": "30s", "margin": "20%"}
#: Both sides get half of the requests in the first step.
HALF: list[Any] = [{"weight": 50}, 100]


@pytest.fixture(scope="module")
def shifted_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with the columns and outputs of `good_model` that finds twice as many flights late."""
    return write_flights(tmp_path_factory.mktemp("shifted") / "shifted.onnx", from_hour=11.0)


def again(artifact: Path, **predictions: Any) -> dict[str, Any]:
    """Return the fields of one more revision whose predictions are judged."""
    return {
        "steps": HALF,
        "modelArtifact": {"path": str(artifact), "version": artifact.name + str(len(predictions))},
        "analysis": {**CALM, "predictions": predictions},
        "gates": {"allowBreaking": True},
    }


def said_of(report: dict[str, Any], signal: str) -> dict[str, Any]:
    """Return what was said of a signal at the end of the first step."""
    found: dict[str, Any] = next(one for one in report["steps"][0]["verdict"]["signals"] if one["signal"] == signal)
    return found


def test_the_same_model_passes_and_one_that_predicts_otherwise_is_taken_back(
    tidegate: Tidegate, good_model: Path, shifted_model: Path
) -> None:
    assert tidegate.ended(tidegate.deploy("shifts", good_model))["outcome"] == "promoted"
    traffic = tidegate.traffic("shifts", rate=200.0)
    limits = {"tolerance": "15%", "margin": "15%"}
    healthy = tidegate.ended(tidegate.deploy("shifts", good_model, **again(good_model, **limits)))
    harmful = tidegate.ended(tidegate.deploy("shifts", shifted_model, **again(shifted_model, **limits, critical=True)))
    records = traffic.stop()
    assert healthy["outcome"] == "promoted", healthy["reason"]
    said = said_of(healthy, "predictions")
    assert said["outcome"] == "pass"
    assert sum(said["shifts"][0]["candidate"]) >= 30
    assert said_of(healthy, "inputs")["outcome"] != "warning"
    assert harmful["outcome"] == "rolled_back", harmful["reason"]
    assert harmful["reason"].startswith("predictions: ")
    assert said_of(harmful, "predictions")["shifts"][0]["distance"] > 0.15
    page = (tidegate.home / "reports" / "shifts" / f"{harmful['rollout']}.html").read_text()
    assert "Where predictions lie" in page
    assert [record for record in records if record.failed] == []


@contextmanager
def two_kinds_of_users(url: str) -> Iterator[None]:
    """Ask for 40 users, each always the same kind of flight: night flights for those of the candidate.

    Who is whose is found out as the split is: by the header of the answers.
    """
    ends = threading.Event()
    rows = models.records(models.flights(200, seed=9).dropna())
    night, day = ([row for row in rows if (row["hour"] > 17) is late] for late in (True, False))

    def run(offset: int) -> None:
        of_user: dict[str, str] = {}
        first = None
        with httpx.Client(trust_env=False) as client:
            turn = offset
            while not ends.wait(0.01):
                turn += 1
                user = f"user-{turn % 40}"
                kind = night if of_user.get(user) not in (None, first) else day
                answer = client.post(
                    f"{url}/predict", json={"records": [kind[turn % len(kind)]]}, headers={"x-user-id": user}
                )
                of_user[user] = answer.headers.get("x-tidegate-revision", "")
                first = first or of_user[user]

    threads = [threading.Thread(target=run, args=(number * 13,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ends.set()
        for thread in threads:
            thread.join()


@pytest.mark.long
def test_a_sticky_split_with_other_requests_is_not_blamed_on_the_model(tidegate: Tidegate, good_model: Path) -> None:
    sticky = {"traffic": {"stickyBy": {"header": "x-user-id"}}}
    assert tidegate.ended(tidegate.deploy("sticky", good_model, **sticky))["outcome"] == "promoted"
    fields = again(good_model, tolerance="15%", margin="15%", critical=True)
    fields["analysis"] = {**fields["analysis"], "stepDuration": "20s"}
    with two_kinds_of_users(tidegate.status("sticky")["url"]):
        rollout = tidegate.deploy("sticky", good_model, **fields, **sticky)
        status = tidegate.in_phase("sticky", "paused", "rolled_back")
    assert status["phase"] == "paused", status["rollout"]["reason"]
    signals = {one["signal"]: one for one in status["rollout"]["verdict"]["signals"]}
    assert signals["inputs"]["outcome"] == "warning"
    assert "candidate and stable see different requests: hour" in signals["inputs"]["reason"]
    assert signals["predictions"]["outcome"] == "inconclusive"
    assert "not blamed on the candidate" in signals["predictions"]["reason"]
    with tidegate.client as client:
        client.abort("sticky", by="ada", reason="seen enough")
    tidegate.ended(rollout)
