"""The Envoy process: started, found again, started anew after its death, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import send_many, served, until
from tidegate.contract.errors import Conflict, InvalidInput, Unavailable
from tidegate.gateway.base import Endpoint, RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.files import GatewayFolder, read_json
from tidegate.gateway.os_process import OsProcess, find_by_argument

#: One worker runs them all: they share one Envoy.
REF = RevisionRef("churn", 1)


@pytest.fixture
def folder(run: Run[Any], tmp_path: Path) -> Iterator[Path]:
    """A gateway folder; whatever Envoy runs on it at the end is ended."""
    place = tmp_path / "gateway"
    yield place
    run(EnvoyGateway(place, port=0).stop())
    assert find_by_argument(str(place / "bootstrap.json")) == []


@pytest.fixture(scope="module")
def replica(tiny: Callable[..., Tiny]) -> Endpoint:
    return tiny("one").endpoint


def envoy_of(folder: Path) -> OsProcess:
    found = find_by_argument(str(folder / "bootstrap.json"))
    assert len(found) == 1
    return found[0]


def test_a_second_gateway_over_the_folder_adopts_the_process(run: Run[Any], folder: Path, replica: Endpoint) -> None:
    first, second = EnvoyGateway(folder, port=0), EnvoyGateway(folder, port=0)
    snapshot = Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0})

    async def story() -> None:
        await first.ensure_running()
        await first.apply(snapshot)
        await send_many(f"{first.url}/churn/x", 5)
        await second.ensure_running()
        assert (second.url, second.port) == (first.url, first.port)
        assert second.snapshot() == snapshot
        assert (await second.apply(snapshot)).in_force_seconds == 0.0
        mine, theirs = await first.read(), await second.read()
        assert mine.epoch == theirs.epoch
        assert theirs.counts[REF].requests == 5
        await first.close()
        await second.close()

    run(story())
    envoy_of(folder)


def test_a_process_whose_record_was_never_written_is_found(run: Run[Any], folder: Path) -> None:
    async def story() -> None:
        first = EnvoyGateway(folder, port=0)
        await first.ensure_running()
        epoch = (await first.read()).epoch
        await first.close()
        (folder / "envoy.json").unlink()
        second = EnvoyGateway(folder, port=first.port)
        await second.ensure_running()
        assert (await second.read()).epoch == epoch
        await second.close()

    run(story())
    record = read_json(folder / "envoy.json")
    assert record is not None
    assert record["pid"] == envoy_of(folder).pid


def test_a_dead_process_is_started_again_with_the_same_split_on_the_same_port(
    run: Run[Any], folder: Path, replica: Endpoint
) -> None:
    gateway = EnvoyGateway(folder, port=0)

    async def story() -> None:
        await gateway.ensure_running()
        await gateway.apply(Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0}))
        await send_many(f"{gateway.url}/churn/x", 3)
        before, url = await gateway.read(), gateway.url
        envoy = envoy_of(folder)
        envoy.send(signal.SIGKILL)
        assert await envoy.wait_gone(5)
        with pytest.raises(Unavailable):
            await gateway.read()
        await gateway.ensure_running()
        assert gateway.url == url
        assert (await send_many(f"{url}/churn/x", 2)).statuses == {200: 2}
        after = await gateway.read()
        assert after.epoch != before.epoch
        assert after.counts[REF].requests == 2
        await gateway.stop()

    run(story())


def test_a_snapshot_is_kept_while_nothing_runs_and_put_in_force_by_the_start(
    run: Run[Any], folder: Path, replica: Endpoint
) -> None:
    gateway = EnvoyGateway(folder, port=0)

    async def story() -> None:
        with pytest.raises(Unavailable, match="does not run"):
            await gateway.apply(Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {}))
        await gateway.ensure_running()
        assert (await send_many(f"{gateway.url}/churn/x", 2)).statuses == {200: 2}
        await gateway.stop()

    run(story())


def test_a_taken_port_is_named_with_the_one_who_has_it(run: Run[Any], folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput) as caught:
            run(EnvoyGateway(folder, port=port).ensure_running())
    assert str(port) in caught.value.message
    assert str(os.getpid()) in (caught.value.got or "")
    assert "--gateway-port" in (caught.value.hint or "")
    assert find_by_argument(str(folder / "bootstrap.json")) == []


def test_the_port_of_another_gateway_is_taken(run: Run[Any], gateway: EnvoyGateway, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="already taken"):
        run(EnvoyGateway(folder, port=gateway.port).ensure_running())


def test_a_gateway_that_runs_on_another_port_is_a_conflict(run: Run[Any], folder: Path) -> None:
    first = EnvoyGateway(folder, port=0)
    run(first.ensure_running())
    with socket.create_server(("127.0.0.1", 0)) as free:
        other = free.getsockname()[1]
    with pytest.raises(Conflict, match=str(first.port)):
        run(EnvoyGateway(folder, port=other).ensure_running())
    run(first.close())


def test_an_envoy_that_ends_at_once_is_reported_with_what_it_said(run: Run[Any], folder: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        run(EnvoyGateway(folder, host="192.0.2.1", port=0).ensure_running())
    assert "192.0.2.1" in (caught.value.got or "")


def test_stop_lets_requests_in_flight_finish(run: Run[Any], folder: Path, replica: Endpoint) -> None:
    gateway = EnvoyGateway(folder, port=0)

    async def story() -> int:
        await gateway.ensure_running()
        await gateway.apply(Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0}))
        async with httpx.AsyncClient(trust_env=False) as client:
            before = await served(replica)
            slow = asyncio.create_task(client.get(f"{gateway.url}/churn/x", headers={"x-delay-ms": "300"}))
            await until(lambda: served(replica), lambda count: count > before)
            await gateway.stop()
            return (await slow).status_code

    assert run(story()) == 200
    run(gateway.stop())


def test_files_of_the_gateway_name_its_process(run: Run[Any], gateway: EnvoyGateway) -> None:
    folder = GatewayFolder(gateway._folder.root)
    record = read_json(folder.record)
    assert record is not None
    assert set(record) == {"pid", "born", "admin_port", "host", "port"}
    assert OsProcess(record["pid"], record["born"]).is_alive()
    assert not OsProcess(record["pid"], f"1{record['born']}").is_alive()
