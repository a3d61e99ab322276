"""The split that was asked for is the split that users get, from the moment that `apply` returns."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import Load, send_many, served, until
from tidegate.gateway.base import Applied, Endpoint, RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway

#: One worker runs them all: they share one Envoy.
STABLE, CANDIDATE = RevisionRef("churn", 1), RevisionRef("churn", 2)

Split = Callable[[int], Snapshot]


@pytest.fixture(scope="module")
def endpoints(tiny: Callable[..., Tiny]) -> dict[RevisionRef, tuple[Endpoint, ...]]:
    return {STABLE: (tiny("stable").endpoint,), CANDIDATE: (tiny("candidate").endpoint,)}


@pytest.fixture
def split(endpoints: dict[RevisionRef, tuple[Endpoint, ...]]) -> Split:
    """Return the snapshot that gives the candidate a weight."""
    return lambda weight: Snapshot(endpoints, {"churn": {1: 100 - weight, 2: weight}}, {"churn": 5.0})


@pytest.mark.parametrize("weight", [5, 30])
def test_users_meet_the_candidate_as_often_as_asked(
    run: Run[Any], gateway: EnvoyGateway, split: Split, weight: int
) -> None:
    async def observe() -> int:
        await gateway.apply(split(weight))
        answers = await send_many(f"{gateway.url}/churn/x", 1000)
        assert answers.failed == 0
        return answers.names["candidate"]

    share = weight / 100
    # Five standard deviations of a binomial: wrong once in two million runs.
    assert abs(run(observe()) - 1000 * share) < 5 * math.sqrt(1000 * share * (1 - share))


def test_no_request_sent_after_a_change_goes_the_old_way(run: Run[Any], gateway: EnvoyGateway, split: Split) -> None:
    async def observe() -> list[tuple[str, str]]:
        seen = []
        async with httpx.AsyncClient(trust_env=False) as client, Load(f"{gateway.url}/churn/x", clients=2):
            for weight, expected in [(0, "stable"), (100, "candidate")] * 20:
                await gateway.apply(split(weight))
                answer = await client.get(f"{gateway.url}/churn/x")
                seen.append((expected, answer.json()["name"]))
        return seen

    assert all(expected == got for expected, got in run(observe()))


def test_a_change_of_split_fails_no_request_and_resets_nothing(
    run: Run[Any], gateway: EnvoyGateway, split: Split
) -> None:
    async def observe() -> None:
        await gateway.apply(split(50))
        before = (await gateway.read()).counts
        async with Load(f"{gateway.url}/churn/x") as load:
            for weight in range(0, 100, 4):
                await gateway.apply(split(weight))
        after = (await gateway.read()).counts
        assert load.answers.failed == 0
        grown = sum(after[ref].requests - before[ref].requests for ref in (STABLE, CANDIDATE))
        assert grown == load.answers.total

    run(observe())


def test_the_same_snapshot_again_changes_nothing(run: Run[Any], gateway: EnvoyGateway, split: Split) -> None:
    async def observe() -> tuple[Applied, Applied]:
        await gateway.apply(split(40))
        return await gateway.apply(split(41)), await gateway.apply(split(41))

    first, second = run(observe())
    assert first.in_force_seconds > 0
    assert second == Applied(first.version, 0.0)


def test_a_removed_revision_answers_what_it_was_asked_before(
    run: Run[Any], gateway: EnvoyGateway, split: Split, endpoints: dict[RevisionRef, tuple[Endpoint, ...]]
) -> None:
    only_candidate = Snapshot({CANDIDATE: endpoints[CANDIDATE]}, {"churn": {2: 100}}, {"churn": 5.0})

    async def observe() -> tuple[str, set[RevisionRef]]:
        await gateway.apply(split(0))
        stable = endpoints[STABLE][0]
        async with httpx.AsyncClient(trust_env=False) as client:
            before = await served(stable)
            slow = asyncio.create_task(client.get(f"{gateway.url}/churn/x", headers={"x-delay-ms": "1000"}))
            await until(lambda: served(stable), lambda count: count > before)
            await gateway.apply(only_candidate)
            assert not slow.done()
            answer = await slow
        return answer.json()["name"], set((await gateway.read()).counts)

    name, counted = run(observe())
    assert name == "stable"
    assert STABLE not in counted
