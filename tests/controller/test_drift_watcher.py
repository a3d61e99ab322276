"""The controller watches stable alone, reads once in an interval, stores what it read, and goes on where it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from tests.drift.test_served import sketches, table
from tests.support import rollouts
from tidegate.contract.errors import Unavailable
from tidegate.contract.request import parse_request
from tidegate.controller import planning
from tidegate.controller.drift import watcher as module
from tidegate.controller.drift.readings import seen_view, view
from tidegate.controller.drift.watcher import DriftWatcher
from tidegate.controller.home import Home
from tidegate.controller.watching import Watching
from tidegate.drift import Reference
from tidegate.gateway.base import RevisionRef
from tidegate.rollout import Phase, Rollout
from tidegate.store import NewEvent, Store
from tidegate.target.base import Counted, Target

START = datetime(2026, 3, 1, tzinfo=UTC)


class Replicas:
    """Replicas that have counted what a test says since they were asked last."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] | None = None
        self.asked: list[RevisionRef] = []

    async def count_columns(self, ref: RevisionRef, share: float) -> None:
        self.asked.append(ref)

    def counts_reader(self, ref: RevisionRef) -> Any:
        replicas = self

        class Reader:
            def read(self) -> Sequence[Counted]:
                rows, replicas.rows = replicas.rows, None
                return [] if rows is None else [Counted(len(rows["amount"]), sketches(rows))]

        return Reader()


