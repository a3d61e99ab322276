"""One Envoy and a few tiny replicas per module: starting them costs more than most tests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tidegate.gateway.base import Endpoint
from tidegate.gateway.envoy import EnvoyGateway

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(scope="module")
def run() -> Iterator[Run[Any]]:
    """Run coroutines one after the other on one event loop."""
    with asyncio.Runner() as runner:
        yield runner.run


class Tiny:
    """A running tiny replica."""

    def __init__(self, name: str, *options: str, port: int = 0) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.tiny_replica", "--name", name, "--port", str(port), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.endpoint = Endpoint("127.0.0.1", *map(int, self.process.stdout.readline().split()))
        self.process.stdout.close()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def tiny() -> Iterator[Callable[..., Tiny]]:
    """Start tiny replicas; all are ended with the module."""
    started: list[Tiny] = []

    def start(name: str, *options: str, port: int = 0) -> Tiny:
        started.append(Tiny(name, *options, port=port))
        return started[-1]

    yield start
    for replica in started:
        replica.end()


@pytest.fixture(scope="module")
def gateway(run: Run[Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvoyGateway]:
    """An Envoy on a free port."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    opened = EnvoyGateway(folder, port=0)
    run(opened.ensure_running())
    yield opened
    run(opened.stop())
