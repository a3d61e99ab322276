"""Whose turn it is on the processors, asked of Linux itself."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidegate.scheduling import come_first, let_others_first, run_standing_back

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
_SLICES_SINCE = (6, 12)

pytestmark = pytest.mark.skipif(platform.machine() not in _SCHED_GETATTR, reason="number of the call is not known")


def _asked(thread: int) -> tuple[int, int, int]:
    """Return policy, nice value and slice in nanoseconds of a thread."""
    told = ctypes.create_string_buffer(56)
    call = ctypes.CDLL(None, use_errno=True).syscall
    assert call(_SCHED_GETATTR[platform.machine()], thread, told, 56, 0) == 0, os.strerror(ctypes.get_errno())
    _, policy, _, nice, _, runtime, *_ = struct.unpack("=IIQiIQQQII", told.raw)
    return policy, nice, runtime


def _on_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@contextmanager
def _process(code: str, nice: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Run Python code that says a line when it is ready and then waits for its input to end."""
    command = [
        *(["nice", "-n", str(nice)] if nice else []),
        sys.executable,
        "-c",
        f"{code}\nprint('ready', flush=True)\ninput()",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def _threads(pid: int) -> list[int]:
    return [int(found.name) for found in Path(f"/proc/{pid}/task").iterdir()]


_THREADS = (
    "import threading, time\nfor _ in range(3): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
)


def _release() -> tuple[int, int]:
    major, minor, *_ = platform.release().split(".")
    return int(major), int(minor)


@pytest.mark.skipif(_release() < _SLICES_SINCE, reason="this Linux knows no slices of a thread's own")
def test_every_thread_of_a_process_that_comes_first_runs_for_a_tenth_of_a_millisecond_at_a_time() -> None:
    with _process(_THREADS) as process:
        come_first(process.pid)
        asked = [_asked(thread) for thread in _threads(process.pid)]
    assert len(asked) == 4
    assert {slice_ns for _, _, slice_ns in asked} == {100_000}


@pytest.mark.skipif(_release() < _SLICES_SINCE, reason="this Linux knows no slices of a thread's own")
def test_threads_that_are_made_later_come_first_too() -> None:
    with _process(f"from tidegate.scheduling import come_first\ncome_first()\n{_THREADS}") as process:
        asked = {_asked(thread)[2] for thread in _threads(process.pid)}
    assert asked == {100_000}


def test_coming_first_leaves_the_nice_value_that_somebody_gave() -> None:
    with _process(_THREADS, nice=7) as process:
        come_first(process.pid)
        assert {_asked(thread)[1] for thread in _threads(process.pid)} == {7}


def test_what_a_process_starts_that_lets_others_first_does_so_until_it_comes_first() -> None:
    started: list[int] = []

    def start() -> None:
        let_others_first()
        with _process(_THREADS) as process:
            started.extend(_asked(thread)[0] for thread in _threads(process.pid))
            come_first(process.pid)
            started.extend(_asked(thread)[0] for thread in _threads(process.pid))

    _on_a_thread(start)
    assert started == [os.SCHED_BATCH] * 4 + [os.SCHED_OTHER] * 4


def test_a_process_that_is_gone_is_no_error() -> None:
    with _process("") as process:
        pass
    come_first(process.pid)


def test_work_that_stands_back_leaves_the_thread_that_asked_as_it_was() -> None:
    assert run_standing_back(lambda: _asked(0)[0]) == os.SCHED_IDLE
    assert _asked(0)[0] != os.SCHED_IDLE
