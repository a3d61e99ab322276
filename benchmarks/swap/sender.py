"""Sends requests at fixed times and notes for each when it was due, when it ended, and how.

A latency runs from the time at which a request was due, so a server that stalls cannot hide it. Between requests this
process sleeps: on a machine with two cores a generator that polls would take one of them from the swap.
`python -m benchmarks.swap.sender JOB.json`; the notes are saved as an array (due, ended, status) in seconds of
CLOCK_MONOTONIC.
"""

from __future__ import annotations

import json
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np

from benchmarks.serving.connections import Connections
from benchmarks.serving.load import schedule

_LAST_ANSWERS_SECONDS = 20.0
#: Written for a request that got no answer with a status.
NO_ANSWER = 0


class _Sleeping(Connections):
    def __enter__(self) -> _Sleeping:
        return self

    def pause(self, seconds: float) -> None:
        """Sleep until something arrives, with the microseconds that epoll's own timeout does not have."""
        select.select([self._epoll], [], [], max(seconds, 0.0))


def send(  # noqa: PLR0917
    port: int, request: Callable[[float], bytes], rate: float, seconds: float, connections: int, begin: float
) -> list[tuple[float, float, int]]:
    """Send at `rate` from `begin`, a time of the monotonic clock; return (due, ended, status) of every request.

    Args:
        request: returns what is sent when a request is due.
    """
    due = [begin + offset for offset in schedule(rate, seconds).tolist()]
    notes: list[tuple[float, float, int]] = []
    following = 0
    ending = False

    def end(*_: object) -> None:
        """Send no more, wait for the answers."""
        nonlocal ending
        if not ending:
            ending = True
            del due[following:]

    signal.signal(signal.SIGTERM, end)
    with _Sleeping(port, connections) as wire:
        while len(notes) < len(due) and monotonic() < begin + seconds + _LAST_ANSWERS_SECONDS:
            now = monotonic()
            while following < len(due) and due[following] <= now and wire.idle:
                wire.send(following, request(due[following]), due[following])
                following += 1
            wire.pause(due[following] - now if following < len(due) and wire.idle else 0.05)
            for finished in wire.wait(0):
                wire.release(finished)
                status = int(finished.status) if finished.status.isdigit() else NO_ANSWER
                notes.append((finished.due, monotonic(), status))
        now = monotonic()
        notes += [(waited, now, NO_ANSWER) for waited in (*wire.under_way(), *due[following:])]
    return notes


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_bytes())
    request = job["request"].encode()
    notes = send(job["port"], lambda _: request, job["rate"], job["seconds"], job["connections"], begin=job["begin"])
    np.save(job["notes"], np.asarray(notes, dtype=np.float64))


if __name__ == "__main__":
    main()
