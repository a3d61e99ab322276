"""An A/B test of a champion against three challengers, with real models behind a real Envoy."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import SHORT, Tidegate, belonging_to, eventually
from tidegate.contract.errors import Conflict

pytestmark = pytest.mark.e2e

ROW = {"distance": 800.0, "hour": 17, "month": 6, "carrier": "UA"}
USERS = 10_000
CONNECTIONS = 8
ONE = {"resources": {"replicas": 1}}
STICKY = {"stickyBy": {"header": "x-user-id"}}


@pytest.fixture
def name(tidegate: Tidegate, good_model: Path) -> Iterator[str]:
    """A deployment of the test's own, whose champion is the good model."""
    name = f"arrivals-{time.monotonic_ns() % 1_000_000}"
    report = tidegate.ended(tidegate.deploy(name, good_model, infrastructure=ONE, traffic=STICKY))
    assert report["outcome"] == "promoted"
    yield name
    with tidegate.client as client, suppress(Conflict):
        client.delete(name)


def begin(tidegate: Tidegate, name: str, champion: Path, arms: list[dict[str, Any]]) -> str:
    return tidegate.deploy(
        name,
        champion,
        deploymentStrategy="ab-test",
        steps=None,
        abTest={"arms": arms},
        infrastructure=ONE,
        traffic=STICKY,
        # The models differ in their labels, which is not what this is about.
        gates={"allowBreaking": True},
        analysis=SHORT,
    )


def arm(called: str, path: Path, weight: float, **fields: Any) -> dict[str, Any]:
    return {"name": called, "modelArtifact": {"path": str(path), "version": called}, "weight": weight, **fields}


def split_of(tidegate: Tidegate, name: str, split: dict[int, float]) -> bool:
    status = tidegate.status(name)
    asked = {str(revision): share for revision, share in split.items()}
    return bool(status["split_asked"] == asked and status["phase"] == "paused")


def assigned(url: str, users: int = USERS) -> list[int]:
    """Return the revision that each of the users gets, asked over a few kept connections."""
    found = [0] * users
    parts = httpx.URL(url)

    async def ask(start: int) -> None:
        reader, writer = await asyncio.open_connection(parts.host, parts.port)
        path = f"{parts.path.rstrip('/')}/v2/health/live"
        for user in range(start, users, CONNECTIONS):
            writer.write(f"GET {path} HTTP/1.1\r\nhost: gateway\r\nx-user-id: user-{user}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 200"), head
            await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
            found[user] = int(head.partition("x-tidegate-revision: ")[2].partition("\r\n")[0])
        writer.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(ask(start) for start in range(CONNECTIONS)))

    asyncio.run(all_of_them())
    return found


def moved(earlier: list[int], later: list[int]) -> list[tuple[int, int]]:
    return [(old, new) for old, new in zip(earlier, later, strict=True) if old != new]


def agrees(count: int, share: float, total: int = USERS) -> bool:
    return abs(count - total * share) < 5 * math.sqrt(total * share * (1 - share))


