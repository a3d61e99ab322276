"""Replicas that die and come, under load, through a real Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import Load, send_many, until
from tidegate.gateway.base import RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway

#: One worker runs them all: they share one Envoy.
REF = RevisionRef("churn", 1)


def snapshot(*replicas: Tiny) -> Snapshot:
    return Snapshot({REF: tuple(replica.endpoint for replica in replicas)}, {"churn": {1: 100}}, {"churn": 5.0})


def test_killing_one_of_two_replicas_fails_no_request(
    run: Run[Any], gateway: EnvoyGateway, tiny: Callable[..., Tiny]
) -> None:
    one, two = tiny("one"), tiny("two")

    async def observe() -> Load:
        await gateway.apply(snapshot(one, two))
        await until(gateway.healthy, lambda healthy: len(healthy[REF]) == 2)
        async with Load(f"{gateway.url}/churn/x", clients=8, headers={"x-delay-ms": "5"}) as load:
            await load.more(20, of="one")
            await load.more(20, of="two")
            one.end()
            await until(gateway.healthy, lambda healthy: len(healthy[REF]) == 1)
            await load.more(300, of="two")
        return load

    assert run(observe()).answers.failed == 0


def test_a_request_that_kills_its_replica_is_tried_on_another(
    run: Run[Any], gateway: EnvoyGateway, tiny: Callable[..., Tiny]
) -> None:
    three = [tiny(name) for name in ("one", "two", "three")]

    async def observe() -> dict[int, int]:
        await gateway.apply(snapshot(*three))
        await until(gateway.healthy, lambda healthy: len(healthy[REF]) == 3)
        poison = await send_many(f"{gateway.url}/churn/x", 1, {"x-die": "9"}, clients=1)
        return dict(poison.statuses)

    # Two tries more and no further: it ends one, two, three of them and then the user is told.
    assert run(observe()) == {503: 1}


def test_all_replicas_dead_is_an_error_each_time_until_one_is_back(
    run: Run[Any], gateway: EnvoyGateway, tiny: Callable[..., Tiny]
) -> None:
    one = tiny("one")
    port = one.endpoint.port

    async def observe() -> None:
        await gateway.apply(snapshot(one))
        await until(gateway.healthy, lambda healthy: len(healthy[REF]) == 1)
        before = (await gateway.read()).counts[REF]
        one.end()
        answers = await send_many(f"{gateway.url}/churn/x", 20)
        assert answers.statuses == {503: 20}
        after = (await gateway.read()).counts[REF]
        assert (after.requests - before.requests, after.errors - before.errors) == (20, 20)
        again = await asyncio.to_thread(tiny, "again", port=port)
        assert again.endpoint == one.endpoint
        await until(gateway.healthy, lambda healthy: len(healthy[REF]) == 1)
        assert (await send_many(f"{gateway.url}/churn/x", 10)).statuses == {200: 10}

    run(observe())


def test_a_replica_gets_requests_only_once_it_is_ready_and_none_while_it_drains(
    run: Run[Any], gateway: EnvoyGateway, tiny: Callable[..., Tiny], tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    old, new = tiny("old"), tiny("new", "--ready-file", str(ready))

    async def observe() -> None:
        await gateway.apply(snapshot(old, new))
        await until(gateway.healthy, lambda healthy: healthy[REF] == {old.endpoint})
        async with Load(f"{gateway.url}/churn/x", clients=2) as load:
            await load.more(100, of="old")
            assert load.answers.names["new"] == 0
            ready.touch()
            await load.more(20, of="new")
            ready.unlink()
            await until(gateway.healthy, lambda healthy: healthy[REF] == {old.endpoint})
            await load.more(20, of="old")  # Envoy's workers hear of it a moment after it tells
            at_rest = load.answers.names["new"] + 2
            await load.more(100, of="old")
            assert load.answers.names["new"] <= at_rest
        assert load.answers.failed == 0

    run(observe())


def test_a_replica_that_is_declared_unready_gets_no_requests_however_well_its_server_is(
    run: Run[Any], gateway: EnvoyGateway, tiny: Callable[..., Tiny]
) -> None:
    one, two = tiny("one"), tiny("two")
    both = snapshot(one, two)
    without = replace(both, unready={REF: frozenset({one.endpoint})})

    async def observe() -> None:
        await gateway.apply(both)
        await until(gateway.healthy, lambda healthy: healthy[REF] == {one.endpoint, two.endpoint})
        async with Load(f"{gateway.url}/churn/x", clients=4) as load:
            await load.more(20, of="one")
            await gateway.apply(without)
            await until(gateway.healthy, lambda healthy: healthy[REF] == {two.endpoint})
            await load.more(20, of="two")  # Envoy's workers hear of it a moment after it tells
            at_rest = load.answers.names["one"] + 4  # those that were on their way
            await load.more(200, of="two")
            assert load.answers.names["one"] <= at_rest
            await gateway.apply(both)
            await until(gateway.healthy, lambda healthy: len(healthy[REF]) == 2)
            await load.more(20, of="one")
        assert load.answers.failed == 0
        await gateway.apply(replace(both, unready={REF: frozenset({one.endpoint, two.endpoint})}))
        # With nobody left the user is told; nobody is asked against its will.
        assert (await send_many(f"{gateway.url}/churn/x", 20)).statuses == {503: 20}
        await gateway.apply(both)

    run(observe())
