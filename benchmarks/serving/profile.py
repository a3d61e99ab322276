"""What Tidegate's process spends its time on under load: py-spy's samples, added up by function."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.asking import Requests, load, requests, seconds_until_right
from benchmarks.serving.environments import profiler, python_of
from benchmarks.serving.measure import Bench, start
from benchmarks.serving.models import ServedModel
from benchmarks.serving.servers import Server

_SECONDS, _RATE, _TOP = 6, 250, 16


#: C functions in which a thread waits for work, a lock or the interpreter: no time of the server's own.
_WAITS = frozenset(
    (
        *("epoll_pwait", "epoll_wait", "poll", "select", "clock_nanosleep"),
        *("sem_wait", "sem_timedwait", "sem_clockwait", "pthread_cond_wait", "pthread_cond_timedwait"),
        *("PyThread_acquire_lock_timed", "take_gil"),
    )
)
#: Macros of CPython under which inlined calls appear.
_NOISE = frozenset(("Py_DECREF", "Py_XDECREF", "Py_INCREF"))


@dataclass(frozen=True)
class Profile:
    """Shares of the samples in which a thread was at work, in percent.

    Attributes:
        samples: how many those are.
        waiting: how many more there were in which a thread waited.
        own: function to the share in which it was the innermost one.
        below: function to the share in which it was anywhere on the stack.
    """

    samples: int
    waiting: int
    own: dict[str, float]
    below: dict[str, float]


def profiled(server: Server, model: ServedModel, bench: Bench, rows: int, connections: int) -> dict[str, Any]:
    """Return a profile of the server while it gets requests of `rows` rows as fast as it takes them.

    Raises:
        EnvironmentFailedError: py-spy cannot be installed.
        NoAnswerError, GeneratorFailedError: the server does not serve.
        RuntimeError: py-spy gave no samples; the message says why.
    """
    spy, python = profiler(bench.base), python_of(server, bench.base)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        running, port = start(server, model, bench, Path(folder), python)
        with running:
            asked = requests(model, server.form, server.path, rows)
            seconds_until_right(running, port, requests(model, server.form, server.path, 1))
            job = {"port": port, "mode": "closed", "seconds": _SECONDS + 1.0, "connections": connections}
            loading = _InBackground(asked, job, Path(folder), bench)
            stacks = Path(folder, "stacks")
            words = ["record", "--format", "raw", "--duration", str(_SECONDS), "--rate", str(_RATE), "--native"]
            done = subprocess.run(
                [spy, *words, "--pid", str(running.pid), "--output", str(stacks)],
                check=False,
                capture_output=True,
                text=True,
            )
            loading.join()
            if not stacks.exists():
                raise RuntimeError(f"py-spy gave no samples: {done.stderr.strip()[-300:]}")
            profile = added_up(stacks.read_text())
    return {"server": server.name, "model": model.name, "rows": rows, "form": server.form, **profile.__dict__}


class _InBackground(threading.Thread):
    def __init__(self, asked: Requests, job: dict[str, Any], folder: Path, bench: Bench) -> None:
        super().__init__(daemon=True)
        self._arguments = (asked, job, folder, bench.cores, "profile")
        self.start()

    def run(self) -> None:
        load(*self._arguments)


def added_up(stacks: str) -> Profile:
    """Add up lines of `frame;frame;… count`, outermost frame first."""
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    total = waiting = 0
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        raw = stack.split(";")
        if any(frame.partition(" (")[0] in _WAITS for frame in raw[-4:]):
            waiting += int(count)
            continue
        # Addresses without a name say nothing; their caller does.
        named = [_named(frame) for frame in raw if not frame.startswith("0x") and frame.split(" ")[0] not in _NOISE]
        if not named:
            continue
        total += int(count)
        own[named[-1]] += int(count)
        for name in set(named):
            below[name] += int(count)
    share = 100.0 / max(1, total)
    return Profile(
        total,
        waiting,
        {name: round(count * share, 1) for name, count in own.most_common(_TOP)},
        {name: round(count * share, 1) for name, count in below.most_common(4 * _TOP)},
    )


def _named(frame: str) -> str:
    """Return `function (file)` without the folders of this machine and the line."""
    name, bracket, place = frame.partition(" (")
    place = place.rstrip(")").rpartition(":")[0] or place.rstrip(")")
    return f"{name} ({place.rpartition('/')[2]})" if bracket else name
