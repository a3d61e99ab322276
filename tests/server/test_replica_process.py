"""A replica as a process: it listens, loads, serves, drains and ends as the target and the gateway rely on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.server.bundles import slow_request, write_bundle_of
from tests.server.processes import DEADLINE_SECONDS, replica, spawn, wait_until
from tests.support import models
from tests.support.mojos import FOLDER, columns_of_rows, expected_of
from tidegate import mojo
from tidegate.artifact.bundle import Bundle
from tidegate.boot import birth_of
from tidegate.runtime.mojo.values import ABSENT
from tidegate.runtime.registry import runtime_names


def h2o_model(path: Path) -> models.TrainedModel:
    """Return a MOJO, what H2O's own scorer answers, and the rows as clients send them."""
    shutil.copyfile(FOLDER / "gbm_enum.zip", path)
    columns, expected = columns_of_rows(), expected_of("gbm_enum")
    texts = {spec.name: spec.datatype == "BYTES" for spec in mojo.load(path).signature.inputs}
    read = {
        name: [None if cell is ABSENT else cell if is_text else float(cell) for cell in columns[name]]
        for name, is_text in texts.items()
    }
    rows = [dict(zip(read, cells, strict=True)) for cells in zip(*read.values(), strict=True)]
    return models.TrainedModel(path, "mojo", {}, {name: np.array(told) for name, told in expected.items()}, rows)


# Each of these starts a process of its own: on one worker they do not start all at once.
KINDS = {
    "sklearn": models.sklearn_classifier,
    "xgboost": models.xgboost_model,
    "lightgbm": models.lightgbm_model,
    "onnx": models.onnx_model,
    "python": models.python_class,
    "mojo": h2o_model,
}
SUFFIXES = {"sklearn": "skops", "xgboost": "ubj", "lightgbm": "txt", "onnx": "onnx", "python": "py", "mojo": "zip"}


#: Replicas of the former are what test_forwarding is about, those of the others what tests/heavy is about.
ELSEWHERE = {"command", "catboost", "mlflow", "pytorch", "tensorflow"}


def test_there_is_a_case_for_every_built_in_runtime() -> None:
    assert set(runtime_names()) - ELSEWHERE <= set(KINDS)
    for name in ELSEWHERE - {"command"}:
        tests = Path(__file__).parents[1] / "heavy" / f"test_{name}.py"
        assert "/predict" in tests.read_text()


@pytest.mark.parametrize("runtime", KINDS)
def test_a_bundle_of_every_runtime_is_served(runtime: str, shelf: Path, tmp_path: Path) -> None:
    trained = KINDS[runtime](shelf / f"every.{SUFFIXES[runtime]}")
    bundle = write_bundle_of(trained, shelf / "bundles")
    rows = [{**row} for row in trained.rows]
    with replica(bundle.folder, tmp_path) as running:
        answer = running.client.post("/predict", json=rows)
        assert answer.status_code == 200, answer.text
        first_output = bundle.signature.outputs[0].name
        expected = trained.expected[first_output].tolist()
        assert [row[first_output] for row in answer.json()["predictions"]] == expected
        infer = running.client.get("/openapi.json").json()["paths"]["/v2/models/flights/infer"]["post"]
        example = infer["requestBody"]["content"]["application/json"]["example"]
        answer = running.client.post("/v2/models/flights/infer", json=example)
        assert answer.json()["outputs"][0]["data"] == expected[: len(bundle.sample)]
        assert running.stop() == 0


def test_state_file_lock_and_headers(quick_bundle: Bundle, tmp_path: Path) -> None:
    with replica(quick_bundle.folder, tmp_path) as running:
        state = json.loads((tmp_path / "state.json").read_bytes())
        assert state["pid"] == running.process.pid
        assert state["born"] == birth_of(running.process.pid)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "log", "state.json"]

        answer = running.client.post("/predict", json=list(quick_bundle.sample), headers={"x-request-id": "r-1"})
        assert answer.headers["x-request-id"] == "r-1"
        assert answer.headers["x-tidegate-revision"] == "3"
        assert answer.headers["server-timing"].startswith("queue;dur=")
        assert running.client.get("/v2/health/live").headers["x-tidegate-revision"] == "3"
        made = running.client.post("/predict", json=list(quick_bundle.sample)).headers["x-request-id"]
        assert len(made) == 32

        second = spawn(quick_bundle.folder, tmp_path)
        assert second.wait(DEADLINE_SECONDS) == 75
        assert json.loads((tmp_path / "state.json").read_bytes()) == state
        assert running.is_ready()

        running.process.kill()
        running.process.wait(DEADLINE_SECONDS)
        (tmp_path / "state.json").unlink()
    with replica(quick_bundle.folder, tmp_path) as again:  # the lock went with the process that was killed
        assert again.is_ready()


