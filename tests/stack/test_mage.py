"""Mage in the stack: its pages through the edge, and a retraining from its API trigger to a model that answers."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from examples.flights import data
from tests.stack.conftest import UP_SECONDS, Stack, docker, eventually
from tests.stack.runs import RUN_SECONDS, ended, in_mage, start

TARGET = "late"
ROWS = 20_000
#: Mage's own pages send it with each request; it is no secret.
API_KEY = "zkWlN0PkIKSN0C11CfUHUj84OT5XOJ6tDZ6bDRO2"


@pytest.fixture
def pages(stack: Stack) -> Iterator[httpx.Client]:
    """Mage as people on this server reach it."""
    url = f"http://127.0.0.1:{stack.environment['MAGE_PORT']}"
    with httpx.Client(base_url=url, headers={"x-api-key": API_KEY}, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def setup(stack: Stack) -> str:
    """A retraining of two models, one for each of two airports; gives its path in the containers."""
    labelled = data.labelled(data.load_flights()).head(ROWS)
    table = labelled[list(data.COLUMNS)].copy()
    table[TARGET] = labelled[data.TARGET].map({1.0: "late", 0.0: "on time"})
    table.to_csv(stack.training / "flights.csv", index=False)
    document = {
        "model": "mage",
        "data": "flights.csv",
        "target": TARGET,
        "segmentBy": "origin",
        "segments": ["EWR", "JFK"],
        "configurations": [{"name": "gbm", "algorithm": "gbm", "parameters": {"ntrees": 5, "max_depth": 3}}],
        "cluster": {"url": "http://h2o:54321", "atOnce": 1},
    }
    (stack.training / "retraining.yaml").write_text(yaml.safe_dump(document))
    for file in stack.training.iterdir():
        file.chmod(0o644)
    return "/training/retraining.yaml"


def test_the_pages_are_reached_through_the_edge_by_who_signs_in(stack: Stack, pages: httpx.Client) -> None:
    assert "<html" in pages.get("/").text
    assert pages.get("/api/pipelines").json()["error"]["code"] in (401, 403)

    def session(password: str) -> Any:
        return pages.post("/api/sessions", json={"session": {"username": "admin", "password": password}}).json()

    assert "error" in session("admin")
    token = session((stack.secrets / "mage_admin_password").read_text().strip())["session"]["token"]
    found = pages.get("/api/pipelines", headers={"cookie": f"oauth_token={token}"}).json()["pipelines"]
    assert {one["uuid"] for one in found} >= {"ingestion", "retraining", "drift_watch"}


def test_websocket_goes_through_the_edge(stack: Stack) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        "GET /websocket/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(stack.environment["MAGE_PORT"])), 30) as edge:
        edge.sendall(request.encode())
        stream = edge.makefile("rb")
        head = b"".join(iter(stream.readline, b"\r\n")).decode()
        assert head.startswith("HTTP/1.1 101 "), head
        expected = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False).digest()
        assert f"sec-websocket-accept: {base64.b64encode(expected).decode()}".lower() in head.lower()
        # A frame of text, with a mask of zeros; then one that comes back, shorter than 64 KiB.
        message = json.dumps({"uuid": "b", "code": "1 + 1"}).encode()
        edge.sendall(bytes([0x81, 0x80 | len(message)]) + bytes(4) + message)
        first, length = stream.read(2)
        assert first == 0x81
        size = int.from_bytes(stream.read(2), "big") if length == 126 else length
        # Who is not signed in runs no code, and is told so.
        answer = json.loads(stream.read(size))
        assert answer["execution_metadata"] == {"block_uuid": "b"}
        assert re.search("Unauthorized access|Private access", answer["data"][0]), answer


def test_a_retraining_is_started_by_its_trigger_trained_on_h2o_registered_and_deployed(
    stack: Stack, pages: httpx.Client, setup: str
) -> None:
    def trigger() -> str:
        found = in_mage(stack, "SELECT id FROM pipeline_schedule WHERE name = 'retrain';")
        return found[0][0] if found else ""

    def trainings() -> int:
        """Return how many pipelines remember; people may read that."""
        told = stack.psql("analyst", "SELECT count(*) FROM pipeline.trainings WHERE state = 'trained';")
        # The first of all runs makes the table.
        return 0 if "does not exist" in told.stderr else int(told.stdout)

    before = trainings()
    url = f"/api/pipeline_schedules/{eventually('the trigger', trigger)}/api_trigger"
    body = {"pipeline_run": {"variables": {"setup": setup}}}
    assert "error" in pages.post(url, json=body, headers={"authorization": "Bearer wrong"}).json()
    token = (stack.secrets / "mage_trigger_token").read_text().strip()
    answer = pages.post(url, json=body, headers={"authorization": f"Bearer {token}"}).json()
    run = int(answer["pipeline_run"]["id"])
    assert ended(stack, run) == "COMPLETED", stack.compose("logs", "--tail", "80", "mage-worker")

    blocks = in_mage(stack, f"SELECT block_uuid, status FROM block_run WHERE pipeline_run_id = {run};")  # noqa: S608 (numbers)
    trained = {name: status for name, status in blocks if name.startswith("train_on_h2o:")}
    assert trained == {"train_on_h2o:ewr-gbm": "COMPLETED", "train_on_h2o:jfk-gbm": "COMPLETED"}
    models = json.loads(stack.run("tidegate", "tidegate", "registry", "list", "--output", "json"))
    assert {"mage-ewr", "mage-jfk"} <= {one["name"] for one in models["models"]}
    assert trainings() == before + 2

    words = ("deploy", "models:/mage-ewr@challenger", "--name", "from-mage", "--p99", "500ms", "--replicas", "1")
    stack.run("tidegate", "tidegate", *words, "--output", "json")
    rows = data.as_rows(data.labelled(data.load_flights()).head(20)[list(data.COLUMNS)])
    edge = f"http://127.0.0.1:{stack.environment['EDGE_PORT']}/from-mage/predict"
    said = httpx.post(edge, json={"records": rows}, trust_env=False)
    assert said.status_code == 200, said.text
    assert {row["predict"] for row in said.json()["predictions"]} <= {"late", "on time"}


def test_a_command_in_the_container_starts_runs_and_workers_share_them(stack: Stack, setup: str) -> None:
    """Who looks first takes a run, so runs are started until both workers had one; no block is run twice."""
    scale = ("up", "--detach", "--wait", "--no-deps", "--no-recreate", "--no-build")
    stack.compose(*scale, "--scale", "mage-worker=2", "mage-worker", seconds=UP_SECONDS)
    try:
        workers = stack.compose("ps", "--quiet", "mage-worker").split()
        assert len(workers) == 2
        # One that takes its time, while others look at it; those that follow end at once, for want of a document.
        long = start(stack, "retraining", setup=setup)
        runs = [long]

        def ran() -> list[list[str]]:
            listed = ", ".join(map(str, runs))
            query = f"SELECT id FROM block_run WHERE pipeline_run_id IN ({listed});"  # noqa: S608 (numbers)
            ours = {f"block_run_{one[0]}" for one in in_mage(stack, query)}
            jobs = [re.findall(r"Run worker for job (\w+)", docker("logs", worker)) for worker in workers]
            return [[job for job in found if job in ours] for found in jobs]

        def shared() -> bool:
            runs.append(start(stack, "retraining", setup="/training/absent.yaml"))
            time.sleep(2)
            return all(ran())

        eventually("work for both", shared, RUN_SECONDS)
        assert ended(stack, long) == "COMPLETED"
        assert {ended(stack, run) for run in runs[1:]} == {"FAILED"}
        both = [job for jobs in ran() for job in jobs]
        assert len(both) == len(set(both)), "a block was run twice"
    finally:
        stack.compose(*scale, "--scale", "mage-worker=1", "mage-worker", seconds=UP_SECONDS)


def test_mages_login_reads_nothing_of_tidegates_and_the_other_way_round(stack: Stack) -> None:
    assert "permission denied" in stack.psql("mage", "SELECT 1;", "tidegate").stderr
    assert "permission denied" in stack.psql("analyst", "SELECT 1;", "mage").stderr