def test_four_arms_keep_their_users_through_changes_kills_and_a_harmful_arm_until_a_person_chooses(
    tidegate: Tidegate, name: str, good_model: Path, better_model: Path, fragile_model: Path
) -> None:
    stable = tidegate.status(name)["stable"]
    b, c, d = stable + 1, stable + 2, stable + 3
    testers = {"header": "x-group", "value": "testers"}
    arms = [arm("b", better_model, 20), arm("c", fragile_model, 15), arm("d", good_model, 5, match=testers)]
    rollout = begin(tidegate, name, good_model, arms)
    eventually("the split", lambda: split_of(tidegate, name, {stable: 60, b: 20, c: 15, d: 5}))
    url = tidegate.status(name)["url"]

    first = assigned(url)
    weights = {stable: 60, b: 20, c: 15, d: 5}
    assert all(agrees(first.count(revision), weight / 100) for revision, weight in weights.items())

    def counted() -> dict[str, int]:
        requests = tidegate.status(name)["rollout"]["requests_in_step"]
        return {revision: counts["requests"] for revision, counts in requests.items()}

    # What the gateway counted at the replicas is who got what.
    served = {str(revision): first.count(revision) for revision in weights}
    eventually("all of them are counted", lambda: counted() == served)
    assert tidegate.status(name)["rollout"]["split_check"] == "confirmed"
    answers = [httpx.post(f"{url}/predict", json=[ROW], headers={"x-group": "testers"}) for _ in range(10)]
    assert {(answer.status_code, answer.headers["x-tidegate-revision"]) for answer in answers} == {(200, str(d))}

    with tidegate.client as client:
        client.set_weights(name, {"b": 30, "d": 10}, by="ada", reason="b looks good")
    eventually("the split", lambda: split_of(tidegate, name, {stable: 45, b: 30, c: 15, d: 10}))
    second = assigned(url)
    changes = moved(first, second)
    assert {old for old, _ in changes} == {stable}
    assert {new for _, new in changes} == {b, d}
    assert agrees(len(changes), 0.15)

    tidegate.controller().kill()
    for process in belonging_to(tidegate.home):
        if "envoy" in process.name():
            process.kill()
    tidegate.start()
    eventually("the gateway", lambda: split_of(tidegate, name, {stable: 45, b: 30, c: 15, d: 10}))
    eventually("requests", lambda: _answers(f"{tidegate.status(name)['url']}/v2/health/live"))
    url = tidegate.status(name)["url"]
    assert assigned(url) == second

    traffic = tidegate.traffic(name, rate=160)
    eventually("c is out", lambda: split_of(tidegate, name, {stable: 60, b: 30, d: 10}), 120)
    records = traffic.stop()
    assert {record.revision for record in records if record.failed} <= {c}
    third = assigned(url)
    assert {(old, new) for old, new in moved(second, third)} == {(c, stable)}
    told = {one["name"]: one for one in tidegate.status(name)["rollout"]["arms"]}
    assert "rejected" in told["c"]["out"] or "failed" in told["c"]["out"], told["c"]["out"]
    assert told["b"]["out"] is None
    eventually("its replicas are gone", lambda: not tidegate.pids(name, c))

    with tidegate.client as client:
        client.set_weights(name, {"b": 50}, by="ada")
    eventually("the split", lambda: split_of(tidegate, name, {stable: 40, b: 50, d: 10}))
    assert set(moved(third, assigned(url))) == {(stable, b)}

    with tidegate.client as client:
        with pytest.raises(Conflict, match="say which arm: b, d"):
            client.promote(name)
        with pytest.raises(Conflict, match="arm c is out"):
            client.promote(name, arm="c")
        client.promote(name, arm="d", by="ada", reason="more of its users came back")
    report = tidegate.ended(rollout)
    assert (report["outcome"], report["decided_by"], report["to_revision"]) == ("promoted", "ada", d)
    shares = [(one["name"], one["weight"]) for one in report["arms"]]
    assert shares == [("stable", 40), ("b", 50), ("c", 0), ("d", 10)], "as they stood when it was decided"
    assert report["comparison"]["alpha"] == pytest.approx(0.01)
    assert any("better than c on rejections" in said for said in report["comparison"]["statements"])
    eventually("all users on it", lambda: tidegate.status(name)["split_asked"] == {str(d): 100})
    assert set(assigned(url, 200)) == {d}
    eventually("no other replica", lambda: set(tidegate.status(name)["replicas"]) == {str(d)})
    with tidegate.client as client:
        markdown = client.report_markdown(rollout)
        page = client.report_html(rollout)
    assert "| c |" in markdown
    assert "better than c" in page


def test_when_every_challenger_does_harm_stable_gets_all_users_back(
    tidegate: Tidegate, name: str, good_model: Path, fragile_model: Path
) -> None:
    stable = tidegate.status(name)["stable"]
    traffic = tidegate.traffic(name, rate=160)
    rollout = begin(tidegate, name, good_model, [arm("b", fragile_model, 30), arm("c", fragile_model, 30)])
    report = tidegate.ended(rollout, 120)
    traffic.stop()
    assert report["outcome"] == "rolled_back", report["reason"]
    assert all(one["out"] for one in report["arms"] if one["name"] != "stable")
    assert tidegate.status(name)["split_asked"] == {str(stable): 100}


def test_arms_against_something_that_does_not_serve_are_refused_and_nothing_changes(
    tidegate: Tidegate, name: str, good_model: Path, better_model: Path
) -> None:
    before = tidegate.status(name)
    with pytest.raises(Conflict, match="is not what serves"):
        begin(tidegate, name, better_model, [arm("b", good_model, 20)])
    with tidegate.client as client, pytest.raises(Conflict, match="no rollout"):
        client.set_weights(name, {"b": 10})
    assert tidegate.status(name)["rollout"]["id"] == before["rollout"]["id"]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
