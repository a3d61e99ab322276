"""SIGKILL of controller, replica and gateway: users notice nothing that can be helped, and the rollout goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Tidegate, belonging_to, eventually
from tidegate.controller import launch
from tidegate.gateway.base import DEFAULT_ENVOYS

pytestmark = pytest.mark.e2e

NAME = "arrivals"


@pytest.fixture(scope="module")
def serving(tidegate: Tidegate, good_model: Path) -> Tidegate:
    assert tidegate.ended(tidegate.deploy(NAME, good_model))["outcome"] == "promoted"
    return tidegate


def kill(process: psutil.Process) -> None:
    process.kill()
    process.wait(10)


def test_a_killed_controller_costs_no_request_and_the_rollout_goes_on_with_the_same_replicas(
    serving: Tidegate, better_model: Path
) -> None:
    traffic = serving.traffic(NAME)
    rollout = serving.deploy(NAME, better_model)
    serving.in_phase(NAME, "analyzing")
    before = serving.pids(NAME, 1) | serving.pids(NAME, 2)
    assert len(before) == 4
    kill(serving.controller())
    seen = len(traffic.records())
    eventually("traffic without a controller", lambda: len(traffic.records()) > seen + 60)
    assert launch.running(serving.home) is None
    serving.start()
    report = serving.ended(rollout)
    assert report["outcome"] == "promoted", report["reason"]
    assert serving.pids(NAME, 2) <= before
    records = traffic.stop()
    assert [record for record in records if record.failed] == []


def test_a_killed_replica_is_routed_around_and_replaced(serving: Tidegate) -> None:
    stable = serving.status(NAME)["stable"]
    before = serving.pids(NAME, stable)
    traffic = serving.traffic(NAME)
    victim = min(before)
    kill(psutil.Process(victim))
    eventually("a new replica", lambda: victim not in (now := serving.pids(NAME, stable)) and len(now) == len(before))
    eventually("both ready", lambda: serving.status(NAME)["replicas"][str(stable)]["ready"] == 2)
    records = traffic.stop()
    assert [record for record in records if record.failed] == []
    assert serving.status(NAME)["replicas"][str(stable)]["restarts"] == 1


def test_a_candidate_whose_replicas_keep_dying_is_rolled_back(serving: Tidegate, good_model: Path) -> None:
    stable = serving.status(NAME)["stable"]
    traffic = serving.traffic(NAME, rate=20)
    checks = {"readyWithin": "60s", "maxRestarts": 1}
    other = {"latencyP99": "300ms", "availability": "99%"}
    rollout = serving.deploy(NAME, good_model, healthChecks=checks, servingRequirements=other, steps=[1, 100])
    candidate = serving.in_phase(NAME, "baseline", "analyzing")["candidate"]

    def killed_until_taken_back() -> bool:
        for pid in serving.pids(NAME, candidate):
            if psutil.pid_exists(pid):
                psutil.Process(pid).kill()
        return serving.status(NAME)["candidate"] is None

    eventually("the rollback", killed_until_taken_back)
    report = serving.ended(rollout)
    assert report["outcome"] == "rolled_back", report["reason"]
    assert serving.status(NAME)["stable"] == stable
    failed = [record for record in traffic.stop() if record.failed]
    assert [record.revision for record in failed if record.revision == stable] == []


def test_a_killed_gateway_is_one_of_several_and_is_started_again(serving: Tidegate) -> None:
    stable = serving.status(NAME)["stable"]
    traffic = serving.traffic(NAME)
    for _ in range(4):
        envoys = gateways_of(serving.home)
        assert len(envoys) == DEFAULT_ENVOYS
        seen = len(traffic.records())
        kill(envoys[0])
        eventually("requests", lambda seen=seen: len(traffic.records()) > seen + 50)
        eventually("all", lambda: len(gateways_of(serving.home)) == DEFAULT_ENVOYS)
    failed = [record for record in traffic.stop() if record.failed]
    # What it held: with one gateway a second of requests failed at each kill.
    assert len(failed) <= 4 * 2, failed
    assert serving.status(NAME)["stable"] == stable


def test_gateways_that_are_all_killed_are_started_again_with_the_same_split(serving: Tidegate) -> None:
    stable = serving.status(NAME)["stable"]
    for envoy in gateways_of(serving.home):
        kill(envoy)
    traffic = serving.traffic(NAME)
    eventually("answers again", lambda: any(not record.failed for record in traffic.records()))
    records = traffic.stop()
    assert records[-1].revision == stable
    assert not records[-1].failed


def test_down_ends_everything_and_up_brings_back_what_was_served(serving: Tidegate) -> None:
    stable = serving.status(NAME)["stable"]
    launch.stop(serving.home)
    serving.start()
    eventually("the replicas", lambda: serving.status(NAME)["replicas"].get(str(stable), {}).get("ready") == 2)
    traffic = serving.traffic(NAME)
    assert {record.revision for record in traffic.stop()} == {stable}


def gateways_of(home: Path) -> list[psutil.Process]:
    found = [process for process in psutil.process_iter(["name", "cmdline"]) if _is_gateway_of(process, home)]
    return sorted(found, key=lambda process: process.pid)


def _is_gateway_of(process: psutil.Process, home: Path) -> bool:
    words = process.info["cmdline"] or []
    return bool(words) and "envoy" in Path(words[0]).name and any(str(home) in word for word in words)


def test_down_ends_a_controller_that_is_only_just_starting(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "tidegate.api", "--home", str(home), "--port", "0", "--gateway-port", "0"]
    starting = subprocess.Popen(command, start_new_session=True)
    try:
        eventually("a controller that holds the lock", (home / "controller.lock").exists)
        assert not (home / "controller.json").exists()
        ended = launch.stop(home)
        assert f"controller (pid {starting.pid})" in ended
        assert starting.wait(10) is not None
        eventually("no process left behind", lambda: not belonging_to(home), 15)
    finally:
        starting.kill()
        starting.wait()
        launch.stop(home)
