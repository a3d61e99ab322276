"""Work that must not take processor time from those who serve.

The policy SCHED_IDLE of Linux (sched(7)) is set for one thread, without any right, and cannot be taken back. So it is
set on threads that end: the one that imports and loads. A thread that wakes to answer a request takes the processor
from an idle one at once, where against mere niceness the scheduler may let it wait for some milliseconds. Disk access
takes the lowest priority along with it (ioprio_set(2)).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def stand_back() -> None:
    """Let this thread run only where no other wants the processor; where the system cannot do that, do nothing."""
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def run_standing_back(work: Callable[[], T]) -> T:
    """Run `work` on such a thread and wait for it; its exception is raised here."""
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        stand_back()
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 -- raised again by who waits
            failures.append(error)

    thread = threading.Thread(target=body, name="background")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
