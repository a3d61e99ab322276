"""A whole Tidegate per test module: controller, Envoy and replicas as processes, in a home and on ports of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from examples.flights.load import Record, read_records
from tests.support import models
from tests.support.ports import kept_port
from tests.support.quick_models import write_flights
from tidegate.client import Client
from tidegate.controller import launch

#: Generous: the tests share two cores with others.
PATIENCE_SECONDS = 120.0

SHORT = {"stepDuration": "40s", "interval": "500ms", "baseline": "1s", "minRequests": 30, "margin": "5%"}


def eventually(
    what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS, *, pause_seconds: float = 0.25
) -> Any:
    """Poll until the condition gives something true; return it. At most `pause_seconds` lie between two looks."""
    begin = time.monotonic()
    while (waited := time.monotonic() - begin) < seconds:
        found = condition()
        if found:
            return found
        # What takes long is asked for less often: each look costs processes that are being tested their time.
        time.sleep(min(pause_seconds, max(0.02, waited / 10)))
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass
class Traffic:
    """A load generator in a process of its own, whose answers are all kept."""

    process: subprocess.Popen[bytes]
    out: Path

    def records(self) -> list[Record]:
        return read_records(self.out) if self.out.exists() else []

    def stop(self) -> list[Record]:
        """End the traffic, wait for what is under way, and return every request."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        return self.records()


@dataclass
class Tidegate:
    """One home and what runs for it."""

    home: Path
    folder: Path

    def start(self) -> launch.ControllerInfo:
        return launch.ensure_running(self.home, None, None)

    @property
    def client(self) -> Client:
        return Client.connect(self.home)

    def deploy(self, name: str, artifact: Path, **fields: Any) -> str:
        """Deploy and return the rollout's id; `fields` are added to the request document."""
        document = {
            "name": name,
            "modelArtifact": {"path": str(artifact)},
            "servingRequirements": {"latencyP99": "250ms", "availability": "99%"},
            "steps": [20, 100],
            "analysis": SHORT,
            **fields,
        }
        with self.client as client:
            accepted = client.deploy(document)
        assert accepted["rollout"] is not None
        return accepted["rollout"]

    def status(self, name: str) -> dict[str, Any]:
        with self.client as client:
            return dict(client.status(name))

    def ended(self, rollout: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until the rollout is over and return its report."""

        def over() -> bool:
            with self.client as client:
                return client.rollout(rollout)["ended_at"] is not None

        eventually(f"the end of rollout {rollout}", over, seconds)
        with self.client as client:
            return dict(client.report(rollout))

    def in_phase(self, name: str, *phases: str) -> dict[str, Any]:
        """Wait until the deployment's rollout is in one of the phases and return the status."""

        last: dict[str, Any] = {}

        def there() -> bool:
            last.clear()
            last.update(self.status(name))
            return last["phase"] in phases

        try:
            eventually(f"{name} in {phases}", there)
        except AssertionError as error:
            raise AssertionError(f"{error}; last: {last.get('phase')}, {last.get('rollout')}") from None
        return last

    def controller(self) -> psutil.Process:
        info = launch.running(self.home)
        assert info is not None
        return psutil.Process(info.pid)

    def pids(self, name: str, revision: int) -> set[int]:
        replicas = self.status(name)["replicas"].get(str(revision), {"replicas": []})["replicas"]
        return {replica["pid"] for replica in replicas if replica["pid"] is not None}

    def traffic(self, name: str, rate: float = 40.0, documents: Sequence[Any] | None = None) -> Traffic:
        """Send documents to the deployment's `/predict`, by default real rows, some with missing values."""
        bodies = self.folder / "bodies.jsonl"
        if documents is None:
            documents = [{"records": [row]} for row in models.records(models.flights(200, seed=9))]
        bodies.write_bytes(b"\n".join(map(orjson.dumps, documents)))
        out = self.folder / f"traffic-{time.monotonic_ns()}.jsonl"
        url = f"{self.status(name)['url']}/predict"
        command = [sys.executable, "-m", "examples.flights.load", "--url", url, "--bodies", str(bodies)]
        options = ["--out", str(out), "--rate", str(rate), "--seconds", "150"]
        process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        traffic = Traffic(process, out)
        eventually("the first answers", traffic.records)
        return traffic


def belonging_to(home: Path) -> list[psutil.Process]:
    """Return the living processes whose command line names the home."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(home) in word for word in words):
            found.append(process)
    return found


@contextmanager
def up(folder: Path, store: str | None = None) -> Iterator[Tidegate]:
    """Run a whole one in this folder, with the store that `--store` names, and end all of it."""
    running = Tidegate(folder / "home", folder)
    launch.ensure_running(running.home, 0, kept_port(), store=store)
    try:
        yield running
    finally:
        launch.stop(running.home)
    eventually("no process left behind", lambda: not belonging_to(running.home), 15)


@pytest.fixture(scope="module")
def tidegate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidegate]:
    with up(tmp_path_factory.mktemp("e2e")) as running:
        yield running


@pytest.fixture(scope="session")
def good_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes missing values, and little time: the tests share two cores."""
    return write_flights(tmp_path_factory.mktemp("good") / "good.onnx", from_hour=16.0)


@pytest.fixture(scope="session")
def better_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same columns that takes missing values."""
    return write_flights(tmp_path_factory.mktemp("better") / "better.onnx", from_hour=15.5)


@pytest.fixture(scope="session")
def fragile_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same columns that was trained on complete rows and fails on the others."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = models.flights(seed=3).dropna()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]), ("passthrough", ["distance", "hour", "month"])
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2000))
    path = tmp_path_factory.mktemp("fragile") / "fragile.skops"
    models.write_pickled(model.fit(frame, models.late(frame)), path, "skops")
    return path
