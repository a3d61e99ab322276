"""A local target on a free port, with tiny replicas in place of models."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tidegate.gateway.base import RevisionRef
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.os_process import find_by_argument
from tidegate.target.base import RevisionSpec
from tidegate.target.local import LocalTarget

ROOT = Path(__file__).parents[2]

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(scope="module")
def run() -> Iterator[Run[Any]]:
    """Run coroutines one after the other on one event loop."""
    with asyncio.Runner() as runner:
        yield runner.run


def tiny_command(*options: str) -> Callable[[RevisionSpec, int, Path], list[str]]:
    """Return a command factory for tiny replicas that start with these options."""

    def command(spec: RevisionSpec, index: int, run_dir: Path) -> list[str]:
        name = f"{spec.ref.revision}/{index}"
        script = str(ROOT / "tests" / "support" / "tiny_replica.py")
        return [sys.executable, script, "--name", name, "--run-dir", str(run_dir), *options]

    return command


def spec_of(deployment: str, revision: int = 1) -> RevisionSpec:
    return RevisionSpec(
        ref=RevisionRef(deployment, revision),
        bundle=Path("/bundle"),
        model_name=deployment,
        model_version=str(revision),
        latency_objective_ms=50.0,
        threads=1,
    )


class Place:
    """A home with one Envoy; opens as many targets over it as a test wants."""

    def __init__(self, home: Path, run: Run[Any]) -> None:
        self.home = home
        self._run = run
        self._opened: list[LocalTarget] = []

    def open(self, *options: str, **settings: Any) -> LocalTarget:
        """Return a target as a controller that starts now would have it; its replicas get these options."""
        gateway = EnvoyGateway(self.home / "gateway", port=0)
        target = LocalTarget(self.home, gateway, command=tiny_command(*options), **settings)
        self._opened.append(target)
        self._run(target.start())
        return target

    def processes(self, ref: RevisionRef, index: int = 0) -> list[int]:
        """Return the pids of every living copy of a replica, found by its folder, whoever started it."""
        folder = self.home / "replicas" / ref.deployment / str(ref.revision) / str(index)
        return [found.pid for found in find_by_argument(str(folder))]

    def close(self) -> None:
        for target in self._opened:
            self._run(target.close())
        self._opened.clear()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def place(home: Path, run: Run[Any]) -> Iterator[Place]:
    """A place whose Envoy lasts as long as the module, its targets as long as the test."""
    opened = Place(home, run)
    yield opened
    opened.close()


@pytest.fixture(scope="module", autouse=True)
def nothing_left(home: Path, run: Run[Any]) -> Iterator[None]:
    """End everything after the module, and see that nothing is left."""
    yield
    target = LocalTarget(home, EnvoyGateway(home / "gateway", port=0))
    folders = [str(path) for path in home.glob("replicas/*/*/*")]
    run(target.stop())
    assert [found for folder in folders for found in find_by_argument(folder)] == []
    assert find_by_argument(str(home / "gateway" / "bootstrap.json")) == []
