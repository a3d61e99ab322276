"""The loop, unattended: drift that is there, a model retrained on H2O, compared, tried as a canary, and promoted."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.mage.conftest import Mage, free_port
from tests.mage.loop import STUMP, Command, july, season, setup, winter_model, winter_model_serves
from tidegate.client import Client

LOOP = ("--at-least", "large", "--min-requests", "200")


@dataclass(frozen=True)
class World:
    """A controller with models:/winter/1 in its registry, what the data of that looked like, and an H2O cluster."""

    command: Command
    client: Client
    h2o: str
    reference: Path


@pytest.fixture(scope="module")
def world(home: Path, client: Client, h2o: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    command = Command(home)
    return World(command, client, h2o, winter_model(command, tmp_path_factory.mktemp("winter"), h2o))


def until_due(command: Command, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        said = json.loads(command.pipeline("sense", name, *LOOP, "--output", "json").stdout)
        if said["due"]:
            return dict(said)
        assert time.monotonic() < deadline, said
        time.sleep(2)


def until_read(client: Client, name: str, revision: int | None) -> set[str]:
    """Wait for a reading of 200 requests to a revision; return what it says of the columns."""
    deadline = time.monotonic() + 120
    while True:
        found = [one for one in client.drift_readings(name) if one["revision"] == revision]
        if found and found[-1]["requests"] >= 200:
            return {column["state"] for column in found[-1]["columns"]}
        assert time.monotonic() < deadline, found
        time.sleep(2)


def test_under_mage_drift_leads_to_a_promoted_model_and_a_worse_one_is_not_promoted(
    world: World, mage: Mage, tmp_path: Path
) -> None:
    command, client = world.command, world.client
    name = "by-mage"
    winter_model_serves(client, name, world.reference)
    canary = {"patienceMinutes": 8}
    with july(command.home, name):
        asked = setup(tmp_path, "mage-spring", world.h2o, name, deployment=name, canary=canary)
        before = {one["id"] for one in mage.runs("retraining")}
        variables = {"deployment": name, "setup": asked, "at_least": "large", "min_requests": 200}
        watch = mage.start("drift_watch", "watch_drift", **variables)
        assert mage.wait("drift_watch", watch)["status"] == "completed", mage.logs("drift_watch")
        (started,) = [one["id"] for one in mage.runs("retraining") if one["id"] not in before]
        assert mage.wait("retraining", started)["status"] == "completed", mage.logs("retraining")
        report = mage.pipeline("report")
        assert report["why"] == f"drift of {name}"
        assert [one["state"] for one in report["outcomes"]] == ["promoted"], report["outcomes"]
        stable = client.status(name)["stable"]
        assert stable == 2

        worse = setup(tmp_path, "mage-worse", world.h2o, name, deployment=name, configurations=[STUMP], canary=canary)
        schedule = mage.schedule("retraining", "retrain")
        token = tmp_path / "trigger.token"
        token.write_text(f"{schedule['token']}\n")
        trigger = f"{mage.url}/api/pipeline_schedules/{schedule['id']}/api_trigger"
        words = (
            "retrain",
            name,
            "--engine",
            "mage",
            "--setup",
            worse,
            "--trigger",
            trigger,
            "--token-file",
            str(token),
        )
        done = command.tidegate(*words, "--force")
        assert done.returncode == 3, done.stdout + done.stderr
        assert "evaluate_against_stable: completed" in done.stderr
        assert f"models:/{name}/2: not_better: logloss" in done.stdout
        # Without force the limits hold, in Mage as well.
        done = command.tidegate(*words)
        assert done.returncode != 0
        assert "nothing is due until" in mage.logs("retraining")
    assert client.status(name)["stable"] == stable
    token.write_text("of another")
    refused = command.tidegate(*words)
    assert refused.returncode == 5, refused.stdout + refused.stderr
    client.delete(name)


def test_drift_leads_to_a_promoted_model_and_a_worse_one_is_not_promoted(world: World, tmp_path: Path) -> None:
    command, client = world.command, world.client
    begun = time.monotonic()
    name = "summer"
    winter_model_serves(client, name, world.reference)
    with july(command.home, name):
        asked = setup(tmp_path, "spring", world.h2o, name, deployment=name, canary={"patienceMinutes": 8})
        early = command.tidegate("retrain", name, "--setup", asked, "--when-drifted", "--min-requests", "100000000")
        assert (early.returncode, early.stdout[:7]) == (0, "Not due"), early.stdout + early.stderr
        until_due(command, name)
        done = command.tidegate("retrain", name, "--setup", asked, "--when-drifted", *LOOP, "--output", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert "drift in" in report["why"]
        assert "temp" in report["why"]
        (outcome,) = report["outcomes"]
        assert outcome["state"] == "promoted"
        compared = outcome["evaluation"]
        assert compared["verdict"] == "pass"
        assert compared["interval"][1] < 0
        assert compared["challenger"] < compared["stable"] - 0.02
        assert compared["rows"] > 5_000
        # Stable's own run is on record, so what it knows is no fresh row.
        assert compared["stableUntil"].startswith("2013-02")
        assert client.registry.version(f"models:/{name}@champion")["version"] == 1
        stable = client.status(name)["stable"]
        assert client.history(name)["rollouts"][-1]["id"] == outcome["rollout"]
        assert time.monotonic() - begun < 900

        # July is what the new model is made for.
        assert not until_read(client, name, stable) & {"moderate", "large"}

        # A second run, whose model knows less than the one that was just promoted.
        worse = setup(tmp_path, "worse", world.h2o, name, deployment=name, configurations=[STUMP])
        limited = command.tidegate("retrain", name, "--setup", worse)
        assert limited.returncode == 4
        assert "nothing is due until" in limited.stderr
        done = command.tidegate("retrain", name, "--setup", worse, "--force")
        assert done.returncode == 3, done.stdout + done.stderr
        assert "models:/summer/2: not better than stable: logloss" in done.stdout
    report = json.loads(command.pipeline("report", "--output", "json").stdout)
    (outcome,) = report["outcomes"]
    assert (outcome["state"], outcome["evaluation"]["verdict"], outcome["rollout"]) == ("not_better", "fail", None)
    assert outcome["evaluation"]["interval"][0] > 0
    assert client.status(name)["stable"] == stable
    assert client.registry.version(f"models:/{name}@champion")["version"] == 1
    # The next run sees it, when the first limit is over, too.
    claimed = command.pipeline("claim", name, "--cool-down-hours", "0")
    assert "not better than stable; nothing is due until" in claimed.stdout
    client.delete(name)


def test_a_run_that_is_killed_while_its_rollout_is_under_way_finds_it_again(world: World, tmp_path: Path) -> None:
    command, client = world.command, world.client
    name = "killed"
    winter_model_serves(client, name, world.reference)
    asked = setup(tmp_path, "killed-spring", world.h2o, name, deployment=name, canary={"patienceMinutes": 8})
    process = command.start("tidegate_pipeline", "retrain", asked)
    try:
        deadline = time.monotonic() + 300
        while len(client.history(name)["rollouts"]) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    report = json.loads(command.pipeline("report", "--output", "json").stdout)
    assert report["outcomes"][0]["state"] == "on_trial"
    refused = command.pipeline("claim", name, "--cool-down-hours", "0")
    assert "is on trial" in refused.stdout
    with july(command.home, name):
        done = command.tidegate("retrain", name, "--setup", asked, "--run", report["run"])
    assert done.returncode == 0, done.stdout + done.stderr
    rollouts = client.history(name)["rollouts"]
    assert [one["phase"] for one in rollouts] == ["promoted", "promoted"]
    assert f"rollout {rollouts[-1]['id']} of {name}" in done.stdout
    client.delete(name)


def test_a_model_that_the_controller_takes_back_is_on_record_as_rolled_back(world: World, tmp_path: Path) -> None:
    command, client = world.command, world.client
    name = "taken-back"
    winter_model_serves(client, name, world.reference)
    # Nobody asks, so nothing is measured, and what is not measured in time goes back.
    patient = {"patienceMinutes": 5, "request": {"analysis": {"stepDuration": "2s", "onInconclusive": "rollback"}}}
    asked = setup(tmp_path, "taken-back", world.h2o, name, deployment=name, canary=patient)
    done = command.tidegate("retrain", name, "--setup", asked)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "rolled back, rollout" in done.stdout
    assert len(client.history(name)["rollouts"]) == 2
    client.delete(name)


def test_where_no_cluster_answers_nothing_counts_as_a_retraining(world: World, tmp_path: Path) -> None:
    command = world.command
    asked = setup(tmp_path, "nobody", f"http://127.0.0.1:{free_port()}", "nobody", deployment="nobody")
    done = command.tidegate("retrain", "nobody", "--setup", asked)
    assert done.returncode == 6
    assert "the H2O cluster does not answer" in done.stderr
    assert json.loads(command.pipeline("claim", "nobody", "--output", "json").stdout)["run"] is not None


def test_the_seasons_are_what_the_tests_take_them_for() -> None:
    """The drift is there: the middle half of the temperatures of July is above that of the winter."""
    winter, summer = season("2013-01-01", "2013-03-01"), season("2013-07-05", "2013-08-01")
    assert summer.temp.quantile(0.25) > winter.temp.quantile(0.75) + 20
    assert summer.late.mean() > winter.late.mean() + 0.05
