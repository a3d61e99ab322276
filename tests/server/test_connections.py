"""HTTP as clients really speak it: pipelined, in pieces, slowly, in old versions, and gone in the middle."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.server.conftest import InProcess, Serve
from tests.server.processes import wait_until
from tidegate.artifact.bundle import Bundle
from tidegate.server import patience
from tidegate.server.connection import Connection
from tidegate.server.protocols.base import Limits

WIDE = Limits(body_bytes=10**7, rows=10_000)


class Wire:
    """A raw connection to a server."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=20)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one whole answer: status, headers, body."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        status, length = int(first.split()[1]), int(headers.get("content-length", 0))
        while len(rest) < length:
            self._buffer = b""
            self._more()
            rest += self._buffer
        self._buffer = rest[length:]
        return status, headers, rest[:length]

    def is_closed(self) -> bool:
        """Wait for the end of the connection; False when bytes come instead."""
        try:
            return self._buffer == b"" and self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise AssertionError(f"closed in the middle of an answer: {self._buffer!r}")
        self._buffer += data


@contextmanager
def wire(client: InProcess) -> Iterator[Wire]:
    with closing(Wire(client.address)) as opened:
        yield opened


def post(body: bytes, *headers: str, path: str = "/predict", version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "host: replica", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture(scope="module")
def quick(serve: Serve, quick_bundle: Bundle) -> InProcess:
    return serve(quick_bundle)[1]


@pytest.fixture(scope="module")
def body(quick_bundle: Bundle) -> bytes:
    return json.dumps([dict(quick_bundle.sample[0])]).encode()


def test_pipelined_requests_are_answered_in_order_hot_and_cold_ones_mixed(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        cold = b"GET /v2/health/ready HTTP/1.1\r\nhost: x\r\n\r\n"
        opened.send(post(body, "x-request-id: one") + cold + post(b"[", "x-request-id: two") + cold + post(body))
        answers = [opened.answer() for _ in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 400, 200, 200]
        assert [headers.get("x-request-id") for _, headers, _ in answers][:3] == ["one", None, "two"]
        assert json.loads(answers[1][2])["ready"] is True


def test_many_pipelined_requests_are_all_answered(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        opened.send(b"".join(post(body, f"x-request-id: {number}") for number in range(200)))
        assert [opened.answer()[1]["x-request-id"] for _ in range(200)] == [str(number) for number in range(200)]


def test_a_request_may_come_byte_by_byte(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        for byte in post(body):
            opened.send(bytes([byte]))
        assert opened.answer()[0] == 200


def test_a_chunked_body_is_put_together(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        opened.send(b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        for part in (body[:5], body[5:]):
            opened.send(b"%x\r\n%b\r\n" % (len(part), part))
        opened.send(b"0\r\n\r\n")
        assert opened.answer()[0] == 200


def test_a_client_that_asks_whether_to_go_on_is_told(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        head, _, _ = post(body, "expect: 100-continue").partition(b"\r\n\r\n")
        opened.send(head + b"\r\n\r\n")
        assert opened.answer()[0] == 100
        opened.send(body)
        assert opened.answer()[0] == 200


def test_a_client_that_asks_whether_to_send_too_much_is_refused_before_it_does(quick: InProcess) -> None:
    with wire(quick) as opened:
        opened.send(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\nexpect: 100-continue\r\n\r\n")
        assert opened.answer()[0] == 413


def test_after_a_body_that_was_too_large_the_connection_goes_on(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        opened.send(post(b" " * 300_000) + post(body))
        assert [opened.answer()[0] for _ in range(2)] == [413, 200]


@pytest.mark.parametrize("headers", [(), ("Connection: keep-alive",)])
def test_http_1_0_is_answered_and_closed(quick: InProcess, body: bytes, headers: tuple[str, ...]) -> None:
    with wire(quick) as opened:
        opened.send(post(body, *headers, version="1.0"))
        status, answered, _ = opened.answer()
        assert (status, answered["connection"]) == (200, "close")
        assert opened.is_closed()


def test_connection_close_is_obeyed(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        opened.send(post(body, "connection: close"))
        assert opened.answer()[1]["connection"] == "close"
        assert opened.is_closed()


@pytest.mark.parametrize("path", ["/predict?trace=1", "http://replica/predict", "/%70redict", "/predict?"])
def test_other_ways_to_write_a_path_lead_to_it(quick: InProcess, body: bytes, path: str) -> None:
    with wire(quick) as opened:
        opened.send(post(body, path=path))
        assert opened.answer()[0] == 200


def test_an_offer_to_upgrade_is_left_be_and_the_request_answered(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        opened.send(
            post(body, "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")
        )
        assert opened.answer()[0] == 200


def test_every_answer_has_a_date(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        opened.send(post(body))
        assert opened.answer()[1]["date"].endswith("gmt")


def test_head_of_an_inference_path_has_no_body(quick: InProcess) -> None:
    answer = quick.request("HEAD", "/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"nonsense\r\n\r\n"])
def test_what_is_no_http_is_refused_and_closed(quick: InProcess, garbage: bytes) -> None:
    with wire(quick) as opened:
        opened.send(garbage)
        status, headers, body = opened.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert "error" in json.loads(body)
        assert opened.is_closed()


def test_endless_headers_are_refused(quick: InProcess) -> None:
    with wire(quick) as opened:
        opened.send(b"POST /predict HTTP/1.1\r\n")
        for number in range(200):
            opened.send(b"x-%d: %b\r\n" % (number, b"v" * 1000))
        assert opened.answer()[0] == 431
        assert opened.is_closed()


@pytest.mark.parametrize("begun", [b"POST /predict HTTP/1.1\r\nx: ", b"POST /predict HTTP/1.1\r\n", b"POST /"])
def test_a_header_that_does_not_end_is_refused(quick: InProcess, begun: bytes) -> None:
    with wire(quick) as opened:
        opened.send(begun + b"a" * 300_000)
        assert opened.answer()[0] in (400, 431)
        assert opened.is_closed()


def test_connect_is_refused(quick: InProcess) -> None:
    with wire(quick) as opened:
        opened.send(b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n" + b"x" * 200_000)
        assert opened.answer()[0] == 400
        assert opened.is_closed()


def metric(client: InProcess, name: str) -> float:
    text = client.get("/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_a_request_whose_client_went_away_is_taken_out_of_the_queue(serve: Serve, slow_bundle: Bundle) -> None:
    # However long the machine takes for the rows, the other request is to wait and not to be refused.
    replica, client = serve(slow_bundle, limits=WIDE, queue_bytes=10**8, latency_objective_seconds=600.0)
    row = dict(slow_bundle.sample[0])
    with wire(client) as busy, wire(client) as gone:
        busy.send(post(json.dumps([row] * 5000).encode()))
        wait_until(lambda: replica.pending == 1, "the model is busy")
        gone.send(post(json.dumps([row]).encode()))
        wait_until(lambda: replica.pending == 2, "the other request waits")
        gone.close()
        wait_until(lambda: replica.pending < 2, "it is taken out of the queue")
        assert busy.answer()[0] == 200
    wait_until(lambda: metric(client, "tidegate_server_requests_in_flight{") == 0, "nothing is in flight")
    assert metric(client, 'tidegate_server_requests_total{code="499"') == 1


def slow_rows(bundle: Bundle, rows: int) -> bytes:
    return json.dumps([dict(bundle.sample[0])] * rows).encode()


@pytest.mark.parametrize("header", ["x-request-timeout-ms: 30", "x-envoy-expected-rq-timeout-ms: 30"])
def test_a_request_is_given_up_when_its_client_does(serve: Serve, slow_bundle: Bundle, header: str) -> None:
    _, client = serve(slow_bundle, limits=WIDE, queue_bytes=10**8)
    with wire(client) as opened:
        opened.send(post(slow_rows(slow_bundle, 9000), header, "x-request-id: late"))
        status, headers, body = opened.answer()
        assert (status, headers["x-request-id"]) == (504, "late")
        assert "time was over" in json.loads(body)["error"]
        opened.send(post(slow_rows(slow_bundle, 1)))
        assert opened.answer()[0] == 200


def test_a_server_may_set_the_time_of_requests_that_do_not(serve: Serve, slow_bundle: Bundle) -> None:
    _, client = serve(slow_bundle, limits=WIDE, queue_bytes=10**8, timeout_seconds=0.02)
    assert client.post("/predict", content=slow_rows(slow_bundle, 9000)).status_code == 504


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "CLIENT_SECONDS", 0.3)
    monkeypatch.setattr(patience, "FIRST_REQUEST_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
def test_a_body_that_does_not_come_is_answered_408_and_closed(quick: InProcess, body: bytes) -> None:
    with wire(quick) as opened:
        opened.send(post(body)[:-3])
        assert opened.answer()[0] == 408
        assert opened.is_closed()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begun", [b"", b"\r\n", b"POST /predict HT", b"POST /predict HTTP/1.1\r\nx-a: "])
def test_a_client_that_never_gets_to_its_request_is_let_go(quick: InProcess, begun: bytes) -> None:
    with wire(quick) as opened:
        opened.send(begun)
        assert opened.is_closed()


def test_a_client_that_does_not_take_its_answers_is_let_go(
    serve: Serve, tensor_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "CLIENT_SECONDS", 3.0)
    _, client = serve(tensor_bundle)
    request = post(json.dumps([[5.1, 3.5, 1.4]] * 1000).encode())
    with wire(client) as opened:
        before: Any = metric(client, "tidegate_server_requests_total{")
        opened._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises((ConnectionResetError, BrokenPipeError, TimeoutError)):
            opened.send(request * 20_000)
    wait_until(lambda: metric(client, "tidegate_server_requests_total{") > before, "some requests were answered")


@pytest.mark.parametrize("headers", [[], ["connection: close"]], ids=["kept alive", "to be closed"])
def test_a_client_that_leaves_the_last_bytes_of_its_answer_is_let_go(
    serve: Serve, tensor_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, headers: list[str]
) -> None:
    _, client = serve(tensor_bundle)
    body = json.dumps([[5.1, 3.5, 1.4]] * 100).encode()
    known = set(client.server.server_state.connections)
    with closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(client.address)
        wait_until(lambda: set(client.server.server_state.connections) - known, "the connection is there")
        (served,) = set(client.server.server_state.connections) - known
        assert isinstance(served, Connection)

        async def waiting() -> int:
            return int(served.transport.get_write_buffer_size())

        def ask(*more: str) -> None:
            answered = client.server.server_state.total_requests
            deaf.sendall(post(body, *more))
            wait_until(lambda: client.server.server_state.total_requests > answered, "an answer is written")

        while not client.call(waiting):  # until the kernel takes no more
            ask()
        assert served.patience.paused_since is None
        monkeypatch.setattr(patience, "CLIENT_SECONDS", 0.3)
        ask(*headers)
        wait_until(lambda: served not in client.server.server_state.connections, "the connection is let go")


def test_bodies_that_are_being_read_may_not_hold_more_than_the_budget(serve: Serve, quick_bundle: Bundle) -> None:
    _, client = serve(quick_bundle, queue_bytes=250_000)
    with wire(client) as one, wire(client) as other:
        one.send(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 190000\r\n\r\n" + b" " * 180_000)
        other.send(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 190000\r\n\r\n" + b" " * 180_000)
        other.send(b" " * 10_000)
        assert other.answer()[0] == 503
        one.close()
        wait_until(
            lambda: client.post("/predict", content=b" " * 190_000).status_code == 400, "what one held is free again"
        )
