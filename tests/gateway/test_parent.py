"""A gateway whose Envoys have a parent of their own: what that may be asked, and who survives whom."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.conftest import Run
from tests.support.gateway_parent import Parent
from tests.support.traffic import send_many, served, until
from tidegate.contract.errors import Conflict, InvalidInput, Unavailable
from tidegate.gateway import parent_request, process
from tidegate.gateway.base import DEFAULT_ENVOYS, Endpoint, RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.opening import open_gateway
from tidegate.gateway.parent import EXIT_REFUSED
from tidegate.gateway.parent_client import ParentsChildren
from tidegate.gateway.parent_request import MOST_MEMBERS, MOST_WORKERS, Asked
from tidegate.gateway.process import PARENT_VARIABLE

REF = RevisionRef("churn", 1)


@pytest.fixture
def parent(run: Run[Any]) -> Iterator[Parent]:
    # The path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="tidegate-") as folder:
        made = Parent(Path(folder) / "gateway")
        yield made
        if made.process.poll() is None:
            made.end(signal.SIGTERM)
        run(EnvoyGateway(made.folder).stop())


@pytest.fixture(scope="module")
def replica(tiny: Any) -> Endpoint:
    endpoint: Endpoint = tiny("one").endpoint
    return endpoint


def snapshot(replica: Endpoint) -> Snapshot:
    return Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0})


async def all_run(gateway: EnvoyGateway) -> bool:
    await gateway.ensure_running()
    return len((await gateway.read()).processes) == DEFAULT_ENVOYS


def test_envoys_are_children_of_the_parent_and_are_told_splits_as_ever(
    run: Run[Any], parent: Parent, replica: Endpoint
) -> None:
    gateway = parent.gateway()

    async def story() -> None:
        await gateway.ensure_running()
        await gateway.apply(snapshot(replica))
        assert (await send_many(f"{gateway.url}/churn/x", 20)).statuses == {200: 20}
        assert (await gateway.read()).counts[REF].requests == 20
        await gateway.close()

    run(story())
    found = {psutil.Process(envoy.pid).ppid() for envoy in parent.envoys()}
    assert found == {parent.process.pid}
    assert len(parent.envoys()) == DEFAULT_ENVOYS


def test_an_envoy_that_is_killed_is_started_again_by_the_parent_and_nothing_of_it_is_left(
    run: Run[Any], parent: Parent, replica: Endpoint
) -> None:
    gateway = parent.gateway()

    async def story() -> None:
        await gateway.ensure_running()
        await gateway.apply(snapshot(replica))
        for killed in (parent.envoys()[:1], parent.envoys()):
            for envoy in killed:
                envoy.send(signal.SIGKILL)
                assert await envoy.wait_gone(5)
            assert not gateway.is_whole()
            await until(lambda: all_run(gateway), lambda whole: whole)
            assert (await send_many(f"{gateway.url}/churn/x", 20)).statuses == {200: 20}
        await gateway.close()

    run(story())
    assert {child.pid for child in psutil.Process(parent.process.pid).children()} == {
        envoy.pid for envoy in parent.envoys()
    }


def test_another_controller_adopts_them(run: Run[Any], parent: Parent, replica: Endpoint) -> None:
    async def story() -> None:
        first = parent.gateway()
        await first.ensure_running()
        await first.apply(snapshot(replica))
        before = parent.envoys()
        await first.close()
        second = parent.gateway(first.port)
        await second.ensure_running()
        assert second.snapshot() == snapshot(replica)
        assert parent.envoys() == before
        await second.close()

    run(story())


def test_without_the_parent_no_envoy_is_started_and_with_it_again_there_is(
    run: Run[Any], parent: Parent, replica: Endpoint
) -> None:
    gateway = parent.gateway()
    assert parent.end(signal.SIGTERM) == 0

    async def refused() -> None:
        with pytest.raises(Unavailable, match="parent of the gateway's Envoys does not answer") as caught:
            await gateway.ensure_running()
        assert caught.value.subject == str(parent.socket)

    run(refused())
    assert parent.envoys() == []
    parent.begin()
    run(gateway.ensure_running())
    assert len(parent.envoys()) == DEFAULT_ENVOYS
    run(gateway.close())


def test_a_parent_that_hangs_is_given_up(run: Run[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.gateway.parent_client._SECONDS", 0.2)
    with tempfile.TemporaryDirectory(prefix="tidegate-") as folder, socket.socket(socket.AF_UNIX) as silent:
        at = Path(folder) / "s"
        silent.bind(str(at))
        silent.listen()
        with pytest.raises(Unavailable, match="does not answer"):
            run(ParentsChildren(at).start(1, "127.0.0.1", 1234, 1))


def test_the_end_of_the_parent_lets_requests_in_flight_finish_and_ends_the_envoys(
    run: Run[Any], parent: Parent, replica: Endpoint
) -> None:
    gateway = parent.gateway()

    async def story() -> int:
        await gateway.ensure_running()
        await gateway.apply(snapshot(replica))
        async with httpx.AsyncClient(trust_env=False) as client:
            before = await served(replica)
            slow = asyncio.create_task(client.get(f"{gateway.url}/churn/x", headers={"x-delay-ms": "500"}))
            await until(lambda: served(replica), lambda count: count > before)
            assert await asyncio.to_thread(parent.end, signal.SIGTERM) == 0
            return (await slow).status_code

    assert run(story()) == 200
    assert parent.envoys() == []
    assert not parent.socket.exists()


def test_envoys_survive_a_parent_that_is_killed_and_the_next_one_ends_them(
    run: Run[Any], parent: Parent, replica: Endpoint
) -> None:
    gateway = parent.gateway()

    async def story() -> None:
        await gateway.ensure_running()
        await gateway.apply(snapshot(replica))
        before = parent.envoys()
        parent.end(signal.SIGKILL)
        assert (await send_many(f"{gateway.url}/churn/x", 20)).statuses == {200: 20}
        parent.begin()
        # One that runs is not started twice, whoever is asked.
        with pytest.raises(Conflict, match=f"(?s)Envoy 1 runs already.*{before[0].pid}"):
            await ParentsChildren(parent.socket).start(1, "127.0.0.1", gateway.port, 1)
        assert gateway.is_whole()
        assert parent.envoys() == before
        await gateway.close()

    run(story())
    assert parent.end(signal.SIGTERM) == 0
    assert parent.envoys() == []


def test_a_folder_has_one_parent(parent: Parent) -> None:
    done = subprocess.run(parent.command(), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == EXIT_REFUSED
    assert "has a parent of its Envoys already" in done.stderr
    assert parent.socket.exists()


def test_only_its_user_may_ask_it(parent: Parent) -> None:
    assert parent.folder.stat().st_mode & 0o077 == 0
    assert parent.socket.stat().st_mode & 0o077 == 0


def test_an_envoy_that_ends_at_once_is_reported_with_what_it_said(run: Run[Any], parent: Parent) -> None:
    gateway = open_gateway(parent.folder, {PARENT_VARIABLE: str(parent.socket)}, host="192.0.2.1", port=0)
    with pytest.raises(Unavailable) as caught:
        run(gateway.ensure_running())
    assert "192.0.2.1" in (caught.value.got or "")


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{}\n",
        b"nothing\n",
        b"[1]\n",
        b'{"member": 1, "host": "127.0.0.1", "port": 8080, "workers": 1, "command": "sh"}\n',
        b'{"member": "../../x", "host": "127.0.0.1", "port": 8080, "workers": 1}\n',
        b'{"member": 1, "host": "127.0.0.1", "port": 65536, "workers": 1}\n',
        b'{"member": 1, "host": "$(id)", "port": 8080, "workers": 1}\n',
        b"x" * 200_000,
    ],
)
def test_what_is_no_envoy_within_bounds_is_refused_and_the_parent_goes_on(parent: Parent, asked: bytes) -> None:
    told = _ask(parent.socket, asked)
    assert told == b"" if len(asked) > parent_request.MOST_BYTES else b'"code": "invalid_input"' in told
    assert not list(parent.folder.glob("envoy-*"))
    assert b"no such Envoy" in _ask(parent.socket, b"{}\n")


def test_who_looks_whether_it_is_well_is_told_which_envoys_it_started(run: Run[Any], parent: Parent) -> None:
    assert json.loads(_ask(parent.socket, parent_request.HEALTH)) == {"envoys": []}
    gateway = parent.gateway()
    run(gateway.ensure_running())
    assert json.loads(_ask(parent.socket, parent_request.HEALTH)) == {"envoys": [1, 2]}
    run(gateway.close())


def _ask(at: Path, asked: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(at))
        try:
            connection.sendall(asked)
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1 << 16)
        except (BrokenPipeError, ConnectionResetError):  # it does not read so much
            return b""


_ASKED = st.builds(
    Asked,
    member=st.integers(1, MOST_MEMBERS),
    host=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str),
    port=st.integers(0, 65_535),
    workers=st.integers(1, MOST_WORKERS),
)


@given(_ASKED)
def test_what_is_asked_for_is_read_back(asked: Asked) -> None:
    assert parent_request.parse(parent_request.as_line(asked)) == asked


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20))


def test_a_folder_that_cannot_be_written_to_is_told_without_a_traceback() -> None:
    command = [sys.executable, "-m", "tidegate.gateway.parent", "--folder", "/proc/none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EXIT_REFUSED
    assert "cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr


@given(st.dictionaries(st.sampled_from(["member", "host", "port", "workers", "x"]), _VALUES))
def test_whatever_else_is_asked_for_is_refused_or_within_bounds(document: dict[str, Any]) -> None:
    try:
        asked = parent_request.parse(json.dumps(document).encode())
    except InvalidInput:
        return
    assert 1 <= asked.member <= MOST_MEMBERS
    assert 0 <= asked.port <= 65_535
    assert 1 <= asked.workers <= MOST_WORKERS


def test_without_envoys_package_the_error_says_what_is_missing(
    run: Run[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(Unavailable, match="is not installed here") as caught:
        run(EnvoyGateway(tmp_path, port=0).ensure_running())
    assert PARENT_VARIABLE in (caught.value.hint or "")


def test_nothing_of_the_package_imports_envoy_until_one_is_started() -> None:
    code = "import sys, tidegate.gateway.parent, tidegate.api.process; sys.exit('envoy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_the_controllers_own_children_are_no_container_of_their_own(tmp_path: Path) -> None:
    assert not open_gateway(tmp_path, {}).is_apart
    assert open_gateway(tmp_path, {PARENT_VARIABLE: "/run/x.sock"}).is_apart
    assert process.PARENT_VARIABLE == PARENT_VARIABLE
