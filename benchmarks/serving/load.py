"""The load generator: open loop without coordinated omission, or closed loop for the most a server can do.

Open loop: the times of sending are fixed beforehand. A latency runs from the time at which its request *should* have
left to the last byte of its answer, so that a request which had to wait for a free connection because the server
stalled counts its wait. Closed loop: each connection sends its next request when it has its answer.

One thread, plain sockets and epoll: on one core that is more than 25,000 requests a second, and while a request is due
soon it polls instead of sleeping, because timers of a millisecond would show up in the latencies. So it needs a core of
its own. It runs as a process of its own: `python -m benchmarks.serving.load JOB.json`, the result as JSON on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.connections import Connections, Finished

CONNECTIONS = 16
#: A request that has waited so long has failed; counted from when it was due.
TIMEOUT_SECONDS = 20.0
#: Closer than this the generator polls.
_POLL_SECONDS = 0.002
#: Answers that are kept to be checked: the first ones, then every so-manieth.
_CHECKED_FIRST, _CHECKED_EVERY, _CHECKED_BYTES = 32, 97, 64 << 20

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """What to send where.

    Attributes:
        port: on 127.0.0.1.
        requests: whole HTTP requests, sent in turn.
        mode: "open" or "closed".
        seconds: how long requests are sent.
        rate: requests per second, for "open".
        arrivals: "poisson" or "constant", for "open".
        connections: kept open; at most so many requests are under way.
        seed: of the Poisson schedule.
    """

    port: int
    requests: Sequence[bytes]
    mode: str
    seconds: float
    rate: float = 0.0
    arrivals: str = "poisson"
    connections: int = CONNECTIONS
    seed: int = 0


@dataclass
class Result:
    """What came of it.

    Attributes:
        latencies_ms: of every request that was due, failed ones too, in the order in which they ended.
        late_ms: how much later than due each request left although a connection was free: the generator's own doing.
        seconds: from the first request to the last answer.
        statuses: how many answers had which status; failures without an answer are named.
        kept: (number of the request, body) of those answers with status 200 that are to be checked.
    """

    latencies_ms: Array
    late_ms: Array
    seconds: float
    statuses: dict[str, int]
    kept: list[tuple[int, bytes]] = field(repr=False)

    @property
    def sent(self) -> int:
        return len(self.latencies_ms)

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != "200")


def schedule(rate: float, seconds: float, arrivals: str = "poisson", seed: int = 0) -> Array:
    """Return the times of sending, in seconds from the start: rising, below `seconds`, `rate` per second on average."""
    expected = rate * seconds
    if arrivals == "constant":
        return np.arange(0.0, seconds, 1.0 / rate)
    gaps = np.random.default_rng(seed).exponential(1.0 / rate, int(expected + 10 * expected**0.5 + 10))
    times = np.cumsum(gaps)
    return np.asarray(times[times < seconds])


def run(job: Job) -> Result:
    """Send the job's requests and return what came of them.

    Raises:
        OSError: nothing answers at the port at all.
    """
    if job.mode not in ("open", "closed"):
        raise ValueError(f"mode must be open or closed, not {job.mode!r}")
    with Connections(job.port, job.connections) as connections:
        return _open(job, connections) if job.mode == "open" else _closed(job, connections)


class _Book:
    """Notes what happens to each request."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.requests = requests
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.kept: list[tuple[int, bytes]] = []
        self._kept_bytes = 0

    def ended(self, finished: Finished, now: float) -> None:
        number = len(self.latencies)
        self.latencies.append(now - finished.due)
        self.statuses[finished.status] += 1
        wanted = number < _CHECKED_FIRST or number % _CHECKED_EVERY == 0
        if wanted and finished.status == "200" and self._kept_bytes < _CHECKED_BYTES:
            self.kept.append((finished.number % len(self.requests), bytes(finished.body)))
            self._kept_bytes += len(finished.body)

    def result(self, late: list[float], seconds: float) -> Result:
        return Result(1e3 * np.asarray(self.latencies), 1e3 * np.asarray(late), seconds, dict(self.statuses), self.kept)


