"""`tidegate serve` as a person types it: it says where it listens, serves, and ends with Ctrl-C."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.server.processes import DEADLINE_SECONDS
from tests.support.quick_models import write_flights

SERVE = [sys.executable, "-m", "tidegate.cli.main", "serve"]


def start(*options: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)


def read_until(process: subprocess.Popen[str], last: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if last in line:
            return lines
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def test_a_file_is_served_until_ctrl_c_and_the_example_works(tmp_path: Path) -> None:
    write_flights(tmp_path / "Late flights.onnx")
    process = start("Late flights.onnx", "--port", "0", cwd=tmp_path)
    try:
        said = read_until(process, "Ctrl-C")
        words = shlex.split(next(line for line in said if line.strip().startswith("curl ")))
        url, body = words[1], words[-1]
        answer = httpx.post(url, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "late-flights"
        page = next(line.split()[1] for line in said if line.strip().startswith("docs "))
        assert "late-flights" in httpx.get(page).text
        servers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert not psutil.wait_procs(servers, timeout=DEADLINE_SECONDS)[1]
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)


def test_settings_from_a_file_reach_the_runtime(tmp_path: Path) -> None:
    import xgboost

    matrix = np.arange(40, dtype=np.float32).reshape(20, 2)
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(matrix, np.arange(20) > 9), 4)
    booster.save_model(tmp_path / "flights.ubj")
    (tmp_path / "settings.json").write_text('{"labels": ["on time", "late"]}')
    process = start("flights.ubj", "--settings", "settings.json", "--port", "0", "--output", "json", cwd=tmp_path)
    try:
        port = json.loads(read_until(process, '"listening"')[-1])["port"]
        read_until(process, '"serving"')
        answer = httpx.post(f"http://127.0.0.1:{port}/predict", json=[[39.0, 40.0]])
        assert answer.status_code == 200, answer.text
        assert "late" in answer.text
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 0
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)


def test_how_requests_are_answered_can_be_said(tmp_path: Path) -> None:
    write_flights(tmp_path / "flights.onnx")
    options = ("--p99", "75ms", "--timeout", "5s", "--cache", "memory", "--prediction-log", "log.jsonl")
    process = start("flights.onnx", *options, "--port", "0", "--output", "json", cwd=tmp_path)
    try:
        port = json.loads(read_until(process, '"listening"')[-1])["port"]
        sample = json.loads(read_until(process, '"serving"')[-1])["sample"]
        url = f"http://127.0.0.1:{port}"
        told = [httpx.post(f"{url}/predict", json=[sample]).headers["server-timing"] for _ in range(2)]
        assert "cache;desc=hit" in told[1]
        assert 'le="0.075"' in httpx.get(f"{url}/metrics").text
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)


@pytest.mark.parametrize("options", [("--p99", "fast"), ("--timeout", "0s")])
def test_times_that_are_none_are_refused(tmp_path: Path, options: tuple[str, str]) -> None:
    write_flights(tmp_path / "flights.onnx")
    process = start("flights.onnx", *options, cwd=tmp_path)
    _, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 2
    assert options[0] in said


def test_what_it_started_ends_when_the_command_is_killed(tmp_path: Path) -> None:
    write_flights(tmp_path / "flights.onnx")
    process = start("flights.onnx", "--port", "0", "--output", "json", cwd=tmp_path)
    try:
        assert json.loads(read_until(process, '"serving"')[-1])["version"] == "1"
        servers = psutil.Process(process.pid).children(recursive=True)
        assert len(servers) == 2
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)
    assert not psutil.wait_procs(servers, timeout=DEADLINE_SECONDS)[1]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ((), "MODEL or --repository"),
        (("nowhere.onnx",), "there is no nowhere.onnx"),
        (("nonsense.onnx", "--port", "0"), "of no format that Tidegate knows"),
        (("--repository", ".", "--port", "0"), "holds 0 models"),
        (("nonsense.onnx", "--port", "0", "--workers", "none"), "--workers"),
        (("nonsense.onnx", "--port", "0", "--settings", "nonsense.onnx"), "cannot be read as JSON"),
        (("nonsense.onnx", "--port", "0", "--settings", "list.json"), "is not a JSON object"),
    ],
)
def test_what_cannot_be_served_is_said_and_ends_with_exit_code_2(
    options: tuple[str, ...], word: str, tmp_path: Path
) -> None:
    (tmp_path / "nonsense.onnx").write_bytes(b"nothing of this is a model")
    (tmp_path / "list.json").write_text("[]")
    done = subprocess.run(
        [*SERVE, *options], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert done.returncode == 2
    assert word in done.stderr
