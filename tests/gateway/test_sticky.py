"""Users who are told apart stay with a revision, whatever is restarted, and move only when a weight makes them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from http.cookies import SimpleCookie
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Run, Tiny
from tidegate.gateway.base import Endpoint, Forced, RevisionRef, Snapshot, Sticky
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.shares import Shares, reassigned

STABLE, CANDIDATE = RevisionRef("churn", 1), RevisionRef("churn", 2)
USERS = 10_000
CONNECTIONS = 8

Endpoints = dict[RevisionRef, tuple[Endpoint, ...]]


@pytest.fixture(scope="module")
def endpoints(tiny: Callable[..., Tiny]) -> Endpoints:
    """Two replicas on each side: stickiness is to a revision, not to a replica."""
    return {
        STABLE: (tiny("stable").endpoint, tiny("stable").endpoint),
        CANDIDATE: (tiny("candidate").endpoint, tiny("candidate").endpoint),
    }


@pytest.fixture(scope="module")
def four(tiny: Callable[..., Tiny]) -> Endpoints:
    """Four arms with a replica each."""
    return {RevisionRef("churn", number): (tiny(f"arm {number}").endpoint,) for number in (1, 2, 3, 4)}


def split(endpoints: Endpoints, weight: float, sticky: Sticky) -> Snapshot:
    return Snapshot(endpoints, {"churn": {1: 100 - weight, 2: weight}}, {"churn": 5.0}, sticky={"churn": sticky})


async def all_healthy(gateway: EnvoyGateway, endpoints: Endpoints) -> None:
    """Wait until an Envoy that was only just started has found every replica well; before that it answers 503."""
    asked = {ref: frozenset(replicas) for ref, replicas in endpoints.items()}
    async with asyncio.timeout(30):
        while dict(await gateway.healthy()) != asked:  # noqa: ASYNC110 (Envoy tells nobody)
            await asyncio.sleep(0.01)


async def assigned(gateway: EnvoyGateway, users: int) -> list[int]:
    """Return the revision that each of the users gets, asked over a few kept connections."""
    found = [0] * users

    async def ask(start: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for user in range(start, users, CONNECTIONS):
            writer.write(b"GET /churn/x HTTP/1.1\r\nhost: gateway\r\nx-user-id: user-%d\r\n\r\n" % user)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 200"), head
            await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
            found[user] = int(head.partition("x-tidegate-revision: ")[2].partition("\r\n")[0])
        writer.close()

    await asyncio.gather(*(ask(start) for start in range(CONNECTIONS)))
    return found


def test_of_ten_thousand_users_only_those_move_whom_a_change_of_weight_must_move(
    run: Run[Any], gateway: EnvoyGateway, endpoints: Endpoints
) -> None:
    header = Sticky(header="x-user-id")

    async def observe() -> list[list[int]]:
        seen = []
        for weight in (10, 25, 60, 30):
            await gateway.apply(split(endpoints, weight, header))
            seen.append(await assigned(gateway, USERS))
        return seen

    ten, quarter, most, third = run(observe())
    for weight, seen in ((10, ten), (25, quarter), (60, most), (30, third)):
        share = weight / 100
        assert abs(seen.count(2) - USERS * share) < 5 * math.sqrt(USERS * share * (1 - share))
    # A rising weight takes users from stable alone, a falling one gives them back to stable alone.
    assert all(later == 2 for earlier, later in zip(ten, quarter, strict=True) if earlier == 2)
    assert all(later == 2 for earlier, later in zip(quarter, most, strict=True) if earlier == 2)
    assert all(later == 1 for earlier, later in zip(most, third, strict=True) if earlier == 1)


def test_of_ten_thousand_users_of_four_arms_only_as_many_move_as_three_changes_of_weight_ask_for(
    run: Run[Any], gateway: EnvoyGateway, four: Endpoints
) -> None:
    """An arm is raised and another lowered, one is taken out, and two are raised at stable's cost."""
    changes: list[dict[int, float]] = [
        {1: 60, 2: 20, 3: 15, 4: 5},
        {1: 50, 2: 30, 3: 10, 4: 10},
        {1: 60, 2: 30, 4: 10},
        {1: 42.5, 2: 35, 4: 22.5},
    ]

    async def observe() -> list[list[int]]:
        seen = []
        shares: Shares = ()
        for split in changes:
            shares = reassigned(shares, split)
            snapshot = Snapshot(
                four,
                {"churn": split},
                {"churn": 5.0},
                sticky={"churn": Sticky(header="x-user-id")},
                shares={"churn": shares},
            )
            await gateway.apply(snapshot)
            seen.append(await assigned(gateway, USERS))
        return seen

    seen = run(observe())
    for split, users in zip(changes, seen, strict=True):
        for revision, weight in split.items():
            share = weight / 100
            assert abs(users.count(revision) - USERS * share) < 5 * math.sqrt(USERS * share * (1 - share))
    for (before, after), (earlier, later) in zip(pairwise(changes), pairwise(seen), strict=True):
        moves = [(old, new) for old, new in zip(earlier, later, strict=True) if old != new]
        # Nobody leaves an arm that gains, nobody comes to an arm that loses.
        assert all(before.get(old, 0) > after.get(old, 0) for old, _ in moves)
        assert all(after.get(new, 0) > before.get(new, 0) for _, new in moves)
        must = sum(max(0, after.get(revision, 0) - before.get(revision, 0)) for revision in (1, 2, 3, 4)) / 100
        assert abs(len(moves) - USERS * must) < 5 * math.sqrt(USERS * must * (1 - must))


