"""What is sent again and what is not, what is copied once, and who is ejected: through a real Envoy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import served, until
from tidegate.gateway import resources
from tidegate.gateway.base import Counts, Endpoint, RevisionRef, Snapshot, Trial
from tidegate.gateway.envoy import EnvoyGateway

STABLE, CANDIDATE = RevisionRef("churn", 1), RevisionRef("churn", 2)
INFERENCE = [
    "churn/predict",
    "churn/v2/models/churn/infer?x=1",
    "v2/models/churn/versions/3/infer",
    "churn/v1/models/churn:predict",
]


@pytest.fixture(scope="module")
def replicas(tiny: Callable[..., Tiny]) -> dict[RevisionRef, tuple[Endpoint, ...]]:
    return {
        STABLE: tuple(tiny(name).endpoint for name in ("one", "two", "three")),
        CANDIDATE: (tiny("candidate").endpoint,),
    }


@pytest.fixture
def put(
    run: Run[Any], gateway: EnvoyGateway, replicas: dict[RevisionRef, tuple[Endpoint, ...]]
) -> Callable[[float], None]:
    """Put the three replicas of stable in force, with so many percent of the requests copied to the candidate."""

    async def do(mirror: float) -> None:
        await gateway.apply(Snapshot(replicas, {"churn": {1: 100}}, {"churn": 5.0}, {"churn": Trial(2, mirror)}))
        both = STABLE, CANDIDATE
        await until(gateway.healthy, lambda healthy: [len(healthy.get(ref, ())) for ref in both] == [3, 1])

    return lambda mirror: run(do(mirror))


async def begun(replicas: dict[RevisionRef, tuple[Endpoint, ...]], ref: RevisionRef) -> int:
    return sum([await served(endpoint) for endpoint in replicas[ref]])


async def asked(gateway: EnvoyGateway, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        return await client.request(method, f"{gateway.url}/{path}", headers=headers or {}, content=b"{}")


@pytest.mark.parametrize(
    ("method", "path", "tries"),
    [
        *(("POST", path, 3) for path in INFERENCE),
        ("GET", "churn/anything", 3),
        ("POST", "churn/train", 1),
        ("PUT", "churn/predict/cache", 1),
        ("DELETE", "churn/anything", 1),
        ("POST", "churn/v2/models/churn", 1),
        ("POST", "churn@preview/train", 1),
    ],
)
def test_only_inference_is_sent_again_when_a_replica_vanishes_under_it(  # noqa: PLR0917 (fixtures)
    run: Run[Any],
    gateway: EnvoyGateway,
    replicas: dict[RevisionRef, tuple[Endpoint, ...]],
    put: Callable[[float], None],
    method: str,
    path: str,
    tries: int,
) -> None:
    put(0)
    ref = CANDIDATE if "@preview" in path else STABLE

    async def observe() -> tuple[int, int]:
        before = await begun(replicas, ref)
        answer = await asked(gateway, method, path, {"x-reset": "1"})
        return answer.status_code, await begun(replicas, ref) - before

    assert run(observe()) == (503, tries)


def test_a_copy_is_sent_once_however_often_the_original_is_tried(
    run: Run[Any],
    gateway: EnvoyGateway,
    replicas: dict[RevisionRef, tuple[Endpoint, ...]],
    put: Callable[[float], None],
) -> None:
    put(100)

    async def observe() -> None:
        before = await begun(replicas, STABLE), await begun(replicas, CANDIDATE)
        for _ in range(10):
            await asked(gateway, "POST", "churn/predict", {"x-reset": "1"})
        assert await begun(replicas, STABLE) - before[0] == 30
        # Copies are sent beside the answers: what comes after the last of them, and is copied as well, ends the wait.
        await asked(gateway, "POST", "churn/predict")
        await until(lambda: begun(replicas, CANDIDATE), lambda count: count - before[1] >= 11)
        assert await begun(replicas, CANDIDATE) - before[1] == 11

    run(observe())


MAY_CHANGE = [
    ("POST", "churn/train"),
    ("PUT", "churn/predict/cache"),
    ("DELETE", "churn/x"),
    ("POST", "v2/models/churn"),
]


def test_only_what_may_be_sent_again_is_copied(
    run: Run[Any],
    gateway: EnvoyGateway,
    replicas: dict[RevisionRef, tuple[Endpoint, ...]],
    put: Callable[[float], None],
) -> None:
    put(100)
    copied = [("GET", "churn/anything"), *(("POST", path) for path in INFERENCE)]

    async def observe() -> None:
        before = await begun(replicas, STABLE), await begun(replicas, CANDIDATE)
        # Those that must not be copied come first: a copy of one would be there before those of the others.
        for method, path in (*MAY_CHANGE, *copied):
            assert (await asked(gateway, method, path)).status_code == 200
        assert await begun(replicas, STABLE) - before[0] == len(MAY_CHANGE) + len(copied)
        await until(lambda: begun(replicas, CANDIDATE), lambda count: count - before[1] >= len(copied))
        assert await begun(replicas, CANDIDATE) - before[1] == len(copied)

    run(observe())


def test_what_is_not_copied_is_counted_apart_while_requests_are_copied(
    run: Run[Any], gateway: EnvoyGateway, put: Callable[[float], None]
) -> None:
    """The candidate never sees the like, so it is not to be compared with these."""

    async def counts() -> tuple[Counts, Counts]:
        all_of_them = (await gateway.read()).counts[STABLE]
        return all_of_them, all_of_them.uncopied or Counts(0, 0, 0, ())

    async def grown_by(requests: int, uncopied: int) -> None:
        # Envoy tells durations later than how many requests there were: of those before as well.
        before, apart_before = await until(counts, lambda seen: timed(seen[1]) == seen[1].requests)
        for status in ("200", "500", "404"):
            for method, path in (*MAY_CHANGE, ("POST", "churn/predict")):
                await asked(gateway, method, path, {"x-status": status})
        now, apart = await counts()
        assert (now.requests - before.requests, apart.requests - apart_before.requests) == (requests, uncopied)
        assert (now.errors - before.errors, apart.errors - apart_before.errors) == (requests // 3, uncopied // 3)
        assert apart.rejections - apart_before.rejections == uncopied // 3
        await until(counts, lambda seen: timed(seen[1]) - timed(apart_before) == uncopied)

    def timed(counted: Counts) -> int:
        return sum(bucket.count for bucket in counted.durations)

    put(100)
    run(grown_by(15, 12))
    put(0)  # what was counted stays: it must not pass for growth of the others
    run(grown_by(15, 0))
    put(50)
    run(grown_by(15, 12))


@pytest.mark.parametrize("deployment", ["churn", "churn@preview"])
@pytest.mark.parametrize("path", ["index", "models/churn/load", "models/churn/unload"])
def test_the_repository_of_models_is_not_reached(  # noqa: PLR0917 (fixtures)
    run: Run[Any],
    gateway: EnvoyGateway,
    replicas: dict[RevisionRef, tuple[Endpoint, ...]],
    put: Callable[[float], None],
    deployment: str,
    path: str,
) -> None:
    put(100)

    async def observe() -> None:
        before = await begun(replicas, STABLE), await begun(replicas, CANDIDATE)
        answer = await asked(gateway, "POST", f"{deployment}/v2/repository/{path}")
        assert answer.status_code == 404
        assert "not reached through the gateway" in answer.json()["error"]
        assert (await begun(replicas, STABLE), await begun(replicas, CANDIDATE)) == before

    run(observe())


async def ejections(gateway: EnvoyGateway, ref: RevisionRef) -> int:
    """Return how often the Envoys ejected a replica of the revision."""
    query = {"format": "json", "filter": rf"^cluster\.{ref.deployment}\|{ref.revision}\.outlier_detection"}
    pages = [await member.admin.get("/stats", query) for member in gateway._members]
    found = [{stat["name"].rpartition(".")[2]: stat["value"] for stat in page["stats"]} for page in pages]
    return sum(int(values["ejections_enforced_total"]) for values in found)


def test_a_replica_that_cannot_be_connected_to_is_ejected_and_nobody_notices(
    run: Run[Any], gateway: EnvoyGateway, tiny: Callable[..., Tiny], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each replica is asked once whether it is ready and never again, so that no health check finds it out.
    monkeypatch.setattr(resources, "HEALTH_INTERVAL_SECONDS", 3600.0)
    gone, there = tiny("gone"), tiny("there")
    ref = RevisionRef("ejecting", 1)
    both = Snapshot({ref: (gone.endpoint, there.endpoint)}, {"ejecting": {1: 100}}, {"ejecting": 5.0})

    async def observe() -> None:
        await gateway.apply(both)
        await until(gateway.healthy, lambda healthy: len(healthy[ref]) == 2)
        assert await ejections(gateway, ref) == 0
        gone.end()
        # Also what may change something: no replica can have begun what could not be sent.
        statuses = [(await asked(gateway, "POST", "ejecting/train")).status_code for _ in range(60)]
        assert statuses == [200] * 60
        assert await ejections(gateway, ref) >= 1

    run(observe())


@pytest.mark.parametrize("status", ["500", "503"])
def test_nobody_is_ejected_for_what_a_model_answers(
    run: Run[Any], gateway: EnvoyGateway, put: Callable[[float], None], status: str
) -> None:
    put(0)

    async def observe() -> None:
        before = await ejections(gateway, STABLE)
        for _ in range(40):
            answer = await asked(gateway, "POST", "churn/predict", {"x-status": status})
            assert answer.status_code == int(status)
        assert await ejections(gateway, STABLE) == before
        assert len((await gateway.healthy())[STABLE]) == 3

    run(observe())
