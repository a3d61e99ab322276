"""The load generator keeps to its schedule, counts what it held back, and loses no request."""

from __future__ import annotations

import asyncio
import io
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import orjson
import pytest
import uvloop

from examples.flights.load import Plan, Record, generate, read_records, schedule

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-tidegate-revision: 7\r\n\r\n{}"
Handler = Callable[[bytes], Awaitable[bytes]]
Loop = Callable[[], asyncio.AbstractEventLoop]


@asynccontextmanager
async def serving(answer: Handler) -> AsyncIterator[str]:
    """Serve HTTP on a free port: `answer` gets each request's body and gives the raw answer; empty means hang up."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                raw = await answer(await reader.readexactly(length))
                writer.write(raw)
                if not raw:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}/predict"
    finally:
        server.close()


def run(
    answer: Handler, bodies: tuple[bytes, ...] = (b"{}",), loop: Loop = asyncio.new_event_loop, **plan: object
) -> list[Record]:
    """Run the generator against `answer` and return its records in the order of the schedule."""

    async def go() -> tuple[int, bytes]:
        out = io.BytesIO()
        async with serving(answer) as url:
            sent = await generate(Plan(url=url, **plan), bodies, out, asyncio.Event())  # type: ignore[arg-type]
        return sent, out.getvalue()

    with asyncio.Runner(loop_factory=loop) as runner:
        sent, written = runner.run(go())
    records = [Record(**orjson.loads(line)) for line in written.splitlines()]
    assert len(records) == sent
    return sorted(records, key=lambda record: record.number)


async def at_once(body: bytes) -> bytes:
    return OK


def test_latencies_are_finer_than_the_milliseconds_of_the_loop_that_the_command_runs_on() -> None:
    records = run(at_once, loop=uvloop.new_event_loop, rate=200, seconds=0.2, arrivals="constant")
    assert any(abs(record.latency_ms - round(record.latency_ms)) > 0.01 for record in records)


def test_a_constant_schedule_sends_rate_times_seconds() -> None:
    plan = Plan("http://127.0.0.1/", rate=100, seconds=2, arrivals="constant")
    times = list(schedule(plan))
    assert len(times) in {199, 200}
    assert np.allclose(np.diff(times), 0.01)


def test_a_poisson_schedule_has_the_rate_and_the_scatter_of_one() -> None:
    plan = Plan("http://127.0.0.1/", rate=100, seconds=100, seed=3)
    gaps = np.diff(list(schedule(plan)))
    assert gaps.mean() == pytest.approx(0.01, rel=0.05)
    assert gaps.std() == pytest.approx(0.01, rel=0.1)
    assert list(schedule(plan)) == list(schedule(plan))


def test_every_request_is_sent_once_and_recorded_once() -> None:
    seen: list[bytes] = []

    async def note(body: bytes) -> bytes:
        seen.append(body)
        return OK

    records = run(note, bodies=(b"a", b"bb", b"ccc"), rate=300, seconds=0.5)
    assert [record.number for record in records] == list(range(len(records)))
    expected = list(itertools.islice(itertools.cycle([b"a", b"bb", b"ccc"]), len(records)))
    assert sorted(seen) == sorted(expected)
    assert all(record.revision == 7 and record.status == 200 and not record.failed for record in records)


def test_latency_counts_the_time_a_request_waited_behind_others() -> None:
    service_seconds, rate = 0.02, 100.0
    lane = asyncio.Lock()

    async def one_after_another(body: bytes) -> bytes:
        async with lane:
            await asyncio.sleep(service_seconds)
        return OK

    records = run(one_after_another, rate=rate, seconds=0.8, arrivals="constant")
    gaps = np.diff([record.intended_at for record in records])
    assert np.allclose(gaps, 1 / rate, atol=1e-6)
    # Twice as many requests come as the server can take: the n-th waits for n service times, less its own start.
    last = records[-1]
    owed_ms = (len(records) * service_seconds - last.number / rate) * 1e3
    assert last.latency_ms >= 0.9 * owed_ms
    assert last.late_ms < 0.5 * last.latency_ms


def test_a_generator_that_is_held_up_itself_charges_the_delay_to_the_requests() -> None:
    held_up: list[bool] = []

    async def hold_everything_up_once(body: bytes) -> bytes:
        if not held_up:
            held_up.append(True)
            time.sleep(0.2)  # noqa: ASYNC251  server and generator share this loop: both stand still
        return OK

    records = run(hold_everything_up_once, rate=100, seconds=0.5, arrivals="constant")
    assert len(records) in {49, 50}
    assert max(record.late_ms for record in records) > 100
    assert sum(record.latency_ms > 50 for record in records) > 10


def test_failures_are_told_apart() -> None:
    answers = itertools.cycle(
        [b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nx-tidegate-revision: 3\r\n\r\n", b"", b"what?\r\n\r\n"]
    )

    async def fail(body: bytes) -> bytes:
        return next(answers)

    records = run(fail, rate=100, seconds=0.3, arrivals="constant")
    kinds = {record.error: (record.status, record.revision) for record in records}
    assert kinds == {"http_500": (500, 3), "ConnectionResetError": (None, None), "bad_answer": (None, None)}


def test_a_request_without_an_answer_times_out_from_its_intended_time() -> None:
    async def never(body: bytes) -> bytes:
        await asyncio.Event().wait()
        return OK

    records = run(never, rate=50, seconds=0.2, arrivals="constant", timeout_seconds=0.3)
    assert {record.error for record in records} == {"timeout"}
    assert all(295 <= record.latency_ms < 600 for record in records)


def test_a_refused_connection_is_a_failure_with_a_name() -> None:
    async def go() -> bytes:
        async with serving(at_once) as url:
            pass
        out = io.BytesIO()
        await generate(Plan(url=url, rate=50, seconds=0.1), (b"{}",), out, asyncio.Event())
        return out.getvalue()

    records = [Record(**orjson.loads(line)) for line in asyncio.run(go()).splitlines()]
    assert records
    assert {record.error for record in records} <= {"ConnectionRefusedError", "OSError"}


def test_a_chunked_answer_is_read_whole_and_the_connection_used_again() -> None:
    connections: set[int] = set()

    async def chunked(body: bytes) -> bytes:
        task = asyncio.current_task()
        connections.add(id(task))
        return b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n'

    records = run(chunked, rate=50, seconds=0.5, arrivals="constant")
    assert not any(record.failed for record in records)
    assert len(connections) < len(records) / 2


def test_sigterm_ends_the_sending_and_keeps_every_record(tmp_path: Path) -> None:
    async def go() -> tuple[int, str]:
        count = 0
        enough = asyncio.Event()

        async def counting(body: bytes) -> bytes:
            nonlocal count
            count += 1
            if count == 20:
                enough.set()
            return OK

        (tmp_path / "bodies").write_bytes(b"{}\n")
        async with serving(counting) as url:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "examples.flights.load", "--url", url, "--rate", "100", "--seconds", "60"),
                *("--bodies", str(tmp_path / "bodies"), "--out", str(tmp_path / "records")),
                stdout=subprocess.PIPE,
            )
            async with asyncio.timeout(30):
                await enough.wait()
                process.send_signal(signal.SIGTERM)
                printed, _ = await process.communicate()
        assert process.returncode == 0
        return count, printed.decode()

    count, printed = asyncio.run(go())
    records = read_records(tmp_path / "records")
    assert len(records) == count == int(printed)
    assert not any(record.failed for record in records)
