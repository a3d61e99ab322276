"""What Envoy counts: one request of a user once, with the status that the user got."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import send_many, served, until
from tidegate.gateway.base import Counts, Endpoint, RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway

#: One worker runs them all: they share one Envoy.
names = (f"counted-{number}" for number in itertools.count())


class Deployment:
    """A deployment of its own, so that its counters begin at zero."""

    def __init__(
        self, run: Run[Any], gateway: EnvoyGateway, endpoints: tuple[Endpoint, ...], timeout_seconds: float
    ) -> None:
        self.run, self.gateway = run, gateway
        self.ref = RevisionRef(next(names), 1)
        self.url = f"{gateway.url}/{self.ref.deployment}/x"
        name = self.ref.deployment
        run(gateway.apply(Snapshot({self.ref: endpoints}, {name: {1: 100}}, {name: timeout_seconds})))

    def send(self, count: int, **headers: str) -> dict[int, int]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return dict(self.run(send_many(self.url, count, given, clients=2)).statuses)

    def counts(self) -> Counts:
        return dict(self.run(self.gateway.read()).counts)[self.ref]

    def when(self, met: Callable[[Counts], bool]) -> Counts:
        """Return the counts once they are so: durations are merged on a timer."""

        async def ask() -> Counts:
            return (await self.gateway.read()).counts[self.ref]

        return self.run(until(ask, met, seconds=5))


def total(counts: Counts) -> int:
    return sum(bucket.count for bucket in counts.durations)


@pytest.fixture
def deploy(run: Run[Any], gateway: EnvoyGateway) -> Callable[..., Deployment]:
    """Deploy on these replicas, with a timeout that no answer comes near to unless a test asks for less."""

    def deployed(*replicas: Tiny, timeout_seconds: float = 10.0) -> Deployment:
        return Deployment(run, gateway, tuple(replica.endpoint for replica in replicas), timeout_seconds)

    return deployed


@pytest.fixture(scope="module")
def one(tiny: Callable[..., Tiny]) -> Tiny:
    return tiny("one")


@pytest.fixture(scope="module")
def two(tiny: Callable[..., Tiny]) -> Tiny:
    return tiny("two")


def test_answers_of_every_kind(deploy: Callable[..., Deployment], one: Tiny) -> None:
    deployment = deploy(one)
    deployment.send(7)
    deployment.send(3, x_status="422")
    deployment.send(2, x_status="500")
    deployment.send(1, x_status="503")
    counts = deployment.when(lambda counts: total(counts) == 13)
    assert (counts.requests, counts.errors, counts.rejections, counts.abandoned) == (13, 3, 3, 0)
    assert counts.failed_as == {"500": 2, "503": 1}


def test_an_error_of_the_model_is_not_tried_again(
    run: Run[Any], deploy: Callable[..., Deployment], one: Tiny, two: Tiny
) -> None:
    deployment = deploy(one, two)
    before = run(served(one.endpoint)) + run(served(two.endpoint))
    assert deployment.send(5, x_status="503") == {503: 5}
    assert run(served(one.endpoint)) + run(served(two.endpoint)) == before + 5
    assert deployment.counts().errors == 5


def test_a_request_that_is_reset_is_tried_again_and_counts_once(
    run: Run[Any], deploy: Callable[..., Deployment], one: Tiny
) -> None:
    deployment = deploy(one)
    before = run(served(one.endpoint))
    assert deployment.send(4, x_reset="1") == {503: 4}
    assert run(served(one.endpoint)) == before + 4 * 3
    assert (deployment.counts().requests, deployment.counts().errors) == (4, 4)
    assert deployment.counts().failed_as == {"503": 4}


def test_a_large_request_that_is_reset_is_tried_again_whole(
    run: Run[Any], deploy: Callable[..., Deployment], one: Tiny
) -> None:
    deployment = deploy(one)
    before = run(served(one.endpoint))
    answer = httpx.post(
        f"{deployment.url}/predict", content=b"x" * 5_000_000, headers={"x-reset": "1"}, trust_env=False
    )
    assert answer.status_code == 503
    assert run(served(one.endpoint)) == before + 3


def test_a_request_for_a_revision_without_replicas_is_its_error(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    assert deployment.send(6) == {503: 6}
    assert (deployment.counts().requests, deployment.counts().errors) == (6, 6)


def test_a_timeout_is_an_error_and_has_no_duration(deploy: Callable[..., Deployment], one: Tiny) -> None:
    deployment = deploy(one, timeout_seconds=0.3)
    assert deployment.send(2, x_delay_ms="5000") == {504: 2}
    deployment.send(3)
    counts = deployment.when(lambda counts: total(counts) == 3)
    assert (counts.requests, counts.errors, counts.abandoned) == (5, 2, 0)
    assert counts.failed_as == {"504": 2}


def test_a_request_that_the_user_gave_up_is_counted_as_abandoned(
    run: Run[Any], deploy: Callable[..., Deployment], one: Tiny
) -> None:
    deployment = deploy(one)

    async def give_up() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            before = await served(one.endpoint)
            asking = asyncio.create_task(client.get(deployment.url, headers={"x-delay-ms": "9000"}))
            await until(lambda: served(one.endpoint), lambda count: count > before)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    run(give_up())
    counts = deployment.when(lambda counts: counts.abandoned == 1)
    assert (counts.requests, counts.errors) == (0, 0)


def test_counters_go_on_while_replicas_come_and_go(
    run: Run[Any], gateway: EnvoyGateway, deploy: Callable[..., Deployment], one: Tiny, two: Tiny
) -> None:
    deployment = deploy(one)
    name = deployment.ref.deployment
    deployment.send(3)
    for endpoints in [(one.endpoint, two.endpoint), (), (two.endpoint,)]:
        run(gateway.apply(Snapshot({deployment.ref: endpoints}, {name: {1: 100}}, {})))
    run(until(gateway.healthy, lambda healthy: len(healthy[deployment.ref]) == 1))
    deployment.send(3)
    assert deployment.counts().requests == 6


def test_durations_are_whole_milliseconds_rounded_down(
    run: Run[Any], deploy: Callable[..., Deployment], one: Tiny
) -> None:
    """Were they rounded to the nearest, some would be recorded as longer than the user waited in all."""
    deployment = deploy(one)
    host, port = deployment.gateway.url.removeprefix("http://").split(":")
    waited: list[float] = []
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(60):
            delay = 2 + number * 0.1
            request = f"GET /{deployment.ref.deployment}/x HTTP/1.1\r\nhost: x\r\nx-delay-ms: {delay}\r\n\r\n"
            started = time.perf_counter()
            connection.sendall(request.encode())
            answer = connection.recv(65536)
            waited.append((time.perf_counter() - started) * 1000)
            assert answer.startswith(b"HTTP/1.1 200")
    counts = deployment.when(lambda counts: total(counts) == len(waited))
    for objective in range(1, 20):
        assert counts.slower_than(objective) <= sum(ms >= objective for ms in waited)
    assert counts.slower_than(2) == len(waited)
