"""The revision on trial: requests that are copied to it, and the address at which it is seen before it has users."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import send_many, until
from tidegate.gateway.base import Counts, Endpoint, RevisionRef, Snapshot, Trial
from tidegate.gateway.envoy import EnvoyGateway

STABLE, CANDIDATE = RevisionRef("churn", 1), RevisionRef("churn", 2)

Shadow = Callable[[float], Snapshot]


@pytest.fixture(scope="module")
def endpoints(tiny: Callable[..., Tiny]) -> dict[RevisionRef, tuple[Endpoint, ...]]:
    return {STABLE: (tiny("stable").endpoint,), CANDIDATE: (tiny("candidate").endpoint,)}


@pytest.fixture
def shadow(endpoints: dict[RevisionRef, tuple[Endpoint, ...]]) -> Shadow:
    """Return the snapshot in which so many percent of the requests are copied to the candidate."""
    return lambda percent: Snapshot(endpoints, {"churn": {1: 100}}, {"churn": 5.0}, {"churn": Trial(2, percent)})


async def counts_of(gateway: EnvoyGateway, ref: RevisionRef) -> Counts:
    return (await gateway.read()).counts[ref]


@pytest.mark.parametrize("percent", [100, 12.5])
def test_the_share_that_was_asked_for_is_copied_and_users_meet_stable_alone(
    run: Run[Any], gateway: EnvoyGateway, shadow: Shadow, percent: float
) -> None:
    share = percent / 100
    allowed = 5 * math.sqrt(1000 * share * (1 - share))

    async def observe() -> None:
        await gateway.apply(shadow(percent))
        before = (await counts_of(gateway, CANDIDATE)).requests
        answers = await send_many(f"{gateway.url}/churn/x", 1000)
        assert answers.failed == 0
        assert answers.names == {"stable": 1000}

        async def copied() -> int:
            return (await counts_of(gateway, CANDIDATE)).requests - before

        # A copy is counted when it is answered, which nobody waits for.
        await until(copied, lambda count: abs(count - 1000 * share) <= allowed)

    run(observe())


def test_a_copy_is_the_same_request(run: Run[Any], gateway: EnvoyGateway, shadow: Shadow) -> None:
    async def observe() -> dict[str, Any]:
        await gateway.apply(shadow(100))
        before = (await counts_of(gateway, CANDIDATE)).requests
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"x-request-id": "the-one"}
            await client.post(f"{gateway.url}/churn/predict?debug=1", headers=headers, content=b"[1]")

            async def counted() -> int:
                return (await counts_of(gateway, CANDIDATE)).requests

            await until(counted, lambda count: count > before)
            answer = await client.get(f"{gateway.url}/churn@preview/look")
            return dict(answer.json())

    seen = run(observe())
    assert seen["name"] == "candidate"
    assert seen["before"]["path"] == "/predict?debug=1"
    assert seen["before"]["request_id"] == "the-one"
    assert "shadow" not in seen["before"]["host"]
    assert seen["before"]["copied"] == "1"


@pytest.mark.parametrize("percent", [0, 12.5, 100])
def test_stable_learns_which_requests_are_copied(
    run: Run[Any], gateway: EnvoyGateway, shadow: Shadow, percent: float
) -> None:
    async def observe() -> tuple[int, int]:
        await gateway.apply(shadow(percent))
        before = (await counts_of(gateway, CANDIDATE)).requests
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = [(await client.get(f"{gateway.url}/churn/x")).json() for _ in range(200)]
        marked = sum(answer["is_copied"] for answer in answers)

        async def copied() -> int:
            return (await counts_of(gateway, CANDIDATE)).requests - before

        return marked, await until(copied, lambda count: count == marked)

    marked, copied = run(observe())
    assert marked == copied
    assert {0: marked == 0, 12.5: 0 < marked < 100, 100: marked == 200}[percent]


def test_a_candidate_that_fails_copies_is_counted_and_harms_no_user(
    run: Run[Any], gateway: EnvoyGateway, tiny: Callable[..., Tiny], endpoints: dict[RevisionRef, tuple[Endpoint, ...]]
) -> None:
    gone = tiny("gone")
    snapshot = Snapshot(
        {**endpoints, RevisionRef("churn", 3): (gone.endpoint,)},
        {"churn": {1: 100}},
        {"churn": 5.0},
        {"churn": Trial(3, 100)},
    )

    async def observe() -> None:
        await gateway.apply(snapshot)
        gone.end()
        answers = await send_many(f"{gateway.url}/churn/x", 200)
        assert answers.failed == 0

        async def failed() -> int:
            return (await counts_of(gateway, RevisionRef("churn", 3))).errors

        await until(failed, lambda count: count == 200)

    run(observe())


def test_a_preview_is_answered_by_the_candidate_and_in_no_count(
    run: Run[Any], gateway: EnvoyGateway, shadow: Shadow
) -> None:
    async def observe() -> None:
        await gateway.apply(shadow(0))
        before = await counts_of(gateway, CANDIDATE)
        answers = await send_many(f"{gateway.url}/churn@preview/predict", 50)
        assert answers.names == {"candidate": 50}
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{gateway.url}/churn@preview/docs")
        assert answer.json()["path"] == "/docs"
        assert answer.headers["x-tidegate-revision"] == "2"
        assert await counts_of(gateway, CANDIDATE) == before

    run(observe())


def test_without_a_trial_there_is_no_preview(
    run: Run[Any], gateway: EnvoyGateway, endpoints: dict[RevisionRef, tuple[Endpoint, ...]]
) -> None:
    async def observe() -> int:
        await gateway.apply(Snapshot(endpoints, {"churn": {1: 100}}, {}))
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{gateway.url}/churn@preview/docs")).status_code

    assert run(observe()) == 404


def test_a_hundredth_of_a_percent_is_a_share_like_any_other(
    run: Run[Any], gateway: EnvoyGateway, endpoints: dict[RevisionRef, tuple[Endpoint, ...]]
) -> None:
    async def observe() -> int:
        await gateway.apply(Snapshot(endpoints, {"churn": {1: 99.5, 2: 0.5}}, {}))
        answers = await send_many(f"{gateway.url}/churn/x", 4000)
        return answers.names["candidate"]

    assert abs(run(observe()) - 20) <= 5 * math.sqrt(4000 * 0.005 * 0.995)
