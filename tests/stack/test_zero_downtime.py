"""200 requests a second through HTTPS, while one thing after the other is replaced or fails: no prediction fails."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from examples.flights import data
from examples.flights.mojos import recipes
from tests.stack.conftest import Stack, docker, eventually
from tests.support.open_loop import CONNECTIONS, Answer, OpenLoop
from tidegate import mojo

NAME = "steady"
RATE = 200
REPLICAS = 2
#: Of failing PostgreSQL.
AWAY_SECONDS = 30.0
#: Users go on for so long after each event.
QUIET_SECONDS = 5.0
DOCUMENT = {
    "name": NAME,
    "modelArtifact": {"path": "/models/arrivals-v1.zip"},
    "servingRequirements": {"latencyP99": "2s", "throughput": f"{RATE}rps"},
    "infrastructure": {"platform": "compose", "resources": {"replicas": REPLICAS}},
    # So that their failure could be felt.
    "cache": {"store": "redis"},
    "predictionLog": {"sink": "store:"},
}
#: With a rollout by steps, since there is a stable revision.
SECOND = {**DOCUMENT, "modelArtifact": {"path": "/models/arrivals-v2.zip"}}
STEPS = ("--steps", "25,100", "--min-requests", "200", "--baseline", "3s", "--step-duration", "2m")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return data.traffic(data.load_flights(), 600, 11)


@pytest.fixture(scope="module")
def expected(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """What each revision answers to each row."""
    return {str(recipe.version): mojo.load(recipe.path).predict(rows) for recipe in recipes.RECIPES[:2]}


@pytest.fixture(scope="module")
def users(stack: Stack, rows: list[dict[str, Any]]) -> Iterator[OpenLoop]:
    """Users of the first version, from before the first event to after the last one."""
    deploy(stack, DOCUMENT)
    context = ssl.create_default_context(cafile=str(stack.secrets / "tls" / "tls.crt"))
    bodies = [json.dumps({"records": [row]}).encode() for row in rows]
    try:
        with OpenLoop(stack.https_port, f"/{NAME}/predict", bodies, RATE, context) as sending:
            time.sleep(QUIET_SECONDS)
            assert sending.failed() == []
            yield sending
    finally:
        stack.try_compose("exec", "-T", "tidegate", "tidegate", "delete", NAME, "--yes")


@pytest.fixture
def nothing_failed(request: pytest.FixtureRequest, users: OpenLoop, expected: dict[str, list[Any]]) -> Iterator[None]:
    """Users go on for a while after the event; whatever they were answered since before it was right."""
    before, begun = len(users.answers), time.monotonic()
    yield
    time.sleep(QUIET_SECONDS)
    answers = users.answers[before:]
    seconds = time.monotonic() - begun
    slowest = max(answer.seconds for answer in answers)
    resent = sum(answer.was_resent for answer in answers)
    closes = request.node.get_closest_marker("closes_connections") is not None
    assert resent <= (CONNECTIONS if closes else 0), f"{resent} sent twice, since their connections had been closed"
    told = f"{len(answers)} answers in {seconds:.0f} s, slowest {slowest:.2f} s, sent twice {resent}"
    print(f"\n{request.node.name}: {told}")
    wrong = [answer for answer in answers if not is_right(answer, expected)]
    assert wrong == [], f"{len(wrong)} of {len(answers)}: {wrong[:3]}"
    assert answers


def is_right(answer: Answer, expected: dict[str, list[Any]]) -> bool:
    if answer.status != 200:
        return False
    listed = expected[answer.headers["x-tidegate-revision"]]
    return bool(json.loads(answer.said)["predictions"] == [listed[answer.number % len(listed)]])


def deploy(stack: Stack, document: dict[str, Any], *options: str) -> dict[str, Any]:
    words = ("tidegate", "deploy", "--file", "-", "--output", "json", *options)
    told: dict[str, Any] = json.loads(stack.run("tidegate", *words, given=json.dumps(document), seconds=400))
    return told


def replicas(stack: Stack) -> dict[str, str]:
    """Return the ids of the deployment's containers that run, by name."""
    ours = ("--filter", f"label=tidegate.deployment={NAME}", "--filter", f"label=tidegate.project={stack.project}")
    listed = docker("ps", "--no-trunc", *ours, "--format", "{{.Names}} {{.ID}}").splitlines()
    return {name: found for name, found in map(str.split, sorted(listed))}  # noqa: C416 -- pairs, for the types


def are_ready(stack: Stack) -> bool:
    done = stack.try_compose("exec", "-T", "tidegate", "tidegate", "status", NAME, "--output", "json")
    if done.returncode:
        return False
    told = json.loads(done.stdout)
    return bool(told["replicas"].get(str(told["stable"]), {}).get("ready") == REPLICAS)


def started(stack: Stack, service: str) -> str:
    return str(stack.inspect(service)["State"]["StartedAt"])


