"""Processes are found by what the operating system says of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.flights import processes

#: A process that bears a replica's command line and says when it is up.
SCRIPT = "import sys; print('up', flush=True); sys.stdin.read()"
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def go(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    yield go
    for process in started:
        process.kill()
        process.communicate()


def replica(home: Path, revision: int, index: int) -> list[str]:
    words = ["tidegate.server", "--revision", str(revision), "--replica", str(index)]
    return [*words, "--run-dir", str(home / f"{revision}-{index}")]


def test_replicas_are_found_by_their_command_line_and_home(start: Start, tmp_path: Path) -> None:
    first = start(*replica(tmp_path / "a", 1, 0))
    start(*replica(tmp_path / "b", 1, 0))
    found = processes.replicas(tmp_path / "a")
    assert [[identity.pid for identity in identities] for identities in found.values()] == [[first.pid]]
    assert list(found) == [processes.Slot(1, 0)]


def test_a_second_copy_is_noticed(start: Start, tmp_path: Path) -> None:
    start(*replica(tmp_path, 2, 0))
    start(*replica(tmp_path, 2, 1))
    start(*replica(tmp_path, 2, 1))
    with processes.Watch(tmp_path) as watch:
        pass
    assert watch.doubled == ["2/1"]
    assert watch.started == {"2/0": 1, "2/1": 2}


def test_what_a_home_left_running_is_named_and_can_be_ended(start: Start, tmp_path: Path) -> None:
    process = start("tidegate.controller", "--home", str(tmp_path))
    bystander = start("less", str(tmp_path / "controller.log"))
    (left,) = processes.wait_until_none(tmp_path, seconds=0.1)
    assert left.endswith(f"tidegate.controller --home {tmp_path}")
    processes.end_all(tmp_path)
    process.wait(10)
    assert processes.wait_until_none(tmp_path, seconds=5) == []
    assert bystander.poll() is None


def test_a_home_without_processes_has_none_left(tmp_path: Path) -> None:
    assert processes.wait_until_none(tmp_path, seconds=0) == []
