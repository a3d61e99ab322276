"""The serving benchmark's load generator omits nothing: stalls, failures and silence are in its figures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving import load
from benchmarks.serving.load import CONNECTIONS, Job, run, schedule, wrong_answers
from tests.benchmarks.odd_server import BIG, STALL_SECONDS


def request(body: bytes = b"[1]") -> bytes:
    return b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n" % len(body) + body


@contextmanager
def serving(way: str) -> Iterator[int]:
    """Run the odd server and give its port."""
    script = Path(__file__).with_name("odd_server.py")
    with subprocess.Popen([sys.executable, str(script), way], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def test_a_stall_is_in_every_latency_that_it_touched_not_only_in_those_under_way() -> None:
    with serving("stall") as port:
        result = run(Job(port, [request()], "open", seconds=2.0, rate=200, arrivals="constant"))
    assert result.statuses == {"200": 400}
    stalled_ms = 1e3 * STALL_SECONDS
    # Due during the stall were 200/s * 0.6 s = 120 requests; they waited 0 to 0.6 s, evenly spread. A generator that
    # sends nothing while it waits would show no more than one slow request per connection.
    assert np.count_nonzero(result.latencies_ms > stalled_ms / 3) > 60 > CONNECTIONS
    assert np.quantile(result.latencies_ms, 0.99) > 0.8 * stalled_ms


def test_a_closed_loop_would_have_hidden_that_stall() -> None:
    with serving("stall") as port:
        result = run(Job(port, [request()], "closed", seconds=1.5))
    assert 1 <= np.count_nonzero(result.latencies_ms > 1e3 * STALL_SECONDS * 0.9) <= CONNECTIONS
    assert result.sent > 10 * CONNECTIONS


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_what_is_never_answered_has_failed_and_waited_until_the_end(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "TIMEOUT_SECONDS", 0.5)
    with serving("hang") as port:
        result = run(Job(port, [request()], mode, seconds=0.5, rate=100, arrivals="constant"))
    # In the open loop those too that never got a connection.
    assert result.statuses == {"timeout": 50 if mode == "open" else CONNECTIONS}
    assert result.failed == result.sent
    assert result.latencies_ms.min() >= 450


def test_errors_and_broken_connections_are_counted_by_kind() -> None:
    with serving("error") as port:
        assert run(Job(port, [request()], "open", seconds=0.2, rate=100, arrivals="constant")).statuses == {"500": 20}
    with serving("hang-up") as port:
        result = run(Job(port, [request()], "open", seconds=0.2, rate=100, arrivals="constant"))
    assert result.failed == result.sent == 20
    assert "200" not in result.statuses


def test_answers_in_chunks_and_servers_that_close_each_connection_are_understood() -> None:
    for way, body in (("chunked", b"[0.5]"), ("close", b"[1]")):
        with serving(way) as port:
            result = run(Job(port, [request()], "open", seconds=0.2, rate=100, arrivals="constant"))
        assert result.statuses == {"200": 20}
        assert {kept for _, kept in result.kept} == {body}


def test_requests_and_answers_larger_than_any_socket_buffer_go_through_whole() -> None:
    with serving("big") as port:
        result = run(Job(port, [request(b"x" * BIG)], "closed", seconds=0.1, connections=2))
    assert result.failed == 0
    assert {len(kept) for _, kept in result.kept} == {BIG + 3}


def test_two_answers_in_a_row_of_one_connection_are_told_apart() -> None:
    with serving("plain") as port:
        result = run(Job(port, [request()], "closed", seconds=0.3, connections=1))
    assert result.failed == 0
    assert result.sent > 10
    assert {kept for _, kept in result.kept} == {b"[0.5]"}


@given(rate=st.floats(1, 5000), seconds=st.floats(0.1, 20), seed=st.integers(0, 2**32 - 1))
def test_a_schedule_rises_ends_in_time_and_has_the_rate(rate: float, seconds: float, seed: int) -> None:
    times = schedule(rate, seconds, "poisson", seed)
    expected = rate * seconds
    assert np.all(np.diff(times) >= 0)
    assert np.all((times >= 0) & (times < seconds))
    assert abs(len(times) - expected) <= 8 * expected**0.5 + 8
    assert np.array_equal(times, schedule(rate, seconds, "poisson", seed))


def test_a_wrong_number_a_wrong_count_and_nonsense_are_found() -> None:
    expected = [np.array([0.5, 2.0])]
    assert wrong_answers([(0, b"[0.5000001, 2.0]")], "data-list", expected) == []
    for body in (b"[0.5001, 2.0]", b"[0.5]", b"nonsense", b"[null, 2.0]", b'{"predictions": [0.5, 2.0]}'):
        assert len(wrong_answers([(0, body)], "data-list", expected)) == 1
