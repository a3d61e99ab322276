"""Whose turn it is on the processors: those who answer users come first, what can wait stands back.

On one machine models, gateway, controller and the loading of other models share processors. Nothing here takes a right
that a user does not have, and where a system knows no such thing, nothing is changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Number of the system call sched_setattr(2), for which older C libraries have no function.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_SCHED_NORMAL = 0
#: Linux takes 0.1 to 100 ms, and has 0.7 to 3 ms where nothing is said.
_SLICE_NS = 100_000
#: For how long a thread lets go of the interpreter. The kernel makes some 0.1 ms of it, in which one that waits has
#: woken and has it.
WAY_SECONDS = 50e-6


def come_first(pid: int = 0) -> None:
    """Let every thread of a process of this user have a processor soon after it wakes; those that it makes do, too.

    From Linux 6.12 on a thread may say how long it runs at a time; one that wakes takes the processor from one that
    runs for longer at a time, where without this it may have to wait until that one's turn is over. Nobody gets more
    or less time for it. Older ones ignore it.

    Args:
        pid: of the process; 0 for this one.
    """
    if not hasattr(os, "sched_setscheduler"):
        return
    number = _SCHED_SETATTR.get(platform.machine())
    call = ctypes.CDLL(None, use_errno=True).syscall
    with contextlib.suppress(OSError):
        for thread in sorted(int(found.name) for found in Path(f"/proc/{pid or 'self'}/task").iterdir()):
            # One may end meanwhile.
            with contextlib.suppress(OSError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
                if number is not None:
                    nice = os.getpriority(os.PRIO_PROCESS, thread)
                    call(number, thread, _shorter_turns(nice), 0)


def _shorter_turns(nice: int) -> bytes:
    """Return struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, two bounds of use."""
    return struct.pack("=IIQiIQQQII", 56, _SCHED_NORMAL, 0, nice, 0, _SLICE_NS, 0, 0, 0, 0)


def let_others_first() -> None:
    """Let the threads that this one makes, and itself, take no processor from another that runs when they wake.

    SCHED_BATCH of Linux (sched(7)): the share of the processors stays what it is. What this process starts begins so,
    too; `come_first` ends it.
    """
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def make_way() -> None:
    """Let another thread of this process have the interpreter, by a pause of some 0.1 ms.

    For a thread with work of milliseconds that nobody waits for, once in each tenth of one. A thread that answers a
    request asks for the interpreter several times on its way, and each time waits for the whole switch interval
    (`sys.setswitchinterval`) where another computes. Letting it go without a pause does not help: the one that had it
    has it again before the other has woken.
    """
    time.sleep(WAY_SECONDS)


def giving_way(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and make way after every sixteen of them: for work of some microseconds with each."""
    for number, item in enumerate(items, 1):
        yield item
        if number % 16 == 0:
            make_way()


def stand_back() -> None:
    """Let this thread run only where no other wants the processor; where the system cannot do that, do nothing.

    The policy SCHED_IDLE of Linux (sched(7)) is set for one thread, without any right, and cannot be taken back. So it
    is set on threads that end: the one that imports and loads. A thread that wakes to answer a request takes the
    processor from an idle one at once, where against mere niceness the scheduler may let it wait for some
    milliseconds. Disk access takes the lowest priority along with it (ioprio_set(2)).
    """
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
