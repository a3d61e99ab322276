"""Rehearsals of a real deployment: every fault in real replicas behind a real gateway, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SHORT, Tidegate, belonging_to, eventually
from tidegate.client import Client
from tidegate.contract.errors import Conflict, InvalidInput
from tidegate.contract.quantities import Duration, Throughput
from tidegate.controller import launch
from tidegate.controller.home import Home
from tidegate.rehearsal import Settings, rehearse

pytestmark = pytest.mark.e2e

#: Everything that can see something: copies compared, golden requests not even needed.
SAFE = {
    "steps": [{"shadow": 50}, 50, 100],
    "analysis": {**SHORT, "disagreement": "5%", "onInconclusive": "rollback"},
    "infrastructure": {"resources": {"replicas": 1}},
}
HOLEY = {"steps": [50, 100], "infrastructure": {"resources": {"replicas": 1}}}


@pytest.fixture(scope="module")
def serving(tidegate: Tidegate, good_model: Path) -> Tidegate:
    for name, fields in (("safe", SAFE), ("holey", HOLEY)):
        assert tidegate.ended(tidegate.deploy(name, good_model, **fields))["outcome"] == "promoted"
    return tidegate


def stage_of(tidegate: Tidegate) -> Path:
    return Home(tidegate.home).rehearsal


def command(tidegate: Tidegate, *words: str) -> list[str]:
    return [sys.executable, "-m", "tidegate.cli.main", "--home", str(tidegate.home), "rehearse", *words]


@contextmanager
def rehearsing(tidegate: Tidegate, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Begin a rehearsal as a process, and wait until its copies run."""
    process = subprocess.Popen(
        command(tidegate, *words),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        eventually("a copy that runs", lambda: replicas_of(stage_of(tidegate)) or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]
        yield process
    finally:
        process.kill()
        process.communicate()


def replicas_of(stage: Path) -> Sequence[Any]:
    return [process for process in belonging_to(stage) if "tidegate.server" in " ".join(process.cmdline())]


def rolled(tidegate: Tidegate, name: str) -> int:
    with Client.connect(tidegate.home) as client:
        return len(client.history(name)["rollouts"])


def test_all_five_faults_are_taken_back_and_the_users_deployment_never_hears_of_it(serving: Tidegate) -> None:
    before = serving.pids("safe", 1)
    traffic = serving.traffic("safe")
    # A leak of 4Mi takes the process at its 64th copy, which is when so many good copies are let out of the shadow.
    faults = ("errors", "latency", "crash", "wrong-answers", "memory-leak=16Mi")
    settings = Settings(faults, traffic=Throughput.parse("60rps"), time_limit=Duration.parse("2m"))
    told = rehearse(serving.home, "safe", settings)
    records = traffic.stop()
    by_kind = {fault["kind"]: fault for fault in told["faults"]}
    assert list(by_kind) == ["errors", "latency", "crash", "wrong-answers", "memory-leak"]
    assert {kind: fault["ending"] for kind, fault in by_kind.items()} == dict.fromkeys(by_kind, "rolled back")
    assert told["holds"], told["holes"]
    assert by_kind["wrong-answers"]["signals"] == ["disagreement"]
    for fault in by_kind.values():
        assert fault["signals"]
        assert fault["seconds"] >= 0
        assert fault["back_to"] == 1
        assert fault["requests"]["sent"] > 0
        # It was in the shadow still: copies failed, and nobody's request did.
        assert fault["requests"]["bad"] == 0, json.dumps(fault)
    for path in map(Path, told["reports"].values()):
        assert path.read_text()
    assert json.loads(Path(told["reports"]["json"]).read_text())["faults"] == told["faults"]
    assert [record for record in records if record.failed] == []
    assert {record.revision for record in records} == {1}
    assert serving.pids("safe", 1) == before
    assert rolled(serving, "safe") == 1
    assert belonging_to(stage_of(serving)) == []


@pytest.mark.long
def test_a_net_without_eyes_for_answers_has_a_hole_and_is_told_how_to_mend_it(serving: Tidegate) -> None:
    words = ["holey", "--fault", "wrong-answers", "--fault", "errors=50%", "--traffic", "100rps", "--output", "json"]
    done = subprocess.run(command(serving, *words), capture_output=True, text=True, check=False)
    assert done.returncode == 8, done.stderr
    told = json.loads(done.stdout)
    wrong, errors = told["faults"]
    assert wrong["ending"] == "promoted"
    assert wrong["requests"]["wrong"] > 0
    assert any("golden" in sentence for sentence in wrong["advice"])
    assert "nothing in the request of holey can see wrong answers" in done.stderr
    # After a promoted fault the healthy copy is stable again for the next.
    assert (errors["ending"], errors["signals"]) == ("rolled back", ["errors"])
    assert errors["requests"]["failed"] > 0
    assert errors["requests"]["failed_of_stable"] == 0
    assert belonging_to(stage_of(serving)) == []


def test_ctrl_c_leaves_nothing_running(serving: Tidegate) -> None:
    with rehearsing(serving, "safe", "--fault", "errors") as process:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "nothing of it runs on" in said
    assert belonging_to(stage_of(serving)) == []
    assert not (stage_of(serving) / "home").exists()


def test_one_that_was_killed_ends_by_itself(serving: Tidegate) -> None:
    with rehearsing(serving, "safe", "--fault", "errors") as process:
        with pytest.raises(Conflict, match="another rehearsal"):
            rehearse(serving.home, "safe")
        process.kill()
        process.wait(10)
    eventually("its controller, gateway and replicas gone", lambda: not belonging_to(stage_of(serving)))


def test_what_is_left_when_its_controller_was_killed_too_is_ended_by_the_next(serving: Tidegate) -> None:
    stage = stage_of(serving)
    with rehearsing(serving, "safe", "--fault", "errors") as process:
        info = launch.running(stage / "home")
        assert info is not None
        os.kill(info.pid, signal.SIGKILL)
        process.kill()
        process.wait(10)
    assert replicas_of(stage)
    assert launch.left_on_stage(serving.home)
    cleared = subprocess.run(command(serving, "--clear"), capture_output=True, text=True, check=True).stdout
    assert "safe revision 1" in cleared
    assert belonging_to(stage) == []
    assert not launch.left_on_stage(serving.home)


def test_one_that_is_ended_from_outside_says_so(serving: Tidegate) -> None:
    with rehearsing(serving, "safe", "--fault", "errors") as process:
        launch.stop(stage_of(serving) / "home")
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 6, said
    assert "the rehearsal was ended from outside" in said
    assert belonging_to(stage_of(serving)) == []


def test_nothing_is_rehearsed_beside_a_rollout_or_without_a_model_of_its_own(
    serving: Tidegate, better_model: Path
) -> None:
    with pytest.raises(InvalidInput, match="--fault"):
        rehearse(serving.home, "safe", Settings(faults=("flood",)))
    rollout = serving.deploy("holey", better_model, analysis={**SHORT, "baseline": "10m"})
    try:
        with pytest.raises(Conflict, match="a rollout of 'holey' is under way"):
            rehearse(serving.home, "holey")
    finally:
        with serving.client as client:
            client.abort("holey")
        serving.ended(rollout)
