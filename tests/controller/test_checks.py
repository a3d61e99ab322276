"""Checks before traffic, in the loop: asked again when they could not be asked, and never of what was changed since."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.controller.test_reconciling import NAME, Place
from tidegate.controller.reconcile import Reconciler
from tidegate.gate.kept import keep
from tidegate.store import RolloutRow
from tidegate.target.base import ReplicaHealth, RevisionHealth, RevisionSpec

GOLDEN = b"requests: [{name: one, predict: [{x: 1}], expect: [{p: 2}]}]"


@pytest.fixture
def replica() -> Iterator[ThreadingHTTPServer]:
    """Answers every request with what is in `answer`, and counts them in `asked`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            server.asked += 1  # type: ignore[attr-defined]
            body = json.dumps(server.answer).encode()  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer, server.asked = {"predictions": [{"p": 2}]}, 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def place_with(root: Path, address: str) -> Place:
    """Return a place whose replicas are ready at the address."""
    place = Place(root)

    async def ensure(spec: RevisionSpec, count: int) -> RevisionHealth:
        place.target.replicas.setdefault(spec.ref, spec.bundle)
        return RevisionHealth(tuple(ReplicaHealth(at, address, 1, True, 0, None) for at in range(count)))

    place.target.ensure_replicas = ensure  # type: ignore[method-assign]
    return place


def address_of(server: ThreadingHTTPServer) -> str:
    return f"127.0.0.1:{server.server_port}"


def begin(place: Place, **fields: Any) -> RolloutRow:
    kept = keep(GOLDEN, ".yaml", place.home.golden)
    return place.begin(gates={"golden": str(kept)}, **fields)


async def driven(place: Place, done: Callable[[], bool], reconciler: Reconciler | None = None) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while not done():
        assert asyncio.get_running_loop().time() < deadline
        await (reconciler or place.reconciler).tick()
        await asyncio.sleep(0.01)


def told(place: Place, row: RolloutRow) -> list[str]:
    events = place.store.events(row.deployment_id, rollout_id=row.id)
    return [event.message for event in events if event.kind == "checked"]


def test_golden_requests_are_asked_once_and_are_on_record(tmp_path: Path, replica: ThreadingHTTPServer) -> None:
    place = place_with(tmp_path / "home", address_of(replica))
    row = begin(place)
    asyncio.run(driven(place, lambda: place.store.rollout(row.id).ended_at is not None))
    assert place.store.rollout(row.id).phase == "promoted"
    assert told(place, row) == ["the golden request was answered as expected"]
    assert replica.asked == 1  # type: ignore[attr-defined]


def test_a_wrong_answer_ends_the_rollout_without_any_split(tmp_path: Path, replica: ThreadingHTTPServer) -> None:
    place = place_with(tmp_path / "home", address_of(replica))
    replica.answer = {"predictions": [{"p": 3}]}  # type: ignore[attr-defined]
    row = begin(place)
    asyncio.run(driven(place, lambda: place.store.rollout(row.id).ended_at is not None))
    ended = place.store.rollout(row.id)
    assert ended.phase == "failed"
    assert "golden request 1 (one): predictions[0].p: expected 2" in ended.state["reason"]
    assert place.target.splits[NAME] == {}


def test_a_controller_that_was_killed_in_the_middle_leaves_the_asking_to_the_next(
    tmp_path: Path, replica: ThreadingHTTPServer
) -> None:
    place = place_with(tmp_path / "home", address_of(replica))
    row = begin(place)

    async def story() -> None:
        killed = Reconciler(NAME, place.home, place.store, place.target)
        await killed.tick()  # begins to ask, and never hears the answer
        await driven(place, lambda: place.store.rollout(row.id).ended_at is not None)

    asyncio.run(story())
    assert place.store.rollout(row.id).phase == "promoted"


def test_a_replica_that_cannot_be_asked_is_asked_again_and_in_the_end_given_up(tmp_path: Path) -> None:
    place = place_with(tmp_path / "home", "127.0.0.1:1")
    row = begin(place, healthChecks={"readyWithin": "1s"})
    asyncio.run(driven(place, lambda: place.store.rollout(row.id).ended_at is not None))
    assert place.store.rollout(row.id).state["reason"] == "the checks before traffic could not be made in time"
    assert told(place, row) == []


def test_golden_requests_that_were_changed_since_are_not_asked(tmp_path: Path, replica: ThreadingHTTPServer) -> None:
    place = place_with(tmp_path / "home", address_of(replica))
    row = begin(place)
    kept = next(place.home.golden.iterdir())
    kept.chmod(0o600)
    kept.write_bytes(GOLDEN.replace(b"2", b"3"))
    asyncio.run(driven(place, lambda: place.store.rollout(row.id).ended_at is not None))
    assert "were changed after they were kept" in place.store.rollout(row.id).state["reason"]
    assert replica.asked == 0  # type: ignore[attr-defined]