@pytest.mark.parametrize(
    ("forced", "headers"),
    [
        (Forced(3, "beta", header="x-group"), {"x-group": "beta"}),
        (Forced(3, "c", cookie="group"), {"cookie": "other=1; group=c; last=2"}),
    ],
)
def test_requests_with_the_value_of_an_arm_get_it_whatever_the_split_says(
    run: Run[Any], gateway: EnvoyGateway, four: Endpoints, forced: Forced, headers: dict[str, str]
) -> None:
    async def observe() -> tuple[set[str], set[str]]:
        snapshot = Snapshot(
            four,
            {"churn": {1: 100}},
            {"churn": 5.0},
            sticky={"churn": Sticky(cookie="visitor")},
            forced={"churn": (forced,)},
        )
        await gateway.apply(snapshot)
        near = {name: f"{value}x" for name, value in headers.items() if name != "cookie"} or {"cookie": "agroup=c"}
        async with httpx.AsyncClient(trust_env=False) as client:
            paths = ("churn/predict", "v2/models/churn/infer")
            with_value = [await client.get(f"{gateway.url}/{path}", headers=headers) for path in paths * 3]
            without = [await client.get(f"{gateway.url}/churn/x", headers=near) for _ in range(5)]
        assert all("set-cookie" not in answer.headers for answer in with_value)
        return (
            {answer.headers["x-tidegate-revision"] for answer in with_value},
            {answer.headers["x-tidegate-revision"] for answer in without},
        )

    assert run(observe()) == ({"3"}, {"1"})


def test_users_stay_where_they_are_when_the_gateway_is_started_anew(
    run: Run[Any], endpoints: Endpoints, tmp_path: Path
) -> None:
    async def observe() -> tuple[list[int], list[int]]:
        seen = []
        for _ in range(2):
            opened = EnvoyGateway(tmp_path, port=0)
            await opened.ensure_running()
            await opened.apply(split(endpoints, 40, Sticky(header="x-user-id")))
            await all_healthy(opened, endpoints)
            seen.append(await assigned(opened, 500))
            await opened.stop()
        return seen[0], seen[1]

    before, after = run(observe())
    assert before == after
    assert set(before) == {1, 2}


def test_a_user_without_the_cookie_is_given_one_and_stays(
    run: Run[Any], gateway: EnvoyGateway, endpoints: Endpoints
) -> None:
    async def observe() -> set[int]:
        await gateway.apply(split(endpoints, 50, Sticky(cookie="visitor")))
        sides = set()
        for _ in range(20):
            async with httpx.AsyncClient(trust_env=False) as client:
                first = await client.get(f"{gateway.url}/churn/x")
                given = SimpleCookie(first.headers["set-cookie"])["visitor"]
                assert (given["path"], int(given["max-age"]), given["httponly"]) == ("/", 365 * 24 * 3600, True)
                later = [await client.get(f"{gateway.url}/churn/x") for _ in range(5)]
                assert all("set-cookie" not in answer.headers for answer in later)
                revisions = {int(answer.headers["x-tidegate-revision"]) for answer in (first, *later)}
                assert len(revisions) == 1
                sides |= revisions
        return sides

    assert run(observe()) == {1, 2}


def test_requests_without_the_header_are_split_at_random(
    run: Run[Any], gateway: EnvoyGateway, endpoints: Endpoints
) -> None:
    async def observe() -> int:
        await gateway.apply(split(endpoints, 50, Sticky(header="x-user-id")))
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = [await client.get(f"{gateway.url}/churn/x") for _ in range(200)]
        return sum(answer.headers["x-tidegate-revision"] == "2" for answer in answers)

    assert 60 < run(observe()) < 140
