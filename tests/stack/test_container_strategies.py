"""Replicas as containers, with what else a deployment may ask for: workers, gRPC, a cache, a log, and each strategy."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from examples.flights import data
from examples.flights.mojos import recipes
from tests.stack.conftest import Stack, docker, eventually
from tests.stack.users import Users, over_grpc, replicas
from tidegate import mojo

NAME = "various"
DEPLOY_SECONDS = 900.0
WAITS_FOR_A_PERSON = 7
RESOURCES: dict[str, Any] = {"replicas": 1}


def request(version: int, **further: Any) -> str:
    document = {
        "name": NAME,
        "modelArtifact": {"path": f"/models/arrivals-v{version}.zip"},
        "servingRequirements": {"latencyP99": "2s", "throughput": "40rps"},
        "infrastructure": {"platform": "compose", "resources": RESOURCES},
        "analysis": {"minRequests": 20, "baseline": "1s", "stepDuration": "3m"},
        "healthChecks": {"readyWithin": "5m"},
    }
    return json.dumps({**document, **further})


def deploy(stack: Stack, document: str, *, ends_with: int = 0) -> str:
    words = ("exec", "-T", "tidegate", "tidegate", "deploy", "-f", "-", "--output", "json")
    done = stack.try_compose(*words, given=document, seconds=DEPLOY_SECONDS)
    assert done.returncode == ends_with, done.stdout + done.stderr
    return done.stdout


def status(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.run("tidegate", "tidegate", "status", NAME, "--output", "json"))
    return found


def of_revision(stack: Stack, revision: int) -> list[str]:
    return [name for name in replicas(stack, everything=True) if name.startswith(f"{NAME}.{revision}.")]


def stable_alone(stack: Stack) -> bool:
    """Whether the containers are those of stable, and no others."""
    return list(replicas(stack, everything=True)) == [f"{NAME}.{status(stack)['stable']}.0"]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return data.traffic(data.load_flights(), 300, 11)


@pytest.fixture(scope="module")
def url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.environment['EDGE_PORT']}/{NAME}"


@pytest.fixture(scope="module", autouse=True)
def deployed(stack: Stack) -> Iterator[None]:
    """The first version: two workers in one container, which keep answers in Redis and log them to PostgreSQL."""
    resources = {"platform": "compose", "resources": {**RESOURCES, "workers": 2}}
    deploy(stack, request(1, infrastructure=resources, cache={"store": "redis"}, predictionLog={"sink": "store:"}))
    yield
    stack.try_compose("exec", "-T", "tidegate", "tidegate", "delete", NAME, "--yes")
    # Other tests count the containers.
    eventually("the end of all", lambda: replicas(stack, everything=True) == {})


def workers(stack: Stack) -> dict[int, int]:
    """Return the process of each worker, the newest, as its supervisor said when it was started."""
    lines = [
        json.loads(line) for line in stack.run("tidegate", "tidegate", "logs", NAME, "--lines", "10000").splitlines()
    ]
    return {line["worker"]: line["pid"] for line in lines if line["message"] == "worker started"}


def test_a_container_has_several_workers_and_one_that_dies_is_started_again(
    stack: Stack, url: str, rows: list[dict[str, Any]]
) -> None:
    first = eventually("both workers", lambda: found if len(found := workers(stack)) == 2 else None)
    docker("exec", replicas(stack)[f"{NAME}.1.0"], "python", "-c", f"import os; os.kill({first[0]}, 9)")
    eventually("another worker", lambda: workers(stack)[0] != first[0])
    assert workers(stack)[1] == first[1]
    # Counted by the supervisor in the folder that the container shares with the controller.
    eventually("its death on record", lambda: status(stack)["replicas"]["1"]["restarts"] == 1)
    assert status(stack)["replicas"]["1"]["replicas"][0]["last_exit"] == "a worker died"
    with Users(f"{url}/predict", rows) as sent:
        eventually("an answer", lambda: any(answer[1] == 200 for answer in sent.answers))


def test_grpc_reaches_a_container(stack: Stack, rows: list[dict[str, Any]]) -> None:
    expected = mojo.load(recipes.RECIPES[0].path).predict(rows[:5])
    assert over_grpc(stack, NAME, rows[:5]) == [row["predict"] for row in expected]


def test_an_answer_is_kept_in_redis_and_given_out_again(stack: Stack, url: str, rows: list[dict[str, Any]]) -> None:
    expected = mojo.load(recipes.RECIPES[0].path).predict(rows[-1:])

    def hit() -> bool:
        answer = httpx.post(f"{url}/predict", json={"records": rows[-1:]}, trust_env=False, timeout=30)
        assert answer.json()["predictions"] == expected
        # Where looking up costs more than it saves the cache is left aside for a while.
        return bool(re.search(r"cache;desc=hit", answer.headers["server-timing"]))

    eventually("an answer out of the cache", hit)
    (own,) = json.loads(docker("inspect", replicas(stack)[f"{NAME}.1.0"]))
    secrets = sorted(mount["Destination"] for mount in own["Mounts"] if "/run/secrets" in mount["Destination"])
    assert secrets == ["/run/secrets/redis_password", "/run/secrets/replica_password"]
    assert not any("redis://" in variable for variable in own["Config"]["Env"])


def test_predictions_are_logged_to_the_store(stack: Stack, url: str, rows: list[dict[str, Any]]) -> None:
    mine = str(uuid.uuid4())
    headers = {"x-request-id": mine}
    answer = httpx.post(f"{url}/predict", json={"records": rows[:1]}, headers=headers, trust_env=False, timeout=30)

    def logged() -> list[dict[str, Any]]:
        words = ("predictions", NAME, "--request", mine, "--output", "json")
        found: list[dict[str, Any]] = json.loads(stack.run("tidegate", "tidegate", *words))["predictions"]
        return found

    (one,) = eventually("the prediction in the store", logged)
    assert one["revision"] == 1
    assert one["outputs"]["predict"] == [answer.json()["predictions"][0]["predict"]]


@pytest.mark.parametrize(
    ("version", "further"),
    [
        (2, {"deploymentStrategy": "shadow", "steps": [{"shadow": 100}]}),
        (1, {"deploymentStrategy": "blue-green", "blueGreen": {"preview": "2s", "bake": "2s"}}),
        (2, {"deploymentStrategy": "rolling"}),
    ],
    ids=["shadow", "blue-green", "rolling"],
)
def test_a_good_candidate_is_promoted_and_no_request_fails(
    stack: Stack, url: str, rows: list[dict[str, Any]], version: int, further: dict[str, Any]
) -> None:
    before = status(stack)["stable"]
    with Users(f"{url}/predict", rows) as sent:
        sent.answered(20)
        told = json.loads(deploy(stack, request(version, **further)))
        sent.answered(20)
    assert told["rollout"]["phase"] == "promoted", told["rollout"]
    assert sent.failed() == []
    assert {answer[2] for answer in sent.answers} == {str(before), str(status(stack)["stable"])}
    eventually("the old revision's end", lambda: stable_alone(stack))


def test_arms_of_a_test_have_containers_until_one_is_chosen(stack: Stack, url: str, rows: list[dict[str, Any]]) -> None:
    champion = int(status(stack)["stable"])
    arms = [
        {"name": name, "weight": 30, "modelArtifact": {"path": f"/models/arrivals-v{version}.zip"}}
        for name, version in (("b", 1), ("c", 2))
    ]
    document = request(2, deploymentStrategy="ab-test", abTest={"arms": arms})
    with Users(f"{url}/predict", rows) as sent:
        sent.answered(20)
        deploy(stack, document, ends_with=WAITS_FOR_A_PERSON)
        first, second = champion + 1, champion + 2
        assert len(of_revision(stack, first)) == len(of_revision(stack, second)) == 1
        all_three = {str(revision) for revision in (champion, first, second)}
        eventually("answers of each arm", lambda: {answer[2] for answer in sent.answers} == all_three)
        stack.run("tidegate", "tidegate", "promote", NAME, "--arm", "b", "--wait", seconds=DEPLOY_SECONDS)
        sent.answered(20)
    assert sent.failed() == []
    assert status(stack)["stable"] == first
    eventually("the end of the others", lambda: stable_alone(stack))
