"""A rollout that really was, judged again at another p99 objective than that of the time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from tests.e2e.conftest import Tidegate
from tidegate.cli.main import app

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NAME = "dawdler"
CODE = """
import time

class Model:
    inputs = [{"name": "x"}]

    def load(self, folder):
        self.seconds = float((folder / "seconds.txt").read_text())

    def predict(self, inputs):
        time.sleep(self.seconds)
        return {"y": inputs["x"]}
"""


def deploy(tidegate: Tidegate, seconds: str) -> str:
    folder: Path = tidegate.folder / f"model-{seconds}"
    folder.mkdir()
    (folder / "model.py").write_text(CODE)
    (folder / "seconds.txt").write_text(seconds)
    fields: dict[str, Any] = {"servingRequirements": {"latencyP99": "1s", "availability": "99%"}, "steps": [50, 100]}
    return tidegate.deploy(NAME, folder, modelArtifact={"path": str(folder), "trust": True}, **fields)


@pytest.fixture(scope="module")
def recording(tidegate: Tidegate) -> str:
    """A candidate that takes 350 ms, within its objective of 1 s, is promoted; the controller is killed in between."""
    tidegate.ended(deploy(tidegate, "0"))
    traffic = tidegate.traffic(NAME, rate=10, documents=[[{"x": number}] for number in range(20)])
    rollout = deploy(tidegate, "0.35")
    tidegate.in_phase(NAME, "analyzing")
    controller = tidegate.controller()
    controller.kill()
    psutil.wait_procs([controller], timeout=30)
    tidegate.start()
    report = tidegate.ended(rollout)
    traffic.stop()
    assert report["outcome"] == "promoted", report["reason"]
    with tidegate.client as client:
        return client.recording(rollout)


def replayed(recording: str, *options: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["judge", "replay", "-", *options, "--output", "json"], input=recording)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_at_its_own_p99_the_verdicts_are_those_of_the_time(recording: str) -> None:
    told = replayed(recording)
    assert told["looks"] > 0
    assert told["unlike_the_record"] == 0
    assert told == replayed(recording, "--p99", "1s")
    assert told["steps"][-1]["replayed_pass_at"] is not None


def test_at_a_shorter_p99_the_candidate_would_have_been_taken_back(recording: str) -> None:
    told = replayed(recording, "--p99", "290ms")
    assert (told["latency"]["asked_ms"], told["latency"]["used_ms"]) == (290, 300)
    assert told["steps"][0]["replayed_fail_at"] is not None
    assert any("would have been taken back" in sentence for sentence in told["differences"])
    assert "took 300ms or longer" in told["verdicts"][-1]["reason"]


def test_a_p99_that_was_not_recorded_is_refused(recording: str) -> None:
    result = CliRunner().invoke(app, ["judge", "replay", "-", "--p99", "100ms"], input=recording)
    assert result.exit_code == 2
    assert "a duration from 250ms to 4s" in " ".join(result.output.split())
