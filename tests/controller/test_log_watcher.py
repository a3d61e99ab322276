"""The log of what serves is read at its rhythm, by a process that is gone afterwards, and says why where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import insert

from tests.drift.test_aspects import classified, numbers
from tests.support import rollouts
from tests.support.telemetry_rows import put, row
from tidegate.contract.request import parse_request
from tidegate.controller.drift.log_watcher import LogWatcher
from tidegate.drift.labelled import Case
from tidegate.store import NewEvent, Store
from tidegate.store.schema.telemetry import outcomes

HOUR = timedelta(hours=1)
#: As if it had been deployed three days ago.
MADE = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
REFERENCE, LATER = MADE + HOUR, MADE + 50 * HOUR
DRIFT = {"reference": "/r.json", "referencePeriod": "24h", "period": "24h", "quality": {"period": "24h", "drop": 0.2}}


class Place:
    """A store with a deployment, its watcher, and the clocks of it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "tidegate.db")
        self.at = MADE + 60 * HOUR
        self.watcher = self.begun()

    def begun(self) -> LogWatcher:
        return LogWatcher(self.store, lambda: self.at, self.seconds)

    def seconds(self) -> float:
        return self.at.timestamp()

    def deploy(self, drift: dict[str, Any] | None = None, sink: str | None = "store:") -> None:
        asked = {"name": "churn", "modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}}
        request = parse_request({**asked, "drift": drift or DRIFT, "predictionLog": {"sink": sink} if sink else {}})
        started = self.store.start_rollout(
            "churn",
            digest="d" * 64,
            request=request.as_document(),
            plan_state=lambda _stable, _candidate: {"phase": "preparing"},
            to_revision=None,
            happened=NewEvent("preparing", "begun"),
            now=MADE,
        )
        rollouts.finish(self.store, started)

    def log(self, cases: list[Case], begins: datetime, *, known: bool = True) -> None:
        """Log requests, one a second, and what really was of them."""
        at = [begins + timedelta(seconds=nth) for nth in range(len(cases))]
        put(
            self.store.database,
            [
                row(moment, case.request_id, outputs=case.outputs, inputs={"age": [float(nth % 40)]})
                for nth, (moment, case) in enumerate(zip(at, cases, strict=True))
            ],
        )
        told = [
            {"at": moment, "happened_at": moment, "deployment": "churn", "request_id": case.request_id}
            | {"actual": case.actual}
            for moment, case in zip(at, cases, strict=True)
        ]
        if known:
            with self.store.database.write() as db:
                db.execute(insert(outcomes), told)

    def pass_by(self, seconds: float = 0) -> None:
        self.at += timedelta(seconds=seconds)
        asyncio.run(self.watcher.look())

    def why(self) -> dict[str, str | None]:
        return {aspect: seen.why for aspect, seen in self.watcher.seen("churn").items()}

    def states(self, aspect: str = "quality") -> list[str]:
        return [one.state for one in self.store.aspects.newest("churn", aspect, since=MADE, limit=10)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.store.close()


def test_answers_that_are_less_right_are_read_told_and_not_read_again_before_there_are_news(place: Place) -> None:
    place.deploy()
    place.log(classified(600), REFERENCE)
    place.log(classified(400, 2, right=False), LATER)
    # Others in this process may have children of their own.
    before = {one.pid for one in psutil.Process().children()}
    place.pass_by()
    assert not [
        one for one in psutil.Process().children() if one.pid not in before and one.status() != psutil.STATUS_ZOMBIE
    ]
    assert place.states() == ["worse"]
    # Of rows like those before nothing else is expected than before: only what really was says otherwise.
    assert set(place.states("performance")) <= {"kept", "inconclusive"}
    assert place.why() == {"quality": None, "performance": None}
    (event,) = [one for one in place.store.events(1) if one.kind == "drifted"]
    assert event.message.startswith("answers are less right than in the reference, by 400 requests: Worse")
    place.pass_by(600)
    assert place.states() == ["worse"]
    # Another controller goes on where this one was.
    place.log(classified(20, 3), LATER + 11 * HOUR)
    place.watcher = place.begun()
    place.pass_by(2 * 3600)
    found = place.store.aspects.newest("churn", "quality", since=MADE, limit=10)
    assert [(one.state, one.data["look"]) for one in found] == [("worse", 1), ("worse", 2)]
    assert found[1].data["measured"]["limits"]["alpha"] == pytest.approx(0.01 / 2 / 6)
    assert len([one for one in place.store.events(1) if one.kind == "drifted"]) == 1


def test_numbers_have_their_quality_and_nothing_that_could_be_expected(place: Place) -> None:
    place.deploy({**DRIFT, "together": True})
    place.log(numbers(300), REFERENCE)
    place.log(numbers(300, 2, off=4.0), LATER)
    place.pass_by()
    assert place.states() == ["worse"]
    assert place.states("together") in (["none"], ["inconclusive"])
    assert place.states("performance") == []
    assert "answers are numbers" in str(place.why()["performance"])


def test_without_outcomes_it_is_said_how_many_it_takes_and_no_reading_is_made(place: Place) -> None:
    place.deploy()
    place.log(classified(150), REFERENCE)
    place.log(classified(150, 2), LATER, known=False)
    place.pass_by()
    why = "what really was is known of 0 of 150 requests that were logged since then; it takes 100"
    assert place.why()["quality"] == why
    assert place.states() == []


def test_where_nothing_is_logged_or_the_reference_goes_on_it_is_said_without_a_process(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_words: Any, **_options: Any) -> Any:
        raise AssertionError("a process was started")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", never)
    place.deploy(sink=None)
    place.pass_by()
    assert set(place.why().values()) == {"predictions are not logged to the store (predictionLog.sink)"}
    place.deploy()
    place.pass_by(600)
    assert set(place.why().values()) == {"the store has no logged prediction of revision 2"}
    put(place.store.database, [row(place.at - HOUR, revision=2)])
    place.pass_by(600)
    assert all("is over at" in str(why) for why in place.why().values())


def test_a_process_that_cannot_be_started_is_said_and_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.deploy()
    place.log(classified(150), REFERENCE)
    place.log(classified(150, 2, right=False), LATER)
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", "/nowhere/python")
        place.pass_by()
    assert "could not be read: the process that reads it cannot be started" in str(place.why()["quality"])
    place.pass_by(11)
    assert place.states() == ["worse"]
    assert place.why()["quality"] is None