@pytest.mark.usefixtures("nothing_failed")
def test_another_model_takes_over_by_a_canary(stack: Stack, users: OpenLoop) -> None:
    before = len(users.answers)
    told = deploy(stack, SECOND, *STEPS)
    assert told["rollout"]["phase"] == "promoted", told["rollout"]
    eventually("answers of the second alone", lambda: _revisions(users, -RATE) == {"2"})
    assert _revisions(users, before) == {"1", "2"}


def _revisions(users: OpenLoop, since: int) -> set[str]:
    return {answer.headers.get("x-tidegate-revision", "") for answer in users.answers[since:]}


@pytest.mark.closes_connections
@pytest.mark.usefixtures("nothing_failed")
def test_nginx_reads_its_files_anew(stack: Stack) -> None:
    workers = _workers(stack)
    stack.compose("kill", "--signal", "HUP", "nginx")
    eventually("new workers", lambda: _workers(stack) - workers)


def _workers(stack: Stack) -> set[str]:
    lines = docker("top", stack.inspect("nginx")["Id"], "-eo", "pid,args").splitlines()
    return {line.split()[0] for line in lines if "worker process" in line and "shutting" not in line}


@pytest.mark.usefixtures("nothing_failed")
def test_the_controllers_container_is_replaced(stack: Stack) -> None:
    before, gateway, serving = stack.inspect("tidegate")["Id"], started(stack, "gateway"), replicas(stack)
    envoys = _envoys(stack)
    stack.compose("up", "--detach", "--wait", "--no-deps", "--force-recreate", "tidegate", seconds=300)
    assert stack.inspect("tidegate")["Id"] != before
    assert (started(stack, "gateway"), replicas(stack), _envoys(stack)) == (gateway, serving, envoys)
    eventually("both ready", lambda: are_ready(stack))


def _envoys(stack: Stack) -> set[str]:
    lines = docker("top", stack.inspect("gateway")["Id"], "-eo", "pid,args").splitlines()
    found = {line.split()[0] for line in lines if "--config-path" in line}
    assert len(found) == 2
    return found


@pytest.mark.usefixtures("nothing_failed")
def test_the_controller_is_killed(stack: Stack) -> None:
    home = "/var/lib/tidegate/controller.json"
    first, envoys = json.loads(stack.run("tidegate", "cat", home))["pid"], _envoys(stack)
    stack.run("tidegate", "python", "-c", f"import os; os.kill({first}, 9)")

    def another() -> bool:
        told = json.loads(stack.try_compose("exec", "-T", "tidegate", "cat", home).stdout or "{}")
        return bool(told.get("pid", first) != first)

    eventually("another controller", another)
    eventually("both ready", lambda: are_ready(stack))
    assert _envoys(stack) == envoys


@pytest.mark.usefixtures("nothing_failed")
def test_the_parent_of_the_envoys_is_killed(stack: Stack) -> None:
    find = (
        "import psutil; print(*[p.pid for p in psutil.process_iter(['cmdline'])"
        " if 'tidegate.gateway.parent' in (p.info['cmdline'] or ())])"
    )
    envoys, before = _envoys(stack), stack.run("gateway", "python", "-c", find).split()
    stack.run("gateway", "python", "-c", f"import os; os.kill({before[0]}, 9)")
    eventually("another parent", lambda: stack.run("gateway", "python", "-c", find).split() not in ([], before))
    assert _envoys(stack) == envoys


@pytest.mark.usefixtures("nothing_failed")
def test_each_replica_is_replaced(stack: Stack) -> None:
    for name, found in replicas(stack).items():
        docker("kill", found)
        eventually(f"another {name}", partial(_is_another, stack, name, found))
        eventually("all ready", lambda: are_ready(stack))


def _is_another(stack: Stack, name: str, before: str) -> bool:
    return replicas(stack).get(name) not in (None, before)


@pytest.mark.usefixtures("nothing_failed")
def test_redis_is_started_anew(stack: Stack) -> None:
    before = started(stack, "redis")
    stack.compose("restart", "redis")
    assert started(stack, "redis") != before


@pytest.mark.usefixtures("nothing_failed")
def test_postgresql_answers_nobody_for_a_while(stack: Stack) -> None:
    stack.compose("pause", "postgres")
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        stack.compose("unpause", "postgres")
    eventually("the controller answers again", lambda: are_ready(stack))


@pytest.mark.usefixtures("nothing_failed")
def test_postgresql_is_down_for_a_while(stack: Stack) -> None:
    before = started(stack, "postgres")
    stack.compose("stop", "postgres")
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        stack.compose("start", "postgres")
    assert started(stack, "postgres") != before
    eventually("the controller answers again", lambda: are_ready(stack))


def test_every_request_that_was_sent_was_answered(users: OpenLoop) -> None:
    users.__exit__()
    assert len(users.answers) == users.sent >= 0.9 * RATE * users.seconds
    assert sorted(answer.number for answer in users.answers) == list(range(users.sent))
    assert users.failed() == []
