"""What a replica of somebody else's server holds back from it: requests that nobody waits for, that are too many, too
large, too slow, or that two servers would read in two ways. The server is a real process, the clients real sockets.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from select import select

import httpx
import psutil
import pytest

from tests.server.commands import BundleOf, bundles_in
from tests.server.processes import DEADLINE_SECONDS, ReplicaProcess, replica, wait_until
from tidegate.artifact.bundle import Bundle

MIB = 1 << 20


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> BundleOf:
    return bundles_in(tmp_path_factory.mktemp("bounded-commands"))


@pytest.fixture(scope="module")
def bundle(bundle_of: BundleOf) -> Bundle:
    return bundle_of()


@pytest.fixture(scope="module")
def running(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaProcess]:
    options = ("--max-body-mib", "0.9", "--queue-mib", "1", "--queue", "4")
    with replica(bundle.folder, tmp_path_factory.mktemp("run"), *options) as process:
        yield process


def connect(process: ReplicaProcess) -> socket.socket:
    url = process.client.base_url
    return socket.create_connection((url.host, url.port or 0), DEADLINE_SECONDS)


def rest_of(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def raw(process: ReplicaProcess, request: bytes) -> bytes:
    with connect(process) as connection:
        connection.sendall(request)
        return rest_of(connection)


def gone(process: ReplicaProcess) -> list[str]:
    """Return what the child's requests said that were ended before their answer."""
    found: list[str] = process.client.get("/gone").json()
    return found


def sample(process: ReplicaProcess, name: str, *labels: str) -> float:
    """Return the value of the first sample of this name with these labels, 0 for none."""
    for line in process.client.get("/metrics").text.splitlines():
        if line.startswith(f"{name}{{") and all(label in line for label in labels):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def counted(process: ReplicaProcess, status: int) -> float:
    return sample(process, "tidegate_server_requests_total", f'code="{status}"')


# Time, and who waits


def test_the_time_that_a_client_gives_ends_the_request_and_the_one_of_the_child(running: ReplicaProcess) -> None:
    before = counted(running, 504)
    answer = running.client.post(
        "/wait", content=b"timed", headers={"x-request-timeout-ms": "200", "x-request-id": "late"}
    )
    assert (answer.status_code, answer.headers["x-request-id"]) == (504, "late")
    assert answer.json() == {"error": "the request's time was over before its answer was there"}
    wait_until(lambda: "timed" in gone(running), "the child's request is ended")
    assert counted(running, 504) == before + 1
    assert running.client.post("/predict", json={"values": [1]}).status_code == 200


def test_the_replica_gives_a_time_to_requests_that_do_not(bundle: Bundle, tmp_path: Path) -> None:
    with replica(bundle.folder, tmp_path, "--timeout-seconds", "0.3") as process:
        answer = process.client.post("/wait", content=b"slow", headers={"x-request-timeout-ms": "60000"})
        assert (answer.status_code, "time was over" in answer.json()["error"]) == (504, True)
        wait_until(lambda: "slow" in gone(process), "the child's request is ended")


def test_an_answer_that_has_begun_breaks_off_when_its_time_is_over(running: ReplicaProcess) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        running.client.post("/drip", content=b"dripped", headers={"x-request-timeout-ms": "300"})
    wait_until(lambda: "dripped" in gone(running), "the child's request is ended")


@pytest.mark.parametrize(
    ("path", "more"), [("wait", b""), ("drip", b""), ("wait", b"GET /gone HTTP/1.1\r\nhost: x\r\n\r\n")]
)
def test_a_client_that_goes_ends_the_request_of_the_child(running: ReplicaProcess, path: str, more: bytes) -> None:
    before, name = counted(running, 499), f"left {path} {len(more)}"
    request = f"POST /{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode()
    with connect(running) as connection:
        connection.sendall(request + more)
        wait_until(lambda: name in running.client.get("/begun").json(), "the child has the request")
        assert sample(running, "tidegate_server_requests_in_flight") == 1
    wait_until(lambda: name in gone(running), "the child's request is ended")
    wait_until(lambda: counted(running, 499) == before + 1, "it is counted as one that its client gave up")
    assert sample(running, "tidegate_server_requests_in_flight") == 0


def test_requests_that_were_given_up_leave_their_places_to_others(running: ReplicaProcess) -> None:
    for _ in range(12):  # three times as many as may be under way
        answer = running.client.post("/wait", content=b"again", headers={"x-request-timeout-ms": "30"})
        assert answer.status_code == 504
    assert running.client.post("/predict", json={"values": [1]}).status_code == 200


# Too many, too large