class Clock:
    """Both clocks of the watcher, which go when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self, _zone: Any) -> datetime:
        return START + timedelta(seconds=self.seconds)


class Place:
    """A store with a deployment that asks for a watch, and its watcher."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.home = Home(folder)
        self.store = Store(self.home.database)
        self.clock = clock
        self.replicas = Replicas()
        content = json.dumps(Reference.of(table(0, 5_000)).without_numbers().as_plain()).encode()
        self.kept = folder / f"{sha256(content).hexdigest()}.json"
        self.kept.write_bytes(content)
        self.request = {"reference": str(self.kept), "interval": "10s", "period": "1m"}
        self.watcher = self.begun()

    def begun(self) -> DriftWatcher:
        """Return the watcher of another controller."""
        return DriftWatcher(self.store, Watching(cast("Target", self.replicas), self.clock.monotonic), self.home)

    def deploy(self, to_revision: int | None = None, **fields: Any) -> None:
        """Have the next revision serve, or one that there is."""
        asked = {"name": "churn", "modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}, **fields}
        row = self.store.start_rollout(
            "churn",
            digest="d" * 64,
            request=parse_request(asked).as_document(),
            plan_state=lambda _stable, _candidate: {"phase": "preparing"},
            to_revision=to_revision,
            happened=NewEvent("preparing", "begun"),
            now=START,
        )
        rollouts.finish(self.store, row)

    def try_another(self) -> None:
        """Begin a rollout, in which the judge compares a candidate with stable."""
        stable = self.store.revision(1, 1)

        def state(_stable: int | None, candidate: int) -> dict[str, Any]:
            plan = planning.plan_trial(planning.request_of(stable), stable, candidate)
            return dict(Rollout.begin(plan, START).evolve(phase=Phase.BASELINE).for_storage())

        self.store.start_rollout(
            "churn",
            digest="e" * 64,
            request=stable.request,
            plan_state=state,
            to_revision=None,
            happened=NewEvent("preparing", "begun"),
            now=START,
        )

    def pass_by(self, seconds: float, rows: dict[str, Any] | None = None) -> None:
        self.clock.seconds += seconds
        self.replicas.rows = rows
        asyncio.run(self.watcher.look())

    def readings(self) -> list[dict[str, Any]]:
        return [view(one) for one in self.store.drift.newest("churn", since=START, limit=100)]

    def told(self) -> list[str]:
        return [one.kind for one in self.store.events(1) if one.kind in ("drifted", "drift_over")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "datetime", clock)
    made = Place(tmp_path, clock)
    yield made
    made.store.close()


def test_who_asks_for_no_watch_gets_none(place: Place) -> None:
    place.deploy()
    place.pass_by(60, table(1, 500))
    assert place.watcher.seen("churn") is None
    assert place.readings() == []


def test_one_reading_is_made_in_an_interval_and_none_where_nothing_was_counted(place: Place) -> None:
    place.deploy(drift=place.request)
    place.pass_by(0)
    for seconds in range(3):
        place.pass_by(3, table(seconds, 300))
    assert place.readings() == []
    place.pass_by(1.5)
    (reading,) = place.readings()
    assert (reading["requests"], reading["state"], reading["drifted"], reading["look"]) == (900, "none", False, 1)
    assert {one["column"]: one["rows"] for one in reading["columns"]} == {"amount": 900, "kind": 900}
    place.pass_by(15)
    assert len(place.readings()) == 1
    seen = place.watcher.seen("churn")
    assert seen is not None
    assert seen_view(seen.last, seen.trouble)["columns"][0].keys() == {"column", "state", "psi"}


def test_drift_is_told_once_and_its_end_after_a_period_without(place: Place) -> None:
    place.deploy(drift=place.request)
    place.pass_by(0)
    for _ in range(3):
        place.pass_by(11, table(1, 500, shift=2.0))
    assert [one["state"] for one in place.readings()] == ["large"] * 3
    assert place.told() == ["drifted"]
    for _ in range(14):
        place.pass_by(11, table(2, 2_000))
    assert place.told() == ["drifted", "drift_over"]
    assert place.readings()[-1]["drifted"] is False
    events = {one.kind: one for one in place.store.events(1)}
    assert events["drifted"].message.startswith("drift in 1 of 2 columns of 500 requests: amount (PSI ")
    assert events["drifted"].revision == 1
    assert "no column has drifted for 1m" in events["drift_over"].message


def test_another_controller_goes_on_with_the_number_of_the_reading_and_the_standing(place: Place) -> None:
    place.deploy(drift=place.request)
    place.pass_by(0)
    place.pass_by(11, table(1, 500, shift=2.0))
    place.watcher = place.begun()
    place.pass_by(1)
    seen = place.watcher.seen("churn")
    assert seen is not None
    assert seen.last is not None
    assert view(seen.last) == place.readings()[-1]
    place.pass_by(11, table(2, 500, shift=2.0))
    assert [one["look"] for one in place.readings()] == [1, 2]
    assert place.told() == ["drifted"]


def test_the_next_revision_is_watched_anew_or_not_at_all(place: Place) -> None:
    place.deploy(drift=place.request)
    place.pass_by(0)
    place.pass_by(11, table(1, 500, shift=2.0))
    place.deploy(drift={**place.request, "alpha": "2%"})
    place.pass_by(0)
    place.pass_by(11, table(1, 500))
    assert [(one["revision"], one["look"], one["drifted"]) for one in place.readings()] == [(1, 1, True), (2, 1, False)]
    assert place.readings()[-1]["thresholds"] == {"moderate": 0.1, "large": 0.25, "alpha": pytest.approx(0.01)}
    place.deploy()
    place.pass_by(60, table(1, 500))
    assert place.watcher.seen("churn") is None


def test_while_the_judge_has_replicas_count_stable_is_watched_by_what_they_count_for_it(place: Place) -> None:
    place.deploy(drift=place.request)
    # At once: who asks its first requests right after the deployment is counted.
    place.pass_by(0)
    assert place.replicas.asked == [RevisionRef("churn", 1)]
    place.pass_by(1)
    place.try_another()
    place.pass_by(11, table(1, 500, shift=2.0))
    assert place.replicas.asked == [RevisionRef("churn", 1)] * 2
    assert [(one["revision"], one["state"]) for one in place.readings()] == [(1, "large")]


def test_a_reading_that_was_stored_although_the_store_said_otherwise_is_told_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.deploy(drift=place.request)
    place.pass_by(0)
    save = place.store.save_drift

    def breaks(*given: Any) -> None:
        save(*given)
        monkeypatch.setattr(place.store, "save_drift", save)
        raise Unavailable("the connection broke")

    monkeypatch.setattr(place.store, "save_drift", breaks)
    place.pass_by(11, table(1, 500, shift=2.0))
    seen = place.watcher.seen("churn")
    assert "the connection broke" in str(seen and seen.trouble)
    place.pass_by(11, table(2, 500, shift=2.0))
    assert place.told() == ["drifted"]
    assert [one["look"] for one in place.readings()] == [1, 2]
    seen = place.watcher.seen("churn")
    assert seen is not None
    assert seen.trouble is None


def test_a_reference_that_is_gone_is_said_and_found_again(place: Place) -> None:
    content = place.kept.read_bytes()
    place.kept.unlink()
    place.deploy(drift=place.request)
    place.pass_by(0)
    seen = place.watcher.seen("churn")
    assert seen is not None
    assert "cannot be read" in str(seen.trouble)
    place.kept.write_bytes(content + b" ")
    place.pass_by(11)
    seen = place.watcher.seen("churn")
    assert "was changed after it was kept" in str(seen and seen.trouble)
    place.kept.write_bytes(content)
    place.pass_by(11)
    place.pass_by(11, table(1, 500))
    assert len(place.readings()) == 1
    seen = place.watcher.seen("churn")
    assert seen is not None
    assert seen.trouble is None
