"""A replica whose server is somebody else's: requests pass through as they are; it lives and dies with its child."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.server.commands import APP, SETTINGS, BundleOf, bundles_in
from tests.server.processes import DEADLINE_SECONDS, ReplicaProcess, replica, spawn, wait_until
from tidegate.artifact.build import BuildLimits, BuildRequest, build_bundle
from tidegate.artifact.bundle import Bundle, verify_bundle
from tidegate.contract.errors import InvalidInput


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> BundleOf:
    return bundles_in(tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="session")
def bundle(bundle_of: BundleOf) -> Bundle:
    return bundle_of()


@pytest.fixture(scope="module")
def running(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with replica(bundle.folder, tmp_path_factory.mktemp("run"), "--max-body-mib", "0.1", "--queue", "4") as process:
        yield process


def family_of(process: ReplicaProcess) -> list[psutil.Process]:
    """Return the guard, the command and what it started."""
    return psutil.Process(process.process.pid).children(recursive=True)


def command_of(process: ReplicaProcess) -> psutil.Process:
    return next(member for member in family_of(process) if "http_app.py" in " ".join(member.cmdline()[1:2]))


def all_gone(members: list[psutil.Process]) -> bool:
    return not [member for member in members if member.is_running()]


def raw(process: ReplicaProcess, request: bytes) -> bytes:
    """Send bytes on a connection of their own and return all that comes until it is closed."""
    with socket.create_connection((process.client.base_url.host, process.client.base_url.port or 0), 30) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


# Passing on


def test_predict_goes_to_the_predict_path(running: ReplicaProcess) -> None:
    answer = running.client.post("/predict", json={"values": [1, 2, 3]})
    assert (answer.status_code, answer.json()["sum"]) == (200, 6)
    assert answer.headers["x-tidegate-revision"] == "3"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_method_path_query_headers_and_body_arrive_as_they_were_sent(running: ReplicaProcess, method: str) -> None:
    body = bytes(range(256)) if method != "GET" else b""
    answer = running.client.request(
        method, "/echo?a=%2F&b=1&b=", content=body, headers={"X-Token": "a b", "Cookie": "c=d", "Connection": "X-Hop"}
    )
    seen = answer.json()
    assert (seen["method"], seen["path"], bytes.fromhex(seen["body"])) == (method, "/echo?a=%2F&b=1&b=", body)
    arrived = {name.lower(): value for name, value in seen["headers"]}
    assert (arrived["x-token"], arrived["cookie"]) == ("a b", "c=d")
    assert arrived["host"] == f"127.0.0.1:{running.client.base_url.port}"
    assert "connection" not in arrived or "hop" not in arrived["connection"].lower()
    added = {"accept", "accept-encoding", "user-agent", "content-length"}  # what the test's own client sends
    assert set(arrived) <= {"x-token", "cookie", "host", *added}


def test_headers_of_the_answer_keep_their_order_and_their_doubles_and_get_none_twice(running: ReplicaProcess) -> None:
    head = raw(running, b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").partition(b"\r\n\r\n")[0]
    first, *lines = head.split(b"\r\n")
    assert first == b"HTTP/1.1 200 OK"
    # Names have no case (RFC 9110, section 5.1), and come in lower case.
    headers = [tuple(line.split(b": ", 1)) for line in lines]
    names = [name.lower() for name, _ in headers]
    assert [value for name, value in headers if name.lower() == b"x-twice"] == [b"1", b"2"]
    assert names.count(b"date") == names.count(b"server") == names.count(b"content-type") == 1
    assert names.index(b"server") < names.index(b"date") < names.index(b"content-type") < names.index(b"x-case")


def test_a_path_arrives_byte_for_byte(running: ReplicaProcess) -> None:
    path = b"/echo?x=%41%2f~'\"<>;"
    answer = raw(running, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"] == path.decode()


def test_a_body_in_pieces_arrives_whole(running: ReplicaProcess) -> None:
    answer = running.client.post("/echo", content=iter([b"one ", b"two"]))
    assert bytes.fromhex(answer.json()["body"]) == b"one two"


@pytest.mark.parametrize("status", [201, 204, 302, 304, 404, 418, 500, 503])
def test_statuses_pass_through(running: ReplicaProcess, status: int) -> None:
    assert running.client.get(f"/status/{status}").status_code == status


def test_an_answer_to_head_has_headers_and_no_body(running: ReplicaProcess) -> None:
    answer = running.client.head("/status/200")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "2", b"")


def test_an_answer_in_pieces_passes_through(running: ReplicaProcess) -> None:
    assert running.client.get("/chunks").text == "one two three"


def test_own_paths_are_answered_here_and_counted_apart(running: ReplicaProcess) -> None:
    assert running.client.get("/v2/health/live").json() == {"live": True}
    assert running.client.get("/v2/health/ready").json() == {"ready": True, "phase": "serving"}
    before = counted(running)
    running.client.post("/predict", json={"values": []})
    running.client.get("/status/418")
    after = counted(running)
    assert after["200"] == before.get("200", 0) + 1
    assert after["418"] == before.get("418", 0) + 1


def counted(process: ReplicaProcess) -> dict[str, int]:
    found = {}
    for line in process.client.get("/metrics").text.splitlines():
        if line.startswith("tidegate_server_requests_total{"):
            assert 'deployment="flights"' in line
            assert 'protocol="http"' in line
            found[line.partition('code="')[2].partition('"')[0]] = int(float(line.rsplit(" ", 1)[1]))
    return found


# What is wrong


def test_a_body_above_the_limit_is_refused_and_not_passed_on(running: ReplicaProcess) -> None:
    answer = running.client.post("/echo", content=b"x" * 200_000)
    assert answer.status_code == 413
    assert "larger than" in answer.json()["error"]
    assert running.client.post("/echo", content=iter([b"x" * 60_000] * 3)).status_code == 413


def test_an_answer_that_is_no_http_becomes_502(running: ReplicaProcess) -> None:
    answer = running.client.get("/nonsense")
    assert answer.status_code == 502
    assert "did not answer" in answer.json()["error"]


def test_an_answer_that_breaks_off_reaches_the_client_as_one(running: ReplicaProcess) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        running.client.get("/cut")
    assert running.client.get("/status/200").status_code == 200


def test_more_requests_than_may_be_under_way_are_answered_503_at_once(running: ReplicaProcess) -> None:
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(httpx.post(running.client.base_url.join("/sleep"), content=b"1.5", timeout=30).status_code)

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert sorted(statuses) == [200] * 4 + [503] * 4


def test_silence_of_the_child_becomes_504(bundle_of: BundleOf, tmp_path: Path) -> None:
    with replica(bundle_of(timeoutSeconds=0.3).folder, tmp_path) as process:
        assert process.client.post("/sleep", content=b"5").status_code == 504
        assert process.client.get("/status/200").status_code == 200


# Life and death


def test_grpc_is_refused_and_not_left_out_in_silence(bundle: Bundle, tmp_path: Path) -> None:
    process = spawn(bundle.folder, tmp_path, "--grpc-port", "0")
    assert process.wait(DEADLINE_SECONDS) == 78
    assert "passed on over HTTP alone" in (tmp_path / "log").read_text()


def test_it_ends_in_order_and_leaves_nothing_of_the_child(bundle_of: BundleOf, tmp_path: Path) -> None:
    with replica(bundle_of(environment={"HELPER": "1"}).folder, tmp_path) as process:
        members = family_of(process)
        helper = psutil.Process(process.client.get("/helper").json()["pid"])
        assert process.stop() == 0
        assert all_gone([*members, helper])
    lines = (tmp_path / "log").read_text().splitlines()
    assert any(line.startswith("listening on ") for line in lines), "what the child says is in the log"
    assert '"message":"ended"' in lines[-1]


def test_requests_in_flight_finish_and_readiness_is_gone_at_once(bundle: Bundle, tmp_path: Path) -> None:
    with replica(bundle.folder, tmp_path, "--drain-seconds", "1") as process:
        answers: list[int] = []

        def ask() -> None:
            answers.append(httpx.post(process.client.base_url.join("/sleep"), content=b"2", timeout=30).status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: "requests_in_flight" in (text := process.client.get("/metrics").text)
                   and _in_flight(text) == 1, "the request is in flight")  # fmt: skip
        process.process.terminate()
        wait_until(lambda: process.client.get("/v2/health/ready").status_code == 503, "readiness is gone")
        assert process.client.post("/predict", json={"values": [1]}).status_code == 200
        assert process.process.wait(DEADLINE_SECONDS) == 0
        asking.join()
        assert answers == [200]


def _in_flight(text: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith("tidegate_server_requests_in_flight{")]
    return float(lines[0].rsplit(" ", 1)[1])


def test_a_child_that_ignores_sigterm_is_killed(bundle_of: BundleOf, tmp_path: Path) -> None:
    with replica(bundle_of(environment={"STUBBORN": "1"}).folder, tmp_path, "--grace-seconds", "1") as process:
        members = family_of(process)
        assert process.stop() == 0
        assert all_gone(members)


def test_a_killed_child_takes_the_replica_with_it(bundle: Bundle, tmp_path: Path) -> None:
    with replica(bundle.folder, tmp_path) as process:
        members = family_of(process)
        command_of(process).kill()
        assert process.process.wait(DEADLINE_SECONDS) == 70
        assert all_gone(members)
    assert "the command ended by itself" in (tmp_path / "log").read_text()


def test_a_killed_replica_takes_the_child_with_it(bundle_of: BundleOf, tmp_path: Path) -> None:
    with replica(bundle_of(environment={"HELPER": "1"}).folder, tmp_path) as process:
        members = family_of(process)
        assert len(members) == 3
        members.append(psutil.Process(process.client.get("/helper").json()["pid"]))
        os.kill(process.process.pid, signal.SIGKILL)
        process.process.wait(DEADLINE_SECONDS)
        wait_until(lambda: all_gone(members), "nothing is left")
        again = spawn(bundle_of(environment={"HELPER": "1"}).folder, tmp_path)
        try:
            state = wait_until(lambda: _state_of(tmp_path, again.pid), "the next one listens")
            url = f"http://{state['host']}:{state['port']}/v2/health/ready"
            wait_until(lambda: httpx.get(url).status_code == 200, "the next one is ready")
            assert len(list(tmp_path.glob("work-*"))) == 1, "the folder of the one before is gone"
        finally:
            again.terminate()
            assert again.wait(DEADLINE_SECONDS) == 0


def _state_of(run_dir: Path, pid: int) -> dict[str, Any] | None:
    state: dict[str, Any] = json.loads((run_dir / "state.json").read_bytes())
    return state if state["pid"] == pid else None


def test_a_stopped_child_is_not_ready_and_is_again_when_it_goes_on(bundle: Bundle, tmp_path: Path) -> None:
    with replica(bundle.folder, tmp_path) as process:
        command = command_of(process)
        command.suspend()
        wait_until(lambda: process.client.get("/v2/health/ready").status_code == 503, "it is not ready")
        assert process.client.get("/v2/health/ready").json()["phase"] == "unwell"
        assert process.client.get("/v2/health/live").status_code == 200
        command.resume()
        wait_until(process.is_ready, "it is ready again")


def test_a_child_that_cannot_start_ends_the_replica_with_its_words_in_the_log(
    bundle: Bundle, bundle_of: BundleOf, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    fixed = bundle_of(port=port)
    with replica(fixed.folder, tmp_path / "one"):
        second = spawn(fixed.folder, tmp_path / "two")
        assert second.wait(DEADLINE_SECONDS) == 78
    assert f"The port {port} is taken" in (tmp_path / "two" / "log").read_text()


def test_what_a_child_writes_leaves_its_bundle_as_it_is(bundle_of: BundleOf, tmp_path: Path) -> None:
    code = "open('http_app.pyc', 'w').write('cache'); import sys; sys.argv = ['', sys.argv[1]]; import runpy; "
    code += "runpy.run_path('http_app.py', run_name='__main__')"
    bundle = bundle_of(command=["{python}", "-c", code, "{port}"])
    with replica(bundle.folder, tmp_path) as process:
        assert process.client.post("/predict", json={"values": [1]}).status_code == 200
        verify_bundle(bundle)


def test_a_check_that_is_given_up_leaves_no_server(bundle_of: BundleOf, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    (folder / "http_app.py").write_text(APP.read_text())
    mark = {"command": ["{python}", "http_app.py", "{port}", str(tmp_path)], "healthPath": "/status/503"}
    request = BuildRequest(
        folder, framework="command", trust=True, settings={**SETTINGS, **mark, "environment": {"HELPER": str(tmp_path)}}
    )
    limits = BuildLimits(seconds=4)
    with pytest.raises(InvalidInput, match="could not be checked in 4 seconds"):
        asyncio.run(build_bundle(request, tmp_path / "bundles", limits))

    def running() -> list[int]:
        return [
            found.pid for found in psutil.process_iter(["cmdline"]) if str(tmp_path) in (found.info["cmdline"] or ())
        ]

    wait_until(lambda: not running(), "no server is left")


def test_the_memory_of_a_bundle_is_that_of_the_server(bundle: Bundle) -> None:
    assert 5 << 20 < bundle.manifest.memory_bytes < 500 << 20