def test_after_sigterm_readiness_is_gone_at_once_and_requests_in_flight_finish(
    slow_bundle: Bundle, tmp_path: Path
) -> None:
    with replica(slow_bundle.folder, tmp_path, "--drain-seconds", "1.5") as running:
        answers: list[httpx.Response] = []

        def ask() -> None:
            url = running.client.base_url.join("/predict")
            answers.append(httpx.post(url, json=slow_request(8000), timeout=DEADLINE_SECONDS))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: in_flight(running.client.get("/metrics").text) == 1, "the request is in flight")
        running.process.terminate()
        wait_until(lambda: running.client.get("/v2/health/ready").status_code == 503, "readiness is gone")
        assert running.client.get("/v2/health/live").status_code == 200
        answer = running.client.post("/predict", json=list(slow_bundle.sample))
        assert answer.status_code == 200  # still taken while it drains: not everybody has noticed yet
        assert answer.headers["connection"] == "close"
        assert running.process.wait(DEADLINE_SECONDS) == 0
        asking.join(DEADLINE_SECONDS)
        assert [response.status_code for response in answers] == [200]
        assert len(answers[0].json()["predictions"]) == 8000


def test_a_request_that_takes_longer_than_the_grace_does_not_keep_the_process_alive(
    slow_bundle: Bundle, tmp_path: Path
) -> None:
    options = ("--drain-seconds", "0", "--grace-seconds", "1", "--max-rows", "1000000", "--max-body-mib", "100")
    with replica(slow_bundle.folder, tmp_path, *options) as running:
        url, answers = running.client.base_url.join("/predict"), list[httpx.Response]()

        def ask() -> None:
            answers.append(httpx.post(url, json=slow_request(150_000), timeout=DEADLINE_SECONDS))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: in_flight(running.client.get("/metrics").text) == 1, "the request is in flight")
        assert running.stop() == 0
        asking.join(DEADLINE_SECONDS)
        assert [answer.status_code for answer in answers] == [503]


def in_flight(metrics: str) -> float:
    line = next(line for line in metrics.splitlines() if line.startswith("tidegate_server_requests_in_flight{"))
    return float(line.rpartition(" ")[2])


def test_what_does_not_fit_into_the_queue_is_refused_at_once(slow_bundle: Bundle, tmp_path: Path) -> None:
    with replica(slow_bundle.folder, tmp_path, "--threads", "1", "--queue", "1") as running:
        url = running.client.base_url.join("/predict")
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(url, json=slow_request(2500), timeout=DEADLINE_SECONDS))

        asking = [threading.Thread(target=ask) for _ in range(6)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(DEADLINE_SECONDS)
        refused = [answer for answer in answers if answer.status_code == 503]
        assert 1 <= len(refused) <= 4
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        assert "queue" in refused[0].json()["error"]
        metrics = running.client.get("/metrics").text
        own = 'deployment="flights",model_version="3",revision="3"'
        assert f"tidegate_server_requests_shed_total{{{own}}} {float(len(refused))}" in metrics
        assert running.client.post("/predict", json=list(slow_bundle.sample)).status_code == 200


def test_a_model_that_raises_is_answered_500_and_logged_with_the_requests_id(
    fragile_bundle: Bundle, tmp_path: Path
) -> None:
    with replica(fragile_bundle.folder, tmp_path) as running:
        headers = {"x-request-id": "r-7", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        answer = running.client.post("/predict", json={"distance": -1, "hour": 3}, headers=headers)
        assert answer.status_code == 500
        assert answer.json()["error"].startswith("the model failed: ValueError: The Box-Cox transformation can only")
        assert running.client.post("/predict", json={"distance": 1, "hour": 3}).status_code == 200
        assert running.client.post("/predict", json={"distance": "x", "hour": 3}).status_code == 400
        event = next(event for event in running.log_lines() if event["level"] == "error")
        assert event["request_id"] == "r-7"
        assert event["traceparent"] == headers["traceparent"]
        assert "The Box-Cox transformation" in event["traceback"]
        assert [e for e in running.log_lines() if e["level"] in ("error", "warning")] == [event]


def test_a_damaged_artifact_ends_the_process_with_exit_code_78(quick_bundle: Bundle, tmp_path: Path) -> None:
    broken = tmp_path / "bundles" / quick_bundle.folder.name
    shutil.copytree(quick_bundle.folder, broken)
    artifact = next((broken / "artifact").iterdir())
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes()[:-100])
    run_dir = tmp_path / "run"
    process = spawn(broken, run_dir)
    assert process.wait(DEADLINE_SECONDS) == 78
    assert "was changed after it was written" in critical(run_dir)["message"]


def test_no_bundle_ends_the_process_with_exit_code_78(tmp_path: Path) -> None:
    process = spawn(tmp_path / "nowhere", tmp_path)
    assert process.wait(DEADLINE_SECONDS) == 78
    assert critical(tmp_path)["code"] == "not_found"
    assert not (tmp_path / "state.json").exists()


def critical(run_dir: Path) -> dict[str, Any]:
    events = [json.loads(line) for line in (run_dir / "log").read_text().splitlines()]
    return next(event for event in events if event["level"] == "critical")


def test_sigterm_while_the_model_is_loaded_ends_the_process_with_exit_code_0(
    quick_bundle: Bundle, tmp_path: Path
) -> None:
    with replica(quick_bundle.folder, tmp_path, ready=False) as running:
        os.kill(running.process.pid, signal.SIGTERM)
        assert running.process.wait(DEADLINE_SECONDS) == 0


def test_an_address_that_is_taken_ends_the_process_with_exit_code_69(quick_bundle: Bundle, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = spawn(quick_bundle.folder, tmp_path, "--port", str(taken.getsockname()[1]))
        assert process.wait(DEADLINE_SECONDS) == 69
    assert "cannot listen on 127.0.0.1" in critical(tmp_path)["message"]
