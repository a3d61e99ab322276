"""The Envoy processes: started, found again, started anew after their death, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import send_many, served, until
from tidegate.contract.errors import Conflict, InvalidInput, Unavailable
from tidegate.gateway.base import DEFAULT_ENVOYS, Endpoint, GatewayReading, RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.files import GatewayFolder, read_json
from tidegate.gateway.os_process import OsProcess, find_by_argument

REF = RevisionRef("churn", 1)

T = TypeVar("T")


@pytest.fixture
def folder(run: Run[Any], tmp_path: Path) -> Iterator[Path]:
    """A gateway folder; whatever Envoys run on it at the end are ended."""
    place = tmp_path / "gateway"
    yield place
    run(EnvoyGateway(place, port=0).stop())
    assert envoys_of(place) == []


@pytest.fixture(scope="module")
def replica(tiny: Callable[..., Tiny]) -> Endpoint:
    return tiny("one").endpoint


def envoys_of(folder: Path) -> list[OsProcess]:
    """Return the Envoys that run on the folder, in the order of their numbers."""
    bootstraps = [str(GatewayFolder(folder).member(number).bootstrap) for number in range(1, DEFAULT_ENVOYS + 1)]
    return [found for bootstrap in bootstraps for found in find_by_argument(bootstrap)]


async def kill(envoy: OsProcess) -> None:
    envoy.send(signal.SIGKILL)
    assert await envoy.wait_gone(5)


def epochs(reading: GatewayReading) -> set[str]:
    return {process.epoch for process in reading.processes}


def test_a_second_gateway_over_the_folder_adopts_the_processes(run: Run[Any], folder: Path, replica: Endpoint) -> None:
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
        assert epochs(mine) == epochs(theirs)
        assert len(epochs(mine)) == DEFAULT_ENVOYS
        assert theirs.counts[REF].requests == 5
        await first.close()
        await second.close()

    run(story())
    assert len(envoys_of(folder)) == DEFAULT_ENVOYS


def test_a_process_whose_record_was_never_written_is_found(run: Run[Any], folder: Path) -> None:
    async def story() -> None:
        first = EnvoyGateway(folder, port=0)
        await first.ensure_running()
        before = epochs(await first.read())
        await first.close()
        GatewayFolder(folder).member(2).record.unlink()
        second = EnvoyGateway(folder, port=first.port)
        await second.ensure_running()
        assert epochs(await second.read()) == before
        await second.close()

    run(story())
    record = read_json(GatewayFolder(folder).member(2).record)
    assert record is not None
    assert record["pid"] == envoys_of(folder)[1].pid


def test_a_process_whose_admin_page_was_never_told_for_want_of_room_is_found_by_its_ports(
    run: Run[Any], folder: Path, replica: Endpoint
) -> None:
    async def story() -> None:
        first = EnvoyGateway(folder, port=0)
        await first.ensure_running()
        await first.apply(Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0}))
        before = epochs(await first.read())
        await first.close()
        # What is left of an Envoy that started on a full disk, and of a controller that was killed before it knew.
        member = GatewayFolder(folder).member(1)
        member.record.unlink()
        told = member.admin_address.read_text()
        member.admin_address.write_text("")
        second = EnvoyGateway(folder, port=first.port)
        await second.ensure_running()
        assert epochs(await second.read()) == before
        assert member.admin_address.read_text() == told
        assert (await send_many(f"{second.url}/churn/x", 20)).statuses == {200: 20}
        await second.close()

    run(story())


def test_an_envoy_starts_although_there_is_no_room_to_tell_where_its_admin_page_is(
    run: Run[Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.gateway.process.read_admin_port", lambda folder: None)
    gateway = EnvoyGateway(folder, port=0)
    run(gateway.ensure_running())
    assert len(run(gateway.read()).processes) == DEFAULT_ENVOYS
    monkeypatch.undo()
    run(gateway.stop())


def test_processes_that_all_died_are_started_again_with_the_same_split_on_the_same_port(
    run: Run[Any], folder: Path, replica: Endpoint
) -> None:
    gateway = EnvoyGateway(folder, port=0)

    async def story() -> None:
        await gateway.ensure_running()
        await gateway.apply(Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0}))
        await send_many(f"{gateway.url}/churn/x", 3)
        before, url = await gateway.read(), gateway.url
        for envoy in envoys_of(folder):
            await kill(envoy)
        with pytest.raises(Unavailable):
            await gateway.read()
        await gateway.ensure_running()
        assert gateway.url == url
        assert (await send_many(f"{url}/churn/x", 2)).statuses == {200: 2}
        after = await gateway.read()
        assert epochs(after).isdisjoint(epochs(before))
        assert after.counts[REF].requests == 2
        await gateway.stop()

    run(story())


async def all_run(gateway: EnvoyGateway) -> bool:
    await gateway.ensure_running()
    return len((await gateway.read()).processes) == DEFAULT_ENVOYS


@pytest.mark.parametrize("number", range(1, DEFAULT_ENVOYS + 1))
def test_while_one_is_dead_the_others_answer_and_take_new_splits_and_all_follow_later(
    run: Run[Any], folder: Path, replica: Endpoint, number: int
) -> None:
    gateway = EnvoyGateway(folder, port=0)
    other = RevisionRef("churn", 2)
    endpoints = {REF: (replica,), other: (replica,)}

    async def story() -> None:
        await gateway.ensure_running()
        await gateway.apply(Snapshot(endpoints, {"churn": {1: 100}}, {"churn": 5.0}))
        await kill(envoys_of(folder)[number - 1])
        assert (await send_many(f"{gateway.url}/churn/x", 40)).statuses == {200: 40}
        assert (await gateway.apply(Snapshot(endpoints, {"churn": {2: 100}}, {"churn": 5.0}))).in_force_seconds > 0
        counted = (await gateway.read()).counts
        assert (await send_many(f"{gateway.url}/churn/x", 20)).statuses == {200: 20}
        assert (await gateway.read()).counts[other].requests == counted[other].requests + 20
        await until(lambda: all_run(gateway), lambda whole: whole)
        await gateway.apply(Snapshot(endpoints, {"churn": {1: 100}}, {"churn": 5.0}))
        before = (await gateway.read()).counts
        assert (await send_many(f"{gateway.url}/churn/x", 40)).statuses == {200: 40}
        after = await gateway.read()
        assert after.counts[REF].requests == before[REF].requests + 40
        assert after.counts[other] == before[other]
        assert (await gateway.healthy())[REF] == {replica}
        await gateway.stop()

    run(story())


def test_with_three_envoys_two_can_be_dead_and_the_next_start_with_two_ends_the_third(
    run: Run[Any], folder: Path, replica: Endpoint
) -> None:
    async def story() -> None:
        three = EnvoyGateway(folder, port=0, envoys=3)
        await three.ensure_running()
        await three.apply(Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0}))
        for envoy in envoys_of(folder):
            await kill(envoy)
        assert (await send_many(f"{three.url}/churn/x", 40)).statuses == {200: 40}
        assert three.watches(1) > EnvoyGateway(folder).watches(1)
        await three.close()
        two = EnvoyGateway(folder, port=three.port)
        (third,) = find_by_argument(str(GatewayFolder(folder).member(3).bootstrap))
        await until(lambda: all_run(two), lambda whole: whole)
        assert await third.wait_gone(10)
        await two.apply(Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0}))
        assert (await send_many(f"{two.url}/churn/x", 40)).statuses == {200: 40}
        await two.close()

    run(story())
    assert len(envoys_of(folder)) == DEFAULT_ENVOYS


def test_stop_ends_also_envoys_that_an_earlier_start_had_more(run: Run[Any], folder: Path) -> None:
    three = EnvoyGateway(folder, port=0, envoys=3)
    run(three.ensure_running())
    run(three.close())
    run(EnvoyGateway(folder, port=0).stop())
    assert find_by_argument(str(GatewayFolder(folder).member(3).bootstrap)) == []


def test_a_kill_of_any_fails_no_request_but_those_that_it_held(run: Run[Any], folder: Path, replica: Endpoint) -> None:
    gateway = EnvoyGateway(folder, port=0)

    async def send(url: str, failed: list[float], sent: list[int], stopped: asyncio.Event) -> None:
        """Send one request after the other, each on a connection of its own."""
        while not stopped.is_set():
            async with httpx.AsyncClient(trust_env=False) as client:
                sent[0] += 1
                try:
                    answer = await client.get(f"{url}/churn/x", headers={"x-delay-ms": "5"})
                    answer.raise_for_status()
                except httpx.HTTPError:
                    failed.append(asyncio.get_running_loop().time())

    async def story() -> None:
        await gateway.ensure_running()
        await gateway.apply(Snapshot({REF: (replica,)}, {"churn": {1: 100}}, {"churn": 5.0}))
        failed: list[float] = []
        sent, stopped, users = [0], asyncio.Event(), 4
        sending = [asyncio.create_task(send(gateway.url, failed, sent, stopped)) for _ in range(users)]
        for kills in range(1, 5):
            reached = sent[0] + 40
            await until(_now(lambda: sent[0]), lambda count, reached=reached: count > reached)
            await kill(envoys_of(folder)[kills % DEFAULT_ENVOYS])
            # Each user held one request at most.
            assert len(failed) <= kills * users
            await until(lambda: all_run(gateway), lambda whole: whole)
        stopped.set()
        await asyncio.gather(*sending)
        assert len(failed) <= 4 * users
        await gateway.stop()

    run(story())


def _now(value: Callable[[], T]) -> Callable[[], Coroutine[Any, Any, T]]:
    async def ask() -> T:
        return value()

    return ask


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
    assert envoys_of(folder) == []


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


def test_files_of_the_gateway_name_its_processes(run: Run[Any], gateway: EnvoyGateway) -> None:
    for number in range(1, DEFAULT_ENVOYS + 1):
        record = read_json(GatewayFolder(gateway._folder.root).member(number).record)
        assert record is not None
        assert set(record) == {"pid", "born", "admin_port", "host", "port"}
        assert record["port"] == gateway.port
        assert OsProcess(record["pid"], record["born"]).is_alive()
        assert not OsProcess(record["pid"], f"1{record['born']}").is_alive()