def test_requests_beyond_those_that_may_be_under_way_are_told_when_to_come_back(running: ReplicaProcess) -> None:
    before = sample(running, "tidegate_server_requests_shed_total")
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.post(running.client.base_url.join("/sleep"), content=b"1.5", timeout=30))

    askers = [threading.Thread(target=ask) for _ in range(7)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    shed = [answer for answer in answers if answer.status_code != 200]
    assert [answer.status_code for answer in shed] == [503] * 3
    assert {answer.headers["retry-after"] for answer in shed} == {"1"}
    assert all("too many requests" in answer.json()["error"] for answer in shed)
    assert sample(running, "tidegate_server_requests_shed_total") == before + 3


def test_bodies_that_are_read_may_not_hold_more_than_the_budget(running: ReplicaProcess) -> None:
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 900000\r\n\r\n"

    def ask() -> httpx.Response:
        return running.client.post("/score", content=b'{"values": [1]}' + b" " * 850_000)

    with ExitStack() as opened:
        # The first one is itself refused where its last bytes come after the other's; then it begins anew.
        held = opened.enter_context(connect(running))
        held.sendall(head + b"x" * 800_000)

        def refused() -> httpx.Response | None:
            nonlocal held
            if select([held], [], [], 0)[0]:
                held = opened.enter_context(connect(running))
                held.sendall(head + b"x" * 800_000)
            answer = ask()
            return answer if answer.status_code != 200 else None

        answer = wait_until(refused, "what the first one sent is held")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "hold too much" in answer.json()["error"]
    wait_until(lambda: ask().status_code == 200, "what the first one held is free again")


def test_a_body_of_unknown_length_is_refused_where_it_grows_too_large(running: ReplicaProcess) -> None:
    answer = running.client.post("/echo", content=iter([b"x" * 100_000] * 10))
    assert (answer.status_code, "larger than" in answer.json()["error"]) == (413, True)


def test_an_answer_that_its_client_does_not_take_waits_at_the_child_and_not_here(running: ReplicaProcess) -> None:
    size = 200 * MIB
    memory = psutil.Process(running.process.pid).memory_info
    before = memory().rss
    with connect(running) as connection:
        connection.sendall(b"POST /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\n200")
        received, peak = 0, before
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        received = len(head.partition(b"\r\n\r\n")[2])
        # Other requests are answered meanwhile, and give it time to take in what it would.
        for _ in range(100):
            assert running.client.get("/gone").status_code == 200
            peak = max(peak, memory().rss)
        while part := connection.recv(1 << 20):
            received += len(part)
            peak = max(peak, memory().rss)
    assert received == size
    assert peak - before < 40 * MIB


# Slow clients


def test_clients_that_do_not_get_to_the_end_of_their_requests_take_no_place_from_others(
    running: ReplicaProcess,
) -> None:
    with ExitStack() as stack:
        for begun in (b"POST /echo HT", b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf") * 20:
            stack.enter_context(connection := connect(running)).sendall(begun)
            assert connection.fileno() >= 0
        wait_until(lambda: sample(running, "tidegate_server_requests_in_flight") == 20, "all have begun")
        assert running.client.post("/predict", json={"values": [1, 2]}).json()["sum"] == 3
    wait_until(lambda: sample(running, "tidegate_server_requests_in_flight") == 0, "all are gone")


# What is no HTTP, or not the same HTTP for everybody

MALFORMED = {
    "two hosts": b"GET /echo HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
    "two lengths": b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
    "length and chunks": b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "another coding": b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: gzip, chunked\r\n\r\n"
    b"0\r\n\r\n",
    "no number": b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "no chunk": b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nxx\r\n",
    "no name": b"GET /echo HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
    "bytes in the path": b"GET /echo\xff HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "no request": b"hello\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_is_the_fault_of_its_client(running: ReplicaProcess, request_bytes: bytes) -> None:
    head, _, body = raw(running, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert json.loads(body)["error"]


def test_a_head_has_a_largest_size(running: ReplicaProcess) -> None:
    request = b"GET /echo HTTP/1.1\r\nhost: a\r\n" + b"x-more: %b\r\n" % (b"y" * 1000) * 70 + b"\r\n"
    assert raw(running, request).startswith(b"HTTP/1.1 431 ")


def test_trace_context_and_request_id_are_passed_on_and_what_speaks_of_the_connection_is_not(
    running: ReplicaProcess,
) -> None:
    trace = {
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "baggage": "user=7",
        "x-request-id": "one",
    }
    answer = running.client.get("/echo", headers={**trace, "te": "trailers", "keep-alive": "timeout=5"})
    arrived = {name.lower(): value for name, value in answer.json()["headers"]}
    assert {name: arrived.get(name) for name in trace} == trace
    assert not {"te", "keep-alive"} & arrived.keys()


# The end


def test_a_child_that_dies_is_told_to_those_who_wait_for_it_and_ends_the_replica(
    bundle: Bundle, tmp_path: Path
) -> None:
    with replica(bundle.folder, tmp_path) as process:
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(process.client.base_url.join("/sleep"), content=b"30", timeout=60))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: sample(process, "tidegate_server_requests_in_flight") == 1, "a request waits")
        answers.append(process.client.post("/die"))
        asking.join()
        assert process.process.wait(DEADLINE_SECONDS) == 70
    assert [answer.status_code for answer in answers] == [503, 503]
    assert {answer.json()["error"] for answer in answers} == {
        "the server behind this replica ended before it had answered"
    }
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}


def test_what_is_in_flight_when_the_grace_is_over_is_answered_503_and_the_child_is_told(
    bundle: Bundle, tmp_path: Path
) -> None:
    with replica(bundle.folder, tmp_path, "--drain-seconds", "0", "--grace-seconds", "1") as process:
        address = process.client.base_url.host, process.client.base_url.port or 0
        with closing(connect(process)) as waiting:
            waiting.sendall(b"POST /sleep HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n600")
            wait_until(lambda: sample(process, "tidegate_server_requests_in_flight") == 1, "a request waits")
            process.process.terminate()
            wait_until(lambda: _refuses(address), "new connections are refused")
            head, _, body = rest_of(waiting).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(body) == {"error": "the server ends before this request could be answered"}
        assert process.process.wait(DEADLINE_SECONDS) == 0


def _refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_while_it_drains_every_answer_is_the_last_of_its_connection(bundle: Bundle, tmp_path: Path) -> None:
    with replica(bundle.folder, tmp_path, "--drain-seconds", "5") as process:
        assert "connection" not in process.client.post("/predict", json={"values": [1]}).headers
        process.process.terminate()
        wait_until(lambda: not process.is_ready(), "readiness is gone")
        answer = process.client.post("/predict", json={"values": [1]})
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        process.process.terminate()  # a second time: at once
        assert process.process.wait(DEADLINE_SECONDS) == 0
