"""A replacement that does not answer in time is not waited for for ever: it is replaced in its turn."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.server.processes import DEADLINE_SECONDS
from tidegate.artifact.bundle import Bundle
from tidegate.server.handover import HandoverQueue
from tidegate.server.supervisor import worker as workers
from tidegate.server.supervisor.generation import Generation, Served
from tidegate.server.supervisor.worker import Post, WorkerProcess


async def _nothing(worker: WorkerProcess, message: Any) -> Mapping[str, Any] | None:
    return {}


async def _serve_again(bundle: Path, run_dir: Path, started: list[WorkerProcess]) -> None:
    options = [
        "--deployment",
        "flights",
        "--revision",
        "1",
        "--model-name",
        "flights",
        "--run-dir",
        str(run_dir),
        "--grace-seconds",
        "1",
    ]
    buried: list[WorkerProcess] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        post = Post(listener, HandoverQueue.create(), options, _nothing)
        generation = Generation(Served("1", bundle), post, 1, changed=lambda: None, buried=buried.append)
        try:
            await generation.prepare(DEADLINE_SECONDS, in_background=False)
            await generation.serve()
            generation.workers[0].signal(signal.SIGKILL)
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not (len(started) == 3 and generation.serving):  # noqa: ASYNC110 -- nothing tells of it
                    await asyncio.sleep(0.02)
            assert started[1].returncode == -signal.SIGKILL
            assert buried == started[:2]
        finally:
            await generation.kill()
        assert buried == started  # each once


def test_a_replacement_too_slow_to_serve_is_killed_and_replaced(
    quick_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[WorkerProcess] = []
    serve = WorkerProcess.serve

    async def stopped_the_second_time(worker: WorkerProcess) -> None:
        started.append(worker)
        if len(started) == 2:
            worker.signal(signal.SIGSTOP)
        await serve(worker)

    monkeypatch.setattr(WorkerProcess, "serve", stopped_the_second_time)
    monkeypatch.setattr(workers, "_ANSWER_SECONDS", 2.0)
    asyncio.run(_serve_again(quick_bundle.folder, tmp_path, started))
