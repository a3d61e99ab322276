"""Loads, unloads and the end of a replica come at the same time: one after the other is done, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import supervised
from tests.support import models
from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import Conflict, TidegateError
from tidegate.server.supervisor.generation import Generation
from tidegate.server.supervisor.settings import parse_arguments
from tidegate.server.supervisor.sources import Repository, source_of
from tidegate.server.supervisor.supervisor import Supervisor
from tidegate.server.supervisor.worker import WorkerProcess


def test_of_many_loads_at_once_one_is_done_and_the_others_are_refused(tmp_path: Path, quick_bundle: Bundle) -> None:
    root = tmp_path / "models"
    for version in ("1", "2", "3"):
        shutil.copytree(quick_bundle.folder, root / "flights" / version)
    with supervised(tmp_path / "run", "--repository", str(root), "--model-version", "1") as running:
        with ThreadPoolExecutor(6) as clients:
            answers = list(clients.map(lambda version: running.load(version=version), ["2", "3"] * 3))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
        refused = [answer.json()["error"] for answer in answers if answer.status_code == 409]
        assert all("is being loaded (ask again when it is done)" in error for error in refused)
        assert [event["event"] for event in running.events].count("loading") == 2  # the first one, and one of these
        wait_until(lambda: len(running.workers()) == 1, "the old worker is gone")
        assert running.load(version="1").status_code == 200
        assert running.version() == "1"


def test_a_load_while_the_first_model_is_loaded_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "models"
    (root / "flights").mkdir(parents=True)
    models.onnx_model(root / "flights" / "1.onnx")
    with supervised(tmp_path / "run", "--repository", str(root), serving=False) as running:
        answer = running.load()
        assert (answer.status_code, "first model" in answer.json()["error"]) == (409, True)
        running.event("serving")
        assert [event["event"] for event in running.events].count("loading") == 1


Step = Callable[[Generation], Awaitable[object]]


def _end_of_the_replica(supervisor: Supervisor, number: int) -> Callable[[], Awaitable[None]]:
    """Return what sends a signal to this process and waits until the supervisor has heard it."""

    async def send() -> None:
        if not supervisor._is_ending:
            os.kill(os.getpid(), number)
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not supervisor._is_ending:  # noqa: ASYNC110 -- nothing tells of it
                    await asyncio.sleep(0)

    return send


@pytest.mark.parametrize("moment", ["loading", "warm", "slow to die", "about to serve", "serving", "about to retire"])
def test_a_replica_that_ends_in_the_middle_of_a_swap_leaves_nothing_behind(
    tmp_path: Path, quick_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    root = tmp_path / "models"
    for version in ("1", "2"):
        shutil.copytree(quick_bundle.folder, root / "flights" / version)
    words = ["--repository", str(root), "--model-version", "1", "--run-dir", str(tmp_path / "run"), "--workers", "2"]
    settings = parse_arguments([*words, "--drain-seconds", "0.1", "--grace-seconds", "10"])
    settings.run_dir.mkdir()
    started: list[WorkerProcess] = []
    refusals: list[TidegateError] = []

    async def swap_and_end() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            source = source_of(settings)
            assert isinstance(source, Repository)
            supervisor = Supervisor(settings, source, listener, None)
            end = _end_of_the_replica(supervisor, signal.SIGTERM)
            _interrupt(monkeypatch, moment, end, started)
            running = asyncio.create_task(supervisor.run())
            async with asyncio.timeout(DEADLINE_SECONDS):
                while supervisor._turn.is_taken or supervisor._current is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                try:
                    await supervisor.load("2")
                except TidegateError as error:
                    refusals.append(error)
                return await running

    assert asyncio.run(swap_and_end()) == 0
    assert len(started) == 4
    assert [child for child in psutil.Process().children() if "tidegate.server" in child.cmdline()] == []
    old, new = started[:2], started[2:]
    assert [worker.returncode for worker in old] == [0, 0]
    if moment in ("loading", "warm", "slow to die"):
        assert isinstance(refusals[0], Conflict)
        assert [worker.returncode for worker in new] == [-signal.SIGKILL] * 2
    else:  # they may have taken connections: drained, like the old ones
        assert refusals == []
        assert [worker.returncode for worker in new] == [0, 0]


def _interrupt(
    monkeypatch: pytest.MonkeyPatch, moment: str, end: Callable[[], Awaitable[None]], started: list[WorkerProcess]
) -> None:
    """Have `end` called at this moment of the swap to version 2; `slow to die`: warm, and killed a second late."""
    start, prepare, serve, leave = WorkerProcess.start, Generation.prepare, Generation.serve, Generation.leave
    send = WorkerProcess.signal

    async def starting(worker: WorkerProcess, bundle: Path, options: list[str], *, in_background: bool) -> None:
        started.append(worker)
        await start(worker, bundle, options, in_background=in_background)
        if moment == "loading" and len(started) == 4:
            await end()

    async def preparing(generation: Generation, seconds: float, *, in_background: bool) -> float:
        took = await prepare(generation, seconds, in_background=in_background)
        if moment in ("warm", "slow to die") and generation.served.version == "2":
            await end()
        return took

    async def beginning(generation: Generation) -> None:
        if moment == "about to serve" and generation.served.version == "2":
            await end()
        await serve(generation)
        if moment == "serving" and generation.served.version == "2":
            await end()

    async def leaving(generation: Generation, grace_seconds: float) -> None:
        if moment == "about to retire":
            await end()
        await leave(generation, grace_seconds)

    def signalling(worker: WorkerProcess, number: int) -> None:
        if moment == "slow to die" and number == signal.SIGKILL:
            asyncio.get_running_loop().call_later(1.0, send, worker, number)
        else:
            send(worker, number)

    monkeypatch.setattr(WorkerProcess, "start", starting)
    monkeypatch.setattr(WorkerProcess, "signal", signalling)
    monkeypatch.setattr(Generation, "prepare", preparing)
    monkeypatch.setattr(Generation, "serve", beginning)
    monkeypatch.setattr(Generation, "leave", leaving)
