"""Users at the edge: through nginx and Envoy to a MOJO that H2O trained."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from examples.flights import data
from examples.flights.mojos import recipes
from tests.stack.conftest import Stack, docker, eventually
from tests.stack.users import over_grpc
from tidegate import mojo


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return data.traffic(data.load_flights(), 50, 11)


@pytest.fixture
def https(stack: Stack) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(stack.secrets / "tls" / "tls.crt"))
    return httpx.Client(base_url=f"https://localhost:{stack.https_port}", verify=context, trust_env=False, timeout=10)


def test_a_mojo_predicts_over_https_what_it_does_in_python(
    https: httpx.Client, arrivals: str, rows: list[dict[str, Any]]
) -> None:
    answer = https.post(f"/{arrivals}/predict", json={"records": rows}, headers={"x-request-id": "mine"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == mojo.load(recipes.RECIPES[0].path).predict(rows)
    assert answer.headers["x-tidegate-revision"] == "1"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["strict-transport-security"] == "max-age=63072000"


@pytest.mark.parametrize(
    ("version", "spoken"),
    [(ssl.TLSVersion.TLSv1_1, None), (ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
def test_tls_is_spoken_from_1_2_on(stack: Stack, version: ssl.TLSVersion, spoken: str | None) -> None:
    context = ssl.create_default_context(cafile=str(stack.secrets / "tls" / "tls.crt"))
    # So that it is the server who refuses what is too old.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", stack.https_port), 10) as plain:
        if spoken is None:
            with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
                context.wrap_socket(plain, server_hostname="localhost")
            return
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            assert secure.version() == spoken


def test_who_begins_a_request_and_says_no_more_is_hung_up_on(stack: Stack) -> None:
    context = ssl.create_default_context(cafile=str(stack.secrets / "tls" / "tls.crt"))
    with (
        socket.create_connection(("127.0.0.1", stack.https_port), 60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"POST /arrivals/predict HTTP/1.1\r\nhost: localhost\r\n")
        # It waits for 10 s for the rest of the head; without a limit this ends with the socket's timeout.
        said = secure.recv(1000)
        assert said == b"" or said.startswith(b"HTTP/1.1 408"), said


def test_the_edge_of_this_server_predicts_the_same_without_tls(
    stack: Stack, arrivals: str, rows: list[dict[str, Any]]
) -> None:
    url = f"http://127.0.0.1:{stack.environment['EDGE_PORT']}/{arrivals}/predict"
    answer = httpx.post(url, json={"records": rows}, trust_env=False)
    assert answer.json()["predictions"] == mojo.load(recipes.RECIPES[0].path).predict(rows)


def test_http_2_is_spoken_to_who_asks_for_it(stack: Stack) -> None:
    context = ssl.create_default_context(cafile=str(stack.secrets / "tls" / "tls.crt"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", stack.https_port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"
        assert secure.version() == "TLSv1.3"


def test_grpc_reaches_the_model_through_tls(stack: Stack, arrivals: str, rows: list[dict[str, Any]]) -> None:
    expected = mojo.load(recipes.RECIPES[0].path).predict(rows[:5])
    assert over_grpc(stack, arrivals, rows[:5]) == [row["predict"] for row in expected]


def test_a_request_without_tls_is_sent_to_where_there_is_some(stack: Stack) -> None:
    url = f"http://localhost:{stack.environment['HTTP_PORT']}/arrivals/predict?a=b"
    answer = httpx.get(url, trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["location"] == "https://localhost/arrivals/predict?a=b"


def test_a_body_beyond_the_limit_is_refused_at_the_edge(https: httpx.Client, arrivals: str) -> None:
    answer = https.post(f"/{arrivals}/predict", content=b" " * (17 * 1024 * 1024))
    assert answer.status_code == 413
    assert "x-tidegate-revision" not in answer.headers


def test_a_line_of_the_log_is_json_and_has_the_users_id(stack: Stack, https: httpx.Client, arrivals: str) -> None:
    https.get(f"/{arrivals}/v2/health/ready?secret=1", headers={"x-request-id": "logged"})

    def line() -> dict[str, Any] | None:
        lines = stack.compose("logs", "--no-log-prefix", "nginx").splitlines()
        found = [json.loads(one) for one in lines if '"logged"' in one]
        return found[-1] if found else None

    found = eventually("the line", line)
    assert found["status"] == 200
    assert found["path"] == f"/{arrivals}/v2/health/ready"
    assert "secret" not in json.dumps(found)


def test_a_renewed_certificate_is_served_without_a_restart(stack: Stack) -> None:
    def served() -> str:
        return ssl.get_server_certificate(("127.0.0.1", stack.https_port))

    before, begun = served(), stack.inspect("nginx")["State"]["StartedAt"]
    folder = stack.secrets / "tls"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "9",
    ]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*words, "-keyout", folder / "k", "-out", folder / "c"], capture_output=True, check=True)
    for new, name in (("k", "tls.key"), ("c", "tls.crt")):
        (folder / new).chmod(0o444)
        (folder / new).replace(folder / name)
    eventually("the new certificate", lambda: served() != before)
    assert stack.inspect("nginx")["State"]["StartedAt"] == begun


def test_models_answer_while_the_controller_is_killed_and_started_again(
    stack: Stack, https: httpx.Client, arrivals: str, rows: list[dict[str, Any]]
) -> None:
    home = "/var/lib/tidegate/controller.json"
    before = json.loads(stack.run("tidegate", "cat", home))["pid"]
    stack.run("tidegate", "python", "-c", f"import os; os.kill({before}, 9)")

    def another() -> bool:
        answer = https.post(f"/{arrivals}/predict", json={"records": rows[:1]})
        assert answer.status_code == 200, answer.text
        now = stack.try_compose("exec", "-T", "tidegate", "tidegate", "list", "--output", "json")
        return now.returncode == 0 and json.loads(stack.run("tidegate", "cat", home))["pid"] != before

    eventually("another controller", another)


def test_a_container_that_is_replaced_serves_what_was_deployed(
    stack: Stack, https: httpx.Client, arrivals: str, rows: list[dict[str, Any]]
) -> None:
    before = stack.inspect("tidegate")["Id"]
    up = ("up", "--detach", "--wait", "--no-deps", "--force-recreate", "tidegate")
    stack.compose(*up, seconds=300)
    assert stack.inspect("tidegate")["Id"] != before

    def predicts() -> bool:
        return https.post(f"/{arrivals}/predict", json={"records": rows[:1]}).status_code == 200

    eventually("answers of the new container", predicts)
    assert docker("logs", stack.inspect("tidegate")["Id"]).count("Tidegate is up") == 1


def test_a_client_that_asks_for_more_than_its_share_is_told_so_and_answered_again_later(stack: Stack) -> None:
    with ThreadPoolExecutor(6) as pool:
        answered = pool.map(_pipelined, [stack.https_port] * 6, [900] * 6)
        statuses = Counter(status for found in answered for status in found)
    assert set(statuses) == {200, 429}, statuses
    # A thousand at once, and five hundred more for each second.
    assert statuses[200] >= 1000
    eventually("the client is answered again", lambda: _pipelined(stack.https_port, 1) == [200])


def _pipelined(port: int, count: int) -> list[int]:
    """Ask over one connection without waiting for answers; return the statuses in their order."""
    context = ssl._create_unverified_context()  # noqa: S323 -- the certificate is another test's matter
    asked = b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n" * (count - 1)
    last = b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 30) as plain, context.wrap_socket(plain) as secure:
        sending = threading.Thread(target=secure.sendall, args=(asked + last,))
        sending.start()
        answers = b"".join(iter(lambda: secure.recv(1 << 16), b""))
        sending.join()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]
