"""Open-loop traffic: requests leave when the schedule says so, whether or not earlier ones were answered.

A client that waits for one answer before it sends the next request goes easy on a server just when it is slow, and
then does not count the requests that it held back. Here the times of sending are fixed beforehand, and a latency runs
from the time at which its request *should* have left. Requests are never repeated.

It runs as a process of its own (`python -m examples.flights.load`) and writes one JSON line per request as soon as the
answer is there, so that nothing is lost whatever ends it. SIGTERM or SIGINT ends the sending; requests that are on
their way are still waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
import orjson
import uvloop

from examples.flights.http1 import BadAnswerError, Client

REVISION_HEADER = "x-tidegate-revision"


@dataclass(frozen=True)
class Record:
    """One request.

    Attributes:
        number: position in the schedule, from 0.
        intended_at: when it should have left, seconds since 1970.
        late_ms: how much later it left: the generator's own delay, part of `latency_ms`.
        latency_ms: from `intended_at` to the last byte of the answer, or to the failure.
        status: of the answer; None when there was none.
        revision: that answered, from the header `x-tidegate-revision`; None when the answer names none.
        error: None for status 200, else "http_STATUS", "timeout", "bad_answer" or the name of the OSError.
    """

    number: int
    intended_at: float
    late_ms: float
    latency_ms: float
    status: int | None
    revision: int | None
    error: str | None

    @property
    def failed(self) -> bool:
        return self.error is not None


@dataclass(frozen=True)
class Plan:
    """What to send.

    Attributes:
        url: where to, with the path.
        rate: requests per second, on average.
        seconds: when the sending ends at the latest.
        arrivals: "poisson" (users who do not know of each other) or "constant".
        timeout_seconds: after which a request has failed; counted from the intended time.
        seed: of the Poisson schedule.
    """

    url: str
    rate: float
    seconds: float
    arrivals: str = "poisson"
    timeout_seconds: float = 10.0
    seed: int = 0


def schedule(plan: Plan) -> Iterator[float]:
    """Yield the intended times of sending, in seconds from the start; they rise and end before `plan.seconds`."""
    random = np.random.default_rng(plan.seed)
    at = 0.0
    while True:
        for gap in random.exponential(size=1024).tolist() if plan.arrivals == "poisson" else [1.0] * 1024:
            at += gap / plan.rate
            if at >= plan.seconds:
                return
            yield at


async def generate(plan: Plan, bodies: Sequence[bytes], out: IO[bytes], stop: asyncio.Event) -> int:
    """Send the plan's requests, with `bodies` in turn, until the plan is done or `stop` is set.

    Writes a `Record` as one JSON line per request into `out`, which is flushed every half second and at the end.
    Returns how many requests were sent, which is how many lines were written.
    """
    # The clock of the loop, and finer: uvloop's own knows whole milliseconds.
    clock = time.monotonic
    begun, begun_at = clock(), time.time()
    waiting: set[asyncio.Task[None]] = set()

    async def send(client: Client, number: int, offset: float) -> None:
        intended = begun + offset
        late = clock() - intended
        status, revision, error = None, None, None
        try:
            async with asyncio.timeout_at(intended + plan.timeout_seconds):
                answer = await client.post(bodies[number % len(bodies)])
            status = answer.status
            named = answer.headers.get(REVISION_HEADER, "")
            revision = int(named) if named.isdecimal() else None
            error = None if status == 200 else f"http_{status}"
        except TimeoutError:
            error = "timeout"
        except BadAnswerError:
            error = "bad_answer"
        except OSError as failure:
            error = type(failure).__name__
        latency = clock() - intended
        record = Record(number, begun_at + offset, late * 1e3, latency * 1e3, status, revision, error)
        out.write(orjson.dumps(asdict(record), option=orjson.OPT_APPEND_NEWLINE))

    async def flush() -> None:
        while True:
            await asyncio.sleep(0.5)
            out.flush()

    flushing = asyncio.create_task(flush())
    sent = 0
    try:
        async with Client(plan.url) as client:
            for number, offset in enumerate(schedule(plan)):
                if not await _sleep_until(begun + offset, stop):
                    break
                task = asyncio.create_task(send(client, number, offset))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
                sent += 1
            await asyncio.gather(*waiting)
    finally:
        flushing.cancel()
        out.flush()
    return sent


async def _sleep_until(at: float, stop: asyncio.Event) -> bool:
    """Wait for the clock to reach `at`; False as soon as `stop` is set."""
    if stop.is_set():
        return False
    remaining = at - time.monotonic()
    if remaining <= 0:
        # Behind schedule: send at once, but let answers that have come in be read first.
        await asyncio.sleep(0)
        return True
    try:
        async with asyncio.timeout(remaining):
            await stop.wait()
    except TimeoutError:
        return True
    return False


def read_records(path: Path) -> list[Record]:
    """Read what `generate` wrote so far; a line that is still being written is left out."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return [Record(**orjson.loads(line)) for line in lines]


async def _run(plan: Plan, bodies: Sequence[bytes], path: Path) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with path.open("wb") as out:
        return await generate(plan, bodies, out, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the generator; prints the number of requests sent."""
    parser = argparse.ArgumentParser(prog="python -m examples.flights.load", description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="where to POST, e.g. http://127.0.0.1:8080/arrivals/predict")
    parser.add_argument("--bodies", required=True, type=Path, help="file with one request body per line")
    parser.add_argument("--out", required=True, type=Path, help="file for the records, one JSON object per line")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="stop after so long at the latest")
    parser.add_argument("--arrivals", choices=["poisson", "constant"], default="poisson")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds until a request has failed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    plan = Plan(options.url, options.rate, options.seconds, options.arrivals, options.timeout, options.seed)
    bodies = options.bodies.read_bytes().splitlines()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent = runner.run(_run(plan, bodies, options.out))
    print(sent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
