"""Five times more than the model can do: what is served is served in time, the rest is refused at once."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil

from tests.server.processes import ReplicaProcess, replica
from tidegate.artifact.bundle import Bundle

OBJECTIVE_SECONDS = 0.25
SECONDS = 4.0
CONNECTIONS = 400


class Channel(asyncio.Protocol):
    """A connection that sends one request at a time and notes each answer's status and how long it took."""

    def __init__(self, free: deque[Channel], answers: list[tuple[int, float]]) -> None:
        self._free, self._answers = free, answers
        self._buffer = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        self._free.append(self)

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(body) >= length:
            self._answers.append((int(head.split()[1]), perf_counter() - self._due))
            self._buffer = b""
            self._free.append(self)


async def flood(port: int, request: bytes, rate: float, seconds: float) -> tuple[list[tuple[int, float]], int]:
    """Send at a fixed rate, whatever comes back; return the answers and how many requests found no connection."""
    loop, free, answers, missed = asyncio.get_running_loop(), deque[Channel](), list[tuple[int, float]](), 0
    channels = [
        (await loop.create_connection(lambda: Channel(free, answers), "127.0.0.1", port))[0] for _ in range(CONNECTIONS)
    ]
    begun = perf_counter()
    sent = 0
    while (now := perf_counter() - begun) < seconds:
        while sent < now * rate:
            if free:
                free.popleft().send(request, begun + sent / rate)
            else:
                missed += 1
            sent += 1
        await asyncio.sleep(0.001)
    async with asyncio.timeout(30):
        while len(answers) + missed < sent:  # noqa: ASYNC110 -- the answers come on many connections
            await asyncio.sleep(0.01)
    for channel in channels:
        channel.close()
    return answers, missed


def capacity(running: ReplicaProcess, request: bytes) -> float:
    """Return how many of these requests per second the replica answers, asked by four connections without a pause."""

    async def ask() -> float:
        loop, free, answers = asyncio.get_running_loop(), deque[Channel](), list[tuple[int, float]]()
        for _ in range(4):
            await loop.create_connection(lambda: Channel(free, answers), "127.0.0.1", port_of(running))
        begun = perf_counter()
        while perf_counter() - begun < 1.0:
            while free:
                free.popleft().send(request, perf_counter())
            await asyncio.sleep(0)
        return len(answers) / 1.0

    return asyncio.run(ask())


def port_of(running: ReplicaProcess) -> int:
    port = running.client.base_url.port
    assert port is not None
    return port


def test_at_five_times_the_capacity_the_served_keep_the_objective_and_the_rest_is_refused(
    slow_bundle: Bundle, tmp_path: Path
) -> None:
    body = json.dumps([dict(slow_bundle.sample[0])] * 40).encode()
    request = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    options = ("--latency-objective-ms", str(OBJECTIVE_SECONDS * 1000), "--queue", "5000")
    with replica(slow_bundle.folder, tmp_path, *options) as running:
        able = capacity(running, request)
        memory = psutil.Process(running.process.pid)
        before = memory.memory_info().rss
        answers, _ = asyncio.run(flood(port_of(running), request, 5 * able, SECONDS))
        grown = memory.memory_info().rss - before
        served = np.array([seconds for status, seconds in answers if status == 200])
        refused = np.array([seconds for status, seconds in answers if status == 503])
        told = f"{able:.0f}/s possible; {len(served)} served, p99 {np.quantile(served, 0.99) * 1e3:.0f} ms; "
        print(told + f"{len(refused)} refused, p50 {np.median(refused) * 1e3:.1f} ms; {grown >> 20} MiB more")
        assert {status for status, _ in answers} == {200, 503}
        assert len(served) > 0.5 * able * SECONDS
        # A queue without a bound would have them wait for 4/5 of the flood. The factor is for machines whose processors
        # other tests want, too; alone on a machine the objective itself is kept.
        assert np.quantile(served, 0.99) < 4 * OBJECTIVE_SECONDS < 4 / 5 * SECONDS
        assert np.median(refused) < OBJECTIVE_SECONDS
        assert grown < 100 << 20
        assert running.client.post("/predict", content=body).status_code == 200
