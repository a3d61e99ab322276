"""Replicas as real processes behind a real Envoy."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.traffic import Load, send_many, until
from tests.target.conftest import Place, Run, spec_of
from tidegate.contract.errors import InvalidInput
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.os_process import OsProcess
from tidegate.target.base import RevisionHealth, RevisionSpec
from tidegate.target.local import LocalTarget

#: One worker runs them all: they share one Envoy.


def ready(count: int) -> Callable[[RevisionHealth], bool]:
    return lambda health: health.ready == count


async def ensure(
    target: LocalTarget, spec: RevisionSpec, count: int, met: Callable[[RevisionHealth], bool] | None = None
) -> RevisionHealth:
    """Ensure again and again, as the controller does, until the health is as wanted."""
    return await until(lambda: target.ensure_replicas(spec, count), met or ready(count), seconds=15)


def pids(health: RevisionHealth) -> list[int | None]:
    return [replica.pid for replica in health.replicas]


def test_replicas_become_ready_and_answer_through_the_gateway(run: Run[Any], place: Place) -> None:
    target, spec = place.open(), spec_of("ready")

    async def story() -> None:
        first = await target.ensure_replicas(spec, 2)
        assert [replica.index for replica in first.replicas] == [0, 1]
        assert first.ready == 0
        health = await ensure(target, spec, 2)
        assert health.restarts == 0
        change = await target.set_split("ready", {1: 100}, 5.0)
        assert change.changed
        # Ready means that the gateway sends requests there: none fails from the first on.
        answers = await send_many(f"{target.url('ready')}/predict", 60)
        assert answers.statuses == {200: 60}
        assert set(answers.names) == {"1/0", "1/1"}
        assert (await target.read("ready")).counts[1].requests == 60
        assert spec.ref in await target.running()
        assert '"listening"' in (await target.logs(spec.ref, 0, 10))[-1]
        assert not (await target.set_split("ready", {1: 100}, 5.0)).changed

    run(story())
    assert len(place.processes(spec.ref)) == 1


def test_ensuring_what_is_so_changes_nothing_and_is_quick(run: Run[Any], place: Place) -> None:
    target, spec = place.open(), spec_of("ready")

    async def story() -> float:
        before = await ensure(target, spec, 2)
        took = []
        for _ in range(20):
            started = time.perf_counter()
            health = await target.ensure_replicas(spec, 2)
            took.append(time.perf_counter() - started)
            assert health == before
        return sorted(took)[10]

    assert run(story()) < 0.1


def test_a_killed_replica_is_replaced_and_no_request_fails(run: Run[Any], place: Place) -> None:
    target, spec = place.open(), spec_of("killed")

    async def story() -> None:
        before = await ensure(target, spec, 2)
        await target.set_split("killed", {1: 100}, 5.0)
        async with Load(f"{target.url('killed')}/x", clients=4, headers={"x-delay-ms": "5"}) as load:
            await load.more(50)
            os.kill(before.replicas[0].pid or 0, signal.SIGKILL)
            after = await ensure(target, spec, 2, lambda health: health.ready == 2 and health.restarts == 1)
            await load.more(100)
        assert load.answers.failed == 0
        assert after.replicas[0].last_exit == "SIGKILL"
        assert after.replicas[0].pid != before.replicas[0].pid
        assert after.replicas[1] == before.replicas[1]

    run(story())


def test_a_replica_that_keeps_dying_is_started_again_less_and_less_often(run: Run[Any], place: Place) -> None:
    target, spec = place.open("--exit-code", "3"), spec_of("crashing")

    async def story() -> RevisionHealth:
        return await ensure(target, spec, 1, lambda health: health.restarts >= 3)

    started = time.monotonic()
    health = run(story())
    assert time.monotonic() - started > 0.1 + 0.2
    assert (health.ready, health.replicas[0].last_exit) == (0, "exit code 3")
    assert run(target.logs(spec.ref, 0, 100)).count("ending as told") >= 3
    run(target.remove_revision(spec.ref))


def test_a_command_that_cannot_be_run_is_a_death_with_its_reason(run: Run[Any], place: Place) -> None:
    place.open()
    gateway = EnvoyGateway(place.home / "gateway", port=0)
    target = LocalTarget(place.home, gateway, command=lambda *_: ["/no/such/program"])
    spec = spec_of("missing")
    health = run(target.ensure_replicas(spec, 1))
    assert (health.ready, health.restarts) == (0, 1)
    assert "/no/such/program" in (health.replicas[0].last_exit or "")
    run(target.remove_revision(spec.ref))
    run(target.close())


def test_surplus_replicas_finish_their_requests_and_go(run: Run[Any], place: Place) -> None:
    target, spec = place.open(), spec_of("surplus")

    async def story() -> None:
        await ensure(target, spec, 3)
        await target.set_split("surplus", {1: 100}, 5.0)
        async with Load(f"{target.url('surplus')}/x", clients=6, headers={"x-delay-ms": "20"}) as load:
            await load.more(30)
            await target.ensure_replicas(spec, 1)
            await until(lambda: _left(target, spec, place), lambda left: left == [0])
        assert load.answers.failed == 0
        assert (await target.ensure_replicas(spec, 1)).ready == 1

    run(story())
    # What a replica wrote can still be read when it is gone.
    assert any('"listening"' in line for line in run(target.logs(spec.ref, 2, 100)))


async def _left(target: LocalTarget, spec: RevisionSpec, place: Place) -> list[int]:
    await target.ensure_replicas(spec, 1)
    return [index for index in range(3) if place.processes(spec.ref, index)]


def test_a_removed_revision_answers_what_it_was_asked_and_is_gone(run: Run[Any], place: Place) -> None:
    target, old, new = place.open(), spec_of("removed", 1), spec_of("removed", 2)

    async def story() -> None:
        await asyncio.gather(ensure(target, old, 1), ensure(target, new, 1))
        await target.set_split("removed", {1: 100}, 5.0)
        async with Load(f"{target.url('removed')}/x", clients=4, headers={"x-delay-ms": "30"}) as load:
            await load.more(20)
            await target.set_split("removed", {2: 100}, 5.0)
            await target.remove_revision(old.ref)
        assert load.answers.failed == 0
        assert old.ref not in await target.running()
        assert set((await target.read("removed")).counts) == {2}
        await target.remove_revision(old.ref)

    run(story())
    assert place.processes(old.ref) == []


def test_a_replica_that_does_not_end_when_asked_is_killed(run: Run[Any], place: Place) -> None:
    target, spec = place.open("--ignore-term", clock=Clock(60.0)), spec_of("stubborn")
    run(ensure(target, spec, 1))
    run(target.remove_revision(spec.ref))
    assert place.processes(spec.ref) == []


class Clock:
    """A clock that runs ahead, so that a grace of seconds passes in a moment."""

    def __init__(self, speed: float) -> None:
        self._began, self._speed = time.time(), speed

    def __call__(self) -> float:
        return self._began + (time.time() - self._began) * self._speed


def test_a_replica_that_hangs_is_killed_and_replaced(run: Run[Any], place: Place) -> None:
    target, spec = place.open(silent_seconds=0.5), spec_of("hanging")

    async def story() -> None:
        before = await ensure(target, spec, 1)
        await target.set_split("hanging", {1: 100}, 1.0)
        answers = await send_many(f"{target.url('hanging')}/x", 1, {"x-hang": "1"}, clients=1)
        assert answers.failed == 1
        health = await ensure(target, spec, 1, lambda health: health.ready == 1 and health.restarts == 1)
        assert "did not answer" in (health.replicas[0].last_exit or "")
        assert pids(health) != pids(before)

    run(story())


def test_a_replica_is_not_ready_before_it_says_so(run: Run[Any], place: Place, tmp_path: Path) -> None:
    gate = tmp_path / "ready"
    target, spec = place.open("--ready-file", str(gate)), spec_of("slow")

    async def story() -> None:
        health = await ensure(target, spec, 1, lambda health: health.replicas[0].address is not None)
        assert health.ready == 0
        gate.touch()
        await ensure(target, spec, 1)

    run(story())


def test_a_gateway_of_which_nothing_lives_comes_back_with_the_same_split(run: Run[Any], place: Place) -> None:
    target, spec = place.open(), spec_of("ready")

    async def story() -> None:
        await ensure(target, spec, 2)
        await target.set_split("ready", {1: 100}, 5.0)
        before = await target.read("ready")
        for process in before.processes:
            envoy = OsProcess.of(int(process.epoch.partition("@")[0]))
            assert envoy is not None
            envoy.send(signal.SIGKILL)
            assert await envoy.wait_gone(5)
        # Without a gateway the replicas are looked after all the same.
        assert (await target.ensure_replicas(spec, 2)).ready == 2
        await target.start()
        assert (await send_many(f"{target.url('ready')}/x", 20)).statuses == {200: 20}
        epochs = [{process.epoch for process in reading.processes} for reading in (before, await target.read("ready"))]
        assert epochs[0].isdisjoint(epochs[1])

    run(story())


def test_a_deployment_taken_off_the_gateway_is_404(run: Run[Any], place: Place) -> None:
    target, spec = place.open(), spec_of("ready")

    async def story() -> int:
        await ensure(target, spec, 2)
        await target.set_split("ready", {1: 100}, 5.0)
        await target.set_split("ready", {}, 5.0)
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{target.url('ready')}/x")).status_code

    assert run(story()) == 404


@pytest.mark.parametrize("split", [{1: 99}, {1: 101, 2: -1}, {1: 50, 2: 51}])
def test_weights_that_do_not_sum_to_100_are_refused(run: Run[Any], place: Place, split: dict[int, int]) -> None:
    with pytest.raises(InvalidInput, match="sum to 100"):
        run(place.open().set_split("ready", split, 5.0))
