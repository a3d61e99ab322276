"""Twenty thousand malformed requests over real sockets to a real process: 4xx with a sentence, and nothing remains.

The generator is in `fuzzing`; a request that its mutation left valid may be answered 200.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.server import fuzzing
from tests.server.processes import ReplicaProcess, replica, wait_until
from tidegate.artifact.bundle import Bundle

SEED = int(os.environ.get("TIDEGATE_FUZZ_SEED", "20240229"))
REQUESTS = 20_000
WARM_UP = 4_000
PIPELINED = 8
#: Beyond what a warm process holds: allocators give back in large pieces, and only some.
GROWTH_BYTES = 48 * 1024 * 1024

ROW = fuzzing.ROW


class Wire:
    """One connection, on which raw bytes go out and answers come in."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=20)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, bytes, bool]:
        """Return status and body of the next answer, and whether the server closes after it."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._receive()
        head = self._buffer[:end].lower()
        status = int(head[9:12])
        found = re.search(rb"\ncontent-length: (\d+)", head)
        assert found is not None, head
        start, length = end + 4, int(found[1])
        while len(self._buffer) < start + length:
            self._receive()
        body, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
        return status, body, b"\nconnection: close" in head

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> None:
        part = self._socket.recv(1 << 16)
        if not part:
            raise EOFError("the server closed the connection")
        self._buffer += part


@pytest.fixture(scope="module")
def running(flights_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaProcess]:
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    with replica(flights_bundle.folder, folder, "--max-body-mib", "1", "--max-rows", "1000") as running:
        yield running


def address_of(running: ReplicaProcess) -> tuple[str, int]:
    url = running.client.base_url
    return url.host, url.port or 80


def memory_of(running: ReplicaProcess) -> int:
    """Return the resident bytes of the replica's processes."""
    parent = psutil.Process(running.process.pid)
    return sum(process.memory_info().rss for process in (parent, *parent.children(recursive=True)))


def check(request: fuzzing.Request, status: int, body: bytes) -> None:
    told = f"{request.method} {request.path} {request.headers} {request.body[:300]!r} -> {status} {body[:300]!r}"
    assert status == 200 or 400 <= status < 500, told
    if status != 200:
        assert len(json.loads(body)["error"]) > 5, told


def fire(running: ReplicaProcess, rng: Random, count: int) -> Counter[int]:
    """Send requests, several at a time, and return how many got each status."""
    statuses: Counter[int] = Counter()
    wire = Wire(address_of(running))
    try:
        while statuses.total() < count:
            requests = [fuzzing.request(rng) for _ in range(PIPELINED)]
            wire.send(b"".join(request.wire() for request in requests))
            for request in requests:
                status, body, closes = wire.answer()
                check(request, status, body)
                statuses[status] += 1
                assert not closes, (request, status, body)
    finally:
        wire.close()
    return statuses


def is_healthy(running: ReplicaProcess, expected: object) -> None:
    """Assert that a valid request gets its answer and that nothing is left in flight."""
    assert running.client.post("/predict", json=[ROW]).json() == expected

    def in_flight() -> float:
        found = re.search(r"^tidegate_\w*in_flight\w*(?:\{.*\})? (\S+)$", running.client.get("/metrics").text, re.M)
        assert found is not None
        return float(found[1])

    wait_until(lambda: in_flight() == 0, "no request is in flight")


def test_malformed_requests_are_answered_4xx_and_leave_nothing_behind(running: ReplicaProcess) -> None:
    expected = running.client.post("/predict", json=[ROW]).json()
    fire(running, Random(SEED), WARM_UP)
    before = memory_of(running)
    statuses = fire(running, Random(SEED + 1), REQUESTS)
    assert statuses.total() >= REQUESTS
    assert sum(count for status, count in statuses.items() if status >= 400) > REQUESTS / 2, statuses
    assert {200, 400, 404, 405, 406, 413, 415} <= statuses.keys(), statuses
    assert memory_of(running) - before < GROWTH_BYTES
    is_healthy(running, expected)
    assert not [line for line in running.log_lines() if line["level"] in ("ERROR", "CRITICAL")]


def test_what_is_not_http_is_answered_4xx_and_closed(running: ReplicaProcess) -> None:
    expected = running.client.post("/predict", json=[ROW]).json()
    rng = Random(SEED)
    for _ in range(1_000):
        data = fuzzing.broken_http(rng)
        wire = Wire(address_of(running))
        try:
            wire.send(data)
            wire._socket.shutdown(socket.SHUT_WR)
            status, body, closes = wire.answer()
            assert 400 <= status < 500, (status, data[:200])
            assert json.loads(body)["error"], data[:200]
            assert closes, data[:200]
        except (EOFError, ConnectionError):
            # Too little to be answered, or it went on sending after its answer.
            pass
        finally:
            wire.close()
    is_healthy(running, expected)


def test_clients_that_go_away_leave_nothing_in_flight(running: ReplicaProcess) -> None:
    expected = running.client.post("/predict", json=[ROW]).json()
    rng = Random(SEED)
    whole = fuzzing.Request("/predict", fuzzing.dumped([ROW] * 50)).wire()
    for _ in range(500):
        wire = Wire(address_of(running))
        wire.send(whole * rng.randrange(4) + fuzzing.cut_short(rng))
        wire.close()
    is_healthy(running, expected)