def _open(job: Job, connections: Connections) -> Result:
    offsets = schedule(job.rate, job.seconds, job.arrivals, job.seed).tolist()
    book, late = _Book(job.requests), []
    begun = perf_counter() + 0.01
    due = [begun + offset for offset in offsets]
    following, total = 0, len(due)
    freed_at = begun
    deadline = begun + job.seconds + TIMEOUT_SECONDS
    while len(book.latencies) < total:
        now = perf_counter()
        while following < total and due[following] <= now and connections.idle:
            # With a connection free all along, the delay is the generator's; else it is the server's.
            late.append(now - max(due[following], freed_at))
            connections.send(following, job.requests[following % len(job.requests)], due[following])
            following += 1
        if now > deadline:
            break
        for finished in connections.wait(_patience(connections, due, following, now)):
            was_full = not connections.idle
            connections.release(finished)
            now = perf_counter()
            if was_full:
                freed_at = now
            book.ended(finished, now)
    now = perf_counter()
    # What was never answered waited until now at least; left out, a server that hangs would look fast.
    for waited_from in (*connections.under_way(), *due[following:]):
        book.latencies.append(now - waited_from)
        book.statuses["timeout"] += 1
    return book.result(late, now - begun)


def _patience(connections: Connections, due: list[float], following: int, now: float) -> float:
    """Return how long to wait for an answer at most before looking at the schedule again."""
    if following >= len(due) or not connections.idle:
        return 0.05
    until = due[following] - now
    return 0.0 if until < _POLL_SECONDS else until - _POLL_SECONDS / 2


def _closed(job: Job, connections: Connections) -> Result:
    book = _Book(job.requests)
    begun = now = perf_counter()
    number, end = 0, begun + job.seconds
    while connections.idle:
        connections.send(number, job.requests[number % len(job.requests)], perf_counter())
        number += 1
    while now < end + TIMEOUT_SECONDS and connections.busy:
        for finished in connections.wait(0.05):
            connections.release(finished)
            now = perf_counter()
            book.ended(finished, now)
            if now < end:
                connections.send(number, job.requests[number % len(job.requests)], now)
                number += 1
        now = perf_counter()
    for waited_from in connections.under_way():
        book.latencies.append(now - waited_from)
        book.statuses["timeout"] += 1
    return book.result([], now - begun)


def wrong_answers(kept: Sequence[tuple[int, bytes]], form: str, expected: Sequence[Array]) -> list[str]:
    """Return what is wrong with the kept answers, one line each; an answer may be off by 1e-6."""
    from benchmarks.serving.forms import FORMS

    decode = FORMS[form].decode
    wrong = []
    for number, body in kept:
        try:
            got = decode(body)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            wrong.append(f"unreadable ({type(error).__name__}: {error}): {body[:200]!r}")
            continue
        want = expected[number]
        if got.shape != want.shape or not np.allclose(got, want, rtol=1e-6, atol=1e-6):
            wrong.append(f"request {number}: expected {want[:3].tolist()}, got {got[:3].tolist()}")
    return wrong


def _main(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    os.sched_setaffinity(0, document["cores"])
    raw = Path(document["requests"]).read_bytes()
    bounds = document["bounds"]
    requests = [raw[begin:end] for begin, end in pairwise(bounds)]
    job = Job(requests=requests, **document["job"])
    result = run(job)
    np.save(document["latencies"], result.latencies_ms)
    expected = list(np.load(document["expected"]))
    wrong = wrong_answers(result.kept, document["form"], expected) if expected else []
    sent = {key: value for key, value in asdict(job).items() if key != "requests"}
    late = result.late_ms if len(result.late_ms) else np.zeros(1)
    return {
        **sent,
        "sent": result.sent,
        "failed": result.failed,
        "statuses": result.statuses,
        "checked": len(result.kept),
        "wrong": len(wrong),
        "wrong_first": wrong[:1],
        "elapsed_seconds": result.seconds,
        "requests_per_second": result.statuses.get("200", 0) / result.seconds,
        "generator_late_p99_ms": float(np.quantile(late, 0.99)),
    }


if __name__ == "__main__":
    json.dump(_main(Path(sys.argv[1])), sys.stdout)
