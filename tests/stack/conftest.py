"""The whole stack, once: built, started from nothing, and taken away. `make test-stack`; it needs Docker with Compose.

Base images are those of the environment, such as PYTHON_IMAGE, else the official ones. STACK_WITHOUT names services
that are left away where their image cannot be had (STACK_WITHOUT=grafana).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STACK = ROOT / "stack"
MODELS = ROOT / "examples" / "flights" / "mojos"
PATIENCE_SECONDS = 120.0
BUILD_SECONDS = 1800.0
#: All services get so long to be well, one after the other.
UP_SECONDS = 600


def eventually(what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def docker(*words: str, seconds: float = PATIENCE_SECONDS) -> str:
    """Run docker and return what it says; an error is a failure with its words."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@dataclass
class Stack:
    """A project of Compose of its own, on free ports."""

    project: str
    environment: dict[str, str]
    secrets: Path
    services: tuple[str, ...]

    @property
    def https_port(self) -> int:
        return int(self.environment["HTTPS_PORT"])

    def compose(self, *words: str, seconds: float = PATIENCE_SECONDS, given: str | None = None) -> str:
        """Run docker compose and return what it says; an error is a failure with its words."""
        done = self.try_compose(*words, seconds=seconds, given=given)
        assert done.returncode == 0, f"docker compose {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def try_compose(
        self, *words: str, seconds: float = PATIENCE_SECONDS, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "compose", "--project-name", self.project, "--profile", "production", *words],
            cwd=STACK,
            env=self.environment,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def run(self, service: str, *words: str, given: str | None = None, seconds: float = PATIENCE_SECONDS) -> str:
        """Run a command in a service's container."""
        return self.compose("exec", "-T", service, *words, given=given, seconds=seconds)

    def inspect(self, service: str) -> dict[str, Any]:
        (found,) = json.loads(docker("inspect", self.compose("ps", "--all", "--quiet", service).strip()))
        assert isinstance(found, dict)
        return found

    def address(self, service: str, network: str) -> str:
        return str(self.inspect(service)["NetworkSettings"]["Networks"][f"{self.project}_{network}"]["IPAddress"])

    def cloud(self, host: str = "h2o") -> dict[str, Any]:
        """What a node of H2O on the backend network says of its cluster, asked from the controller's container."""
        program = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"
        said = self.run("tidegate", "python", "-c", program, f"http://{host}:54321/3/Cloud?skip_ticks=true")
        found: dict[str, Any] = json.loads(said)
        return found

    @property
    def training(self) -> Path:
        return Path(self.environment["TRAINING_DIR"])

    def psql(self, login: str, statement: str, database: str = "tidegate") -> subprocess.CompletedProcess[str]:
        """Run SQL as one who logs in over the network with a password."""
        command = (
            f"PGPASSWORD=$(cat /run/secrets/{login}_password)"
            f" psql --host=postgres --username={login} --dbname={database} --no-psqlrc --tuples-only --no-align"
            " --set=ON_ERROR_STOP=1 --file=-"
        )
        return self.try_compose("exec", "-T", "postgres", "sh", "-c", command, given=statement)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with every service up and well."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.fail("no Docker engine answers: make test-stack needs one, with the plugin Compose")
    secrets = tmp_path_factory.mktemp("stack") / "secrets"
    names = ("EDGE", "GRAFANA", "PROMETHEUS", "ALERTMANAGER", "MAGE", "HTTP", "HTTPS")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    training = tmp_path_factory.mktemp("training")
    # Containers have users of their own.
    training.chmod(0o755)
    environment = {
        **os.environ,
        **{f"{name}_PORT": str(port) for name, port in ports.items()},
        "DOCKER_GID": str(Path("/var/run/docker.sock").stat().st_gid),
        "SECRETS_DIR": str(secrets),
        "MODELS_DIR": str(MODELS),
        "TRAINING_DIR": str(training),
    }
    subprocess.run([str(STACK / "secrets.sh")], env=environment, capture_output=True, check=True)
    made = Stack(f"tidegate-test-{os.getpid()}", environment, secrets, ())
    without = set(os.environ.get("STACK_WITHOUT", "").split(","))
    made.services = tuple(name for name in made.compose("config", "--services").split() if name not in without)
    built = json.loads(made.compose("config", "--format", "json"))["services"]
    made.compose("build", *(name for name in made.services if "build" in built[name]), seconds=BUILD_SECONDS)
    try:
        up = ("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS), *made.services)
        done = made.try_compose(*up, seconds=UP_SECONDS + 60)
        if done.returncode:
            logs = made.try_compose("logs", "--tail", "40").stdout
            states = made.try_compose("ps", "--all").stdout
            pytest.fail(f"the stack did not come up\n{done.stderr}\n{states}\n{logs}")
        yield made
    finally:
        # With the replicas that the agent started.
        made.compose("--profile", "replica", "down", "--volumes", "--timeout", "70", seconds=300)


@pytest.fixture(scope="session")
def arrivals(stack: Stack) -> str:
    """A deployed MOJO that H2O trained; gives its name."""
    words = ("tidegate", "deploy", "/models/arrivals-v1.zip", "--name", "arrivals", "--p99", "500ms", "--replicas", "1")
    result = json.loads(stack.run("tidegate", *words, "--output", "json"))
    assert result["deploymentConfig"]["replicas"] == 1
    return "arrivals"


def _free_ports(count: int) -> Sequence[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
