"""The loop in the stack's containers, unattended: drift that is there, a retraining on its H2O, a canary, promoted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.mage.loop import INPUTS, JULY, STUMP, WINTER, season, setup
from tests.stack.conftest import Stack
from tests.stack.runs import ended, in_mage, start
from tidegate.drift.files import read_reference, write_reference

NAME = "summer"
CLUSTER = "http://h2o:54321"
PYTHON = "/opt/pipeline/bin/python"
#: Where the pipelines' container and the controller's have the same folder.
SHARED = "/var/lib/tidegate/pipeline"


def pipeline(stack: Stack, *words: str) -> str:
    return stack.run("mage-worker", PYTHON, "-m", "tidegate_pipeline", *words, seconds=600)


def in_training(stack: Stack, name: str, **further: Any) -> str:
    """Write a setup with its data into the stack's folder of them; return where containers have it."""
    setup(stack.training, name, CLUSTER, **{"model": NAME, **further})
    for file in stack.training.iterdir():
        file.chmod(0o644)
    return f"/training/{name}.yaml"


@pytest.fixture(scope="module")
def winter_serves(stack: Stack) -> Iterator[None]:
    """A model of the winter serves, and what it is asked is compared with the data that it was trained on."""
    made = in_training(stack, "winter", model="winter", season=WINTER)
    for words in (("plan", made, "--run", "winter"), ("train", "winter", "gbm"), ("board", "winter")):
        pipeline(stack, *words)
    pipeline(stack, "register", "winter")
    table = stack.training / "inputs.parquet"
    season(*WINTER)[list(INPUTS)].to_parquet(table)
    write_reference(read_reference(table), stack.training / "winter.json")
    (stack.training / "winter.json").chmod(0o644)
    stack.run("mage-worker", "cp", "/training/winter.json", f"{SHARED}/winter.json")
    request = {
        "name": NAME,
        "modelArtifact": {"path": "models:/winter/1"},
        "servingRequirements": {"latencyP99": "2s"},
        "infrastructure": {"resources": {"replicas": 1}},
        "steps": [50, 100],
        "analysis": {"stepDuration": "60s", "minRequests": 20, "baseline": "1s"},
        "drift": {"reference": f"{SHARED}/winter.json", "interval": "2s", "period": "1h"},
    }
    stack.run("tidegate", "tidegate", "deploy", "-f", "-", given=json.dumps(request))
    yield
    stack.run("tidegate", "tidegate", "delete", NAME, "--yes")


@contextmanager
def july(stack: Stack) -> Iterator[list[int]]:
    """Ask for flights of July through the edge, some ten times a second; gives the statuses of the answers."""
    rows = season(*JULY)[list(INPUTS)].sample(2_000, random_state=1).to_dict("records")
    over = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{stack.environment['EDGE_PORT']}", trust_env=False) as client:
            while not over.wait(0.05):
                row = rows[len(statuses) % len(rows)]
                statuses.append(client.post(f"/{NAME}/predict", json={"records": [row]}, timeout=30).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield statuses
    finally:
        over.set()
        asking.join()


def stable(stack: Stack) -> int:
    return int(json.loads(stack.run("tidegate", "tidegate", "status", NAME, "--output", "json"))["stable"])


def test_drift_leads_to_a_promoted_model_and_one_that_is_worse_is_not_promoted(
    stack: Stack, winter_serves: None
) -> None:
    spring = in_training(stack, "spring", deployment=NAME, canary={"patienceMinutes": 8})
    worse = in_training(stack, "worse", deployment=NAME, configurations=[STUMP], canary={"patienceMinutes": 8})
    before = stable(stack)
    begun = time.monotonic()
    with july(stack) as statuses:
        watch = start(stack, "drift_watch", deployment=NAME, setup=spring, at_least="large", min_requests=200)
        assert ended(stack, watch) == "COMPLETED"
        query = "SELECT max(id) FROM pipeline_run WHERE pipeline_uuid = 'retraining';"
        ((retraining,),) = in_mage(stack, query)
        assert ended(stack, int(retraining)) == "COMPLETED", stack.compose("logs", "--tail", "80", "mage-worker")
        assert time.monotonic() - begun < 900
        report = json.loads(pipeline(stack, "report", "--output", "json"))
        assert report["why"] == f"drift of {NAME}"
        (outcome,) = report["outcomes"]
        assert outcome["state"] == "promoted", outcome
        assert outcome["evaluation"]["interval"][1] < 0
        assert stable(stack) == before + 1

        assert ended(stack, start(stack, "retraining", setup=worse, deployment=NAME)) == "COMPLETED"
        (outcome,) = json.loads(pipeline(stack, "report", "--output", "json"))["outcomes"]
        assert (outcome["state"], outcome["evaluation"]["verdict"], outcome["rollout"]) == ("not_better", "fail", None)
    assert stable(stack) == before + 1
    assert set(statuses) == {200}
