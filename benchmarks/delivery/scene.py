"""A whole Tidegate for a measurement: controller, Envoy, replicas, and users in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.delivery import models
from examples.flights.load import Record, read_records
from tidegate.client import Client
from tidegate.controller import launch

NAME = "prices"
#: Far beyond what a rollout of these takes.
PATIENCE_SECONDS = 180.0
_POLL_SECONDS = 0.05
_COUNTER = "tidegate_server_requests"


@dataclass
class Users:
    """A load generator, whose answers are all kept."""

    process: subprocess.Popen[bytes]
    out: Path

    def stop(self) -> list[Record]:
        """End the traffic, wait for what is under way, and return every request."""
        self.process.terminate()
        self.process.wait(30)
        return read_records(self.out)


@dataclass
class Scene:
    """One home with one deployment."""

    folder: Path
    home: Path
    made: int = 0
    #: The model that served first.
    first: Path = Path()
    _users: list[Users] = field(default_factory=list)

    def client(self) -> Client:
        return Client.connect(self.home)

    def model(self, framework: str = models.FRAMEWORKS[0]) -> Path:
        """Train another real model and return its file."""
        self.made += 1
        return models.real(self.folder, self.made, framework)

    def spoiled(self, fault: str) -> tuple[Path, Path, Path]:
        """Write a candidate around the first model; see `models.spoiled`."""
        self.made += 1
        return models.spoiled(self.folder, self.made, fault, self.first)

    def deploy(self, artifact: Path, **fields: Any) -> str:
        """Begin a rollout and return its id; `fields` are added to the request document."""
        document = {
            "name": NAME,
            "modelArtifact": {"path": str(artifact), "trust": True},
            "servingRequirements": {"latencyP99": "100ms", "availability": "99%"},
            # Frameworks differ in the datatype of the answer, which is not what this is about.
            "gates": {"allowBreaking": True},
            **fields,
        }
        with self.client() as client:
            return str(client.deploy(document)["rollout"])

    def status(self) -> dict[str, Any]:
        with self.client() as client:
            return dict(client.status(NAME))

    def until(self, what: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the status is so, and return it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            status = self.status()
            if done(status):
                return status
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"not within {PATIENCE_SECONDS:.0f} s: {what}; {json.dumps(status)}")

    def ended(self, rollout: str) -> dict[str, Any]:
        """Wait for the end of a rollout and return its report."""

        def over(_: Mapping[str, Any]) -> bool:
            with self.client() as client:
                return client.rollout(rollout)["ended_at"] is not None

        self.until(f"the end of rollout {rollout}", over)
        with self.client() as client:
            return dict(client.report(rollout))

    def abort(self, rollout: str) -> dict[str, Any]:
        with self.client() as client:
            client.abort(NAME, by="benchmark", reason="measured")
        return self.ended(rollout)

    def users(self, rate: float, arrivals: str = "poisson") -> Users:
        """Let users send requests until they are stopped."""
        bodies, out = self.folder / "bodies.jsonl", self.folder / f"users-{time.monotonic_ns()}.jsonl"
        bodies.write_text("".join(json.dumps([row]) + "\n" for row in models.rows()))
        url = f"{self.status()['url']}/predict"
        command = [sys.executable, "-m", "examples.flights.load", "--url", url, "--bodies", str(bodies)]
        command += ["--out", str(out), "--rate", str(rate), "--seconds", "3600", "--arrivals", arrivals]
        users = Users(subprocess.Popen(command, stdout=subprocess.DEVNULL), out)
        self._users.append(users)
        self.until("the first answers", lambda _: out.exists() and out.stat().st_size > 0)
        return users

    def counted(self) -> dict[str, int]:
        """Return how many requests the replicas of each revision have answered by their own count."""
        counted: dict[str, int] = {}
        for revision, health in self.status()["replicas"].items():
            counted[revision] = sum(_answered(one["address"]) for one in health["replicas"] if one["address"])
        return counted

    def metrics(self) -> str:
        """Return what all replicas tell a Prometheus, one after the other."""
        health = self.status()["replicas"].values()
        return "".join(_metrics(one["address"]) for of in health for one in of["replicas"] if one["address"])

    def leave(self) -> None:
        for users in self._users:
            users.process.kill()
            users.process.wait()
        launch.stop(self.home)


def _metrics(address: str) -> str:
    return httpx.get(f"http://{address}/metrics", trust_env=False).raise_for_status().text


def _answered(address: str) -> int:
    families = [family for family in text_string_to_metric_families(_metrics(address)) if family.name == _COUNTER]
    return int(sum(sample.value for family in families for sample in family.samples if sample.name.endswith("_total")))


@contextmanager
def scene(folder: Path, **fields: Any) -> Iterator[Scene]:
    """Yield a deployment with a first revision that serves, and end all of it; `fields` as in `Scene.deploy`."""
    made = Scene(folder, folder / "home")
    launch.ensure_running(made.home, 0, 0)
    try:
        made.first = made.model()
        made.ended(made.deploy(made.first, **fields))
        yield made
    finally:
        made.leave()
