"""Replicas as containers: every one of a revision can be killed, the controller too, and users notice nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from examples.flights import data
from examples.flights.mojos.recipes import LARGE_AIRLINES
from tests.stack.conftest import Stack, docker, eventually
from tests.stack.users import Users, replicas

NAME = "flown"
OPTIONS = ("--target", "compose", "--name", NAME, "--p99", "2s", "--throughput", "40rps")
STEPS = ("--steps", "25,100", "--min-requests", "40", "--baseline", "3s", "--step-duration", "2m")
ROLLED_BACK = 3


@pytest.fixture(scope="module")
def users(stack: Stack) -> Callable[[list[dict[str, Any]]], Users]:
    return lambda rows: Users(f"http://127.0.0.1:{stack.environment['EDGE_PORT']}/{NAME}/predict", rows)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return data.traffic(data.load_flights(), 600, 11)


@pytest.fixture(scope="module", autouse=True)
def deployed(stack: Stack) -> Iterator[dict[str, Any]]:
    """The first version, in two containers."""
    words = ("tidegate", "deploy", "/models/arrivals-v1.zip", *OPTIONS, "--replicas", "2", "--output", "json")
    yield json.loads(stack.run("tidegate", *words))
    stack.try_compose("exec", "-T", "tidegate", "tidegate", "delete", NAME, "--yes")


def status(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.run("tidegate", "tidegate", "status", NAME, "--output", "json"))
    return found


def test_a_revision_runs_in_containers_of_the_project(stack: Stack, deployed: dict[str, Any]) -> None:
    found = replicas(stack)
    assert sorted(found) == [f"{NAME}.1.0", f"{NAME}.1.1"]
    config = deployed["deploymentConfig"]
    assert (config["platform"], config["replicas"]) == ("compose", 2)
    assert config["containerImage"] == stack.inspect("agent")["Config"]["Image"]


def test_a_replica_may_as_little_as_a_service(stack: Stack, deployed: dict[str, Any]) -> None:
    (own,) = json.loads(docker("inspect", replicas(stack)[f"{NAME}.1.0"]))
    host = own["HostConfig"]
    assert own["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert set(own["NetworkSettings"]["Networks"]) == {f"{stack.project}_backend"}
    writable = [mount["Destination"] for mount in own["Mounts"] if mount["RW"]]
    assert writable == ["/var/lib/tidegate/containers"]
    # No password of a deployment that neither logs, caches nor looks features up, and never the controller's.
    assert not any("/run/secrets" in mount["Destination"] for mount in own["Mounts"])
    assert not own["NetworkSettings"]["Ports"].get("8080/tcp")


def test_the_controller_cannot_reach_the_engine(stack: Stack) -> None:
    assert not any("docker.sock" in mount["Source"] for mount in stack.inspect("tidegate")["Mounts"])
    agent = stack.inspect("agent")
    assert set(agent["NetworkSettings"]["Networks"]) == {"none"}
    ask = "import httpx; h = httpx.Client(transport=httpx.HTTPTransport(uds='/run/tidegate-agent/agent.sock'));"
    asked = {"deployment": "x", "revision": 1, "index": 0, "image": "alpine"}
    told = stack.run("tidegate", "python", "-c", f"{ask} print(h.post('http://agent/v1/replicas', json={asked}).text)")
    assert json.loads(told)["error"]["code"] == "invalid_input"
    removed = "print(h.delete('http://agent/v1/replicas/../tidegate').status_code)"
    assert int(stack.run("tidegate", "python", "-c", f"{ask} {removed}")) in (400, 404, 405)


def test_what_a_replica_writes_is_in_its_log(stack: Stack) -> None:
    assert stack.run("tidegate", "tidegate", "logs", NAME, "--replica", "1").strip()


def test_a_killed_replica_is_started_again_and_no_request_fails(
    stack: Stack, users: Callable[..., Users], rows: list[dict[str, Any]]
) -> None:
    before = replicas(stack)
    with users(rows) as sent:
        sent.answered(40)
        docker("kill", before[f"{NAME}.1.0"])
        eventually("another copy", lambda: replicas(stack).get(f"{NAME}.1.0") not in (None, before[f"{NAME}.1.0"]))
        eventually("both ready", lambda: _ready(stack) == 2)
        sent.answered(40)
    assert sent.failed() == []
    told = status(stack)["replicas"]["1"]["replicas"][0]
    assert (told["restarts"], told["last_exit"]) == (1, "SIGKILL")
    assert replicas(stack)[f"{NAME}.1.1"] == before[f"{NAME}.1.1"]


def test_a_killed_controller_finds_its_replicas_again_and_no_request_fails(
    stack: Stack, users: Callable[..., Users], rows: list[dict[str, Any]]
) -> None:
    before = replicas(stack)
    home = "/var/lib/tidegate/controller.json"
    first = json.loads(stack.run("tidegate", "cat", home))["pid"]
    with users(rows) as sent:
        sent.answered(40)
        stack.run("tidegate", "python", "-c", f"import os; os.kill({first}, 9)")
        eventually(
            "another controller",
            lambda: (
                json.loads(stack.try_compose("exec", "-T", "tidegate", "cat", home).stdout or "{}").get("pid", first)
                != first
            ),
        )
        eventually("both ready", lambda: _ready(stack) == 2)
        sent.answered(40)
    assert sent.failed() == []
    assert replicas(stack) == before


def test_an_agent_that_is_replaced_stops_nothing(
    stack: Stack, users: Callable[..., Users], rows: list[dict[str, Any]]
) -> None:
    before = replicas(stack)
    with users(rows) as sent:
        stack.compose("up", "--detach", "--wait", "--no-deps", "--force-recreate", "agent", seconds=300)
        sent.answered(40)
    assert sent.failed() == []
    assert replicas(stack) == before
    assert _ready(stack) == 2


def test_a_good_candidate_is_promoted_and_no_request_fails(
    stack: Stack, users: Callable[..., Users], rows: list[dict[str, Any]]
) -> None:
    words = ("tidegate", "deploy", "/models/arrivals-v2.zip", *OPTIONS, *STEPS, "--output", "json")
    with users(rows) as sent:
        sent.answered(40)
        told = json.loads(stack.compose("exec", "-T", "tidegate", *words, seconds=400))
        sent.answered(40)
    assert told["rollout"]["phase"] == "promoted", told["rollout"]
    assert sent.failed() == []
    assert {answer[2] for answer in sent.answers} == {"1", "2"}
    eventually("the old revision's end", lambda: sorted(replicas(stack)) == [f"{NAME}.2.0", f"{NAME}.2.1"])
    assert replicas(stack, everything=True) == replicas(stack)


def test_a_bad_candidate_is_taken_back_and_nothing_else_fails(
    stack: Stack, users: Callable[..., Users], rows: list[dict[str, Any]]
) -> None:
    # The third refuses airlines that it was not trained on; here every other flight or so is of one of them.
    others = [row for row in rows if row["carrier"] not in LARGE_AIRLINES]
    mixed = [*rows, *(others * len(rows))[: len(rows)]]
    random.Random(5).shuffle(mixed)
    document = json.dumps({"modelArtifact": {"path": "/models/arrivals-v3.zip", "settings": {"strict": True}}})
    words = ("tidegate", "deploy", "-f", "-", "--allow-breaking", *OPTIONS, *STEPS, "--output", "json")
    before = replicas(stack)
    with users(mixed) as sent:
        sent.answered(40)
        done = stack.try_compose("exec", "-T", "tidegate", *words, seconds=400, given=document)
        sent.answered(40)
    assert done.returncode == ROLLED_BACK, done.stdout + done.stderr
    rollout = status(stack)["rollout"]
    assert rollout["phase"] == "rolled_back"
    assert sent.failed()
    assert {answer[2] for answer in sent.failed()} == {str(rollout["to_revision"])}, sent.failed()[:5]
    eventually("the candidate's end", lambda: replicas(stack, everything=True) == before)


def test_a_controllers_container_that_is_replaced_finds_its_replicas(stack: Stack) -> None:
    before = replicas(stack)
    up = ("up", "--detach", "--wait", "--no-deps", "--force-recreate", "tidegate")
    stack.compose(*up, seconds=300)
    eventually("both ready", lambda: _ready(stack) == 2)
    assert replicas(stack) == before


def test_a_gateways_container_that_ends_comes_back_and_the_controllers_with_it(
    stack: Stack, users: Callable[..., Users], rows: list[dict[str, Any]]
) -> None:
    """Whichever of the two the engine tries to start first: the agent starts the controller's where that failed."""
    before = {service: _started(stack, service) for service in ("gateway", "tidegate")}
    # The first process of the container, which others of it may not kill with SIGKILL.
    stack.try_compose("exec", "-T", "gateway", "python", "-c", "import os; os.kill(1, 15)")
    for service, at in before.items():
        eventually(f"another start of {service}", lambda service=service, at=at: _started(stack, service) > at)
        eventually(f"{service} is well", lambda service=service: _is_well(stack, service))
    eventually("both ready", lambda: _ready(stack) == 2)
    with users(rows) as sent:
        sent.answered(50)
    assert sent.failed() == []


def _started(stack: Stack, service: str) -> str:
    return str(stack.inspect(service)["State"]["StartedAt"])


def _is_well(stack: Stack, service: str) -> bool:
    return bool(stack.inspect(service)["State"]["Health"]["Status"] == "healthy")


def test_a_deployment_that_is_deleted_leaves_no_container(stack: Stack) -> None:
    stack.run("tidegate", "tidegate", "delete", NAME, "--yes")
    eventually("the end of all", lambda: replicas(stack, everything=True) == {})


def _ready(stack: Stack) -> int:
    done = stack.try_compose("exec", "-T", "tidegate", "tidegate", "status", NAME, "--output", "json")
    if done.returncode:
        return 0
    told = json.loads(done.stdout)
    return int(told["replicas"].get(str(told["stable"]), {}).get("ready", 0))
