"""Drives the queue of Mage's scheduler, in Mage's Python: what became of the jobs, as one JSON document.

Usage: queue_work.py START FOLDER ending|racing; START is the project's start.py.
"""

from __future__ import annotations

import json
import multiprocessing.util
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from mage_ai.orchestration.queue import process_queue
from mage_ai.orchestration.queue.config import QueueConfig

PATIENCE_SECONDS = 60.0
#: So long a process of the queue takes to end, where it is to take long.
ENDING_SECONDS = 4.0
RACING_SECONDS = 8.0


class Mark:
    """What `register_after_fork` wants to hold on to."""


def note(file: str) -> None:
    with Path(file).open("a") as stream:
        stream.write("ran\n")


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def ending(queue: Any, folder: Path) -> dict[str, Any]:
    """Put a job while the pool, which looked at the queue last and found nothing, is ending."""
    mark = Mark()

    def linger(_: Mark) -> None:
        multiprocessing.util.Finalize(None, time.sleep, args=(ENDING_SECONDS,), exitpriority=10)

    multiprocessing.util.register_after_fork(mark, linger)
    queue.enqueue("first", note, str(folder / "first"))
    until((folder / "first").exists)
    pool = psutil.Process(queue.worker_pool_proc.pid)
    until(lambda: not pool.children())
    # It looks every second.
    time.sleep(1.5)
    was_alive = queue.is_worker_pool_alive()
    queue.enqueue("second", note, str(folder / "second"))

    def over() -> bool:
        # As the scheduler does each time that it looks.
        queue.clean_up_jobs()
        return (folder / "second").exists() or not queue.has_job("second")

    until(over)
    return {"was_alive": was_alive, "ran": (folder / "second").exists()}


def racing(queue: Any, folder: Path) -> dict[str, Any]:
    """Ask of each of many jobs without a pause whether it is there, until it has run."""
    begun, names, crashed = time.monotonic(), [], []
    while time.monotonic() < begun + RACING_SECONDS:
        name = f"job{len(names)}"
        names.append(name)
        queue.enqueue(name, note, str(folder / name))
        asked = time.monotonic()
        while queue.job_dict.get(name) != "completed" and time.monotonic() < asked + PATIENCE_SECONDS:
            if not queue.has_job(name) and queue.job_dict.get(name) != "completed":
                crashed.append(name)
                break
    until(lambda: all((folder / name).exists() for name in names))
    return {"jobs": len(names), "taken_for_crashed": crashed}


def main(start: str, folder: Path, what: str) -> None:
    runpy.run_path(start)
    queue = process_queue.ProcessQueue(QueueConfig(concurrency=4))
    queue.start()
    said = {"ending": ending, "racing": racing}[what](queue, folder)
    (folder / "said.json").write_text(json.dumps(said))
    # With the pool, its workers and the process that has their records.
    os.killpg(0, signal.SIGKILL)


main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
