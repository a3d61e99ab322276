"""A cluster over HTTP: what is not one is told as such, in bounded time, and no password is ever said."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tidegate.components import cluster
from tidegate.contract.errors import InvalidInput, Unavailable


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """Serve one answer to everything, as somebody else's server does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>", "not as a cluster of H2O does"),
        (404, b"{}", "/3/Cloud with 404"),
        (200, b"[]", "not as a cluster of H2O does"),
        (200, b'{"version": "1.30.1", "kind": "Status"}', "not as a cluster of H2O does"),
        (200, b'{"version": "newest", "entries": [{"name": "a", "value": "b"}]}', "not as a cluster of H2O does"),
        (401, b"{}", "wants to know who asks"),
    ],
)
def test_what_is_no_cluster_is_told_as_such(status: int, body: bytes, message: str) -> None:
    with answering(status, body) as url, pytest.raises(Unavailable, match=message):
        cluster.found_in_cluster(url)


@pytest.mark.parametrize(
    ("traces", "versions"),
    [
        (['"main" java.base@17.0.9/java.lang.Object.wait', "x java.base@17.0.9/java.util"], ["17.0.9"]),
        (["java.base@17.0.9/a", "java.base@21.0.5+11/b"], ["17.0.9", "21.0.5+11"]),
        (["java.lang.Thread.run"], ["of the cluster"]),
    ],
)
def test_the_javas_of_the_nodes_are_told_by_their_threads(traces: list[str], versions: list[str]) -> None:
    nodes = {"traces": [{"node": "127.0.0.1:54321", "thread_traces": [trace]} for trace in traces]}
    assert [one.text for one in cluster.javas_of(nodes, "http://127.0.0.1:54321")] == versions


def test_a_cluster_that_tells_no_java_says_why() -> None:
    (one,) = cluster.javas_of({}, "http://127.0.0.1:54321", "answered with more than 4 MiB")
    assert (one.versions, one.trouble) == (None, "answered with more than 4 MiB")


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "MOST_BYTES", 1 << 20)
    with answering(200, b" " * (3 << 20)) as url, pytest.raises(Unavailable, match="more than 1 MiB"):
        cluster.found_in_cluster(url)


def test_an_answer_that_is_packed_is_given_up() -> None:
    with answering(200, b"x", content_encoding="gzip") as url, pytest.raises(Unavailable, match="content encoding"):
        cluster.found_in_cluster(url)


def test_who_does_not_answer_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(Unavailable, match=r"no answer within 0\.2 s"):
            cluster.found_in_cluster(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)


def test_nobody_there_is_told_without_the_password() -> None:
    with pytest.raises(Unavailable) as raised:
        cluster.found_in_cluster("http://me:secret@127.0.0.1:1/h2o/")
    assert raised.value.subject == "http://127.0.0.1:1/h2o"
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["127.0.0.1:54321", "ftp://127.0.0.1", "http://", "http://127.0.0.1:999999", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        cluster.found_in_cluster(url)
