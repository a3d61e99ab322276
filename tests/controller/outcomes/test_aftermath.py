"""When the last windows are over, what came of a rollout's requests is said once, and changes nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.contract.request import parse_request
from tidegate.controller import planning
from tidegate.controller.evidence import Measured
from tidegate.controller.outcomes.aftermath import ALL_TOLD, HARM, Aftermath
from tidegate.controller.outcomes.joining import KEPT, Settling
from tidegate.controller.outcomes.source import milliseconds
from tidegate.rollout import Rollout
from tidegate.store import NewEvent, Note, RevisionRow, RolloutRow, Store, Told
from tidegate.trial.rules import rules

STARTED = datetime.now(UTC) - timedelta(hours=1)
ENDED = STARTED + timedelta(minutes=5)
REQUEST = parse_request(
    {
        "name": "churn",
        "modelArtifact": {"path": "/models/churn.skops"},
        "servingRequirements": {},
        "steps": [50, 100],
        "analysis": {"outcomes": {"bad": "10%", "window": "2m"}},
    }
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "tidegate.db")


def begin(store: Store, stable: RevisionRow | None = None) -> RolloutRow:
    def state(_: int | None, candidate: int) -> dict[str, Any]:
        return dict(Rollout.begin(planning.plan_trial(REQUEST, stable, candidate), STARTED).for_storage())

    return store.start_rollout(
        "churn",
        digest="a" * 64,
        request=REQUEST.as_document(),
        plan_state=state,
        to_revision=None,
        happened=NewEvent("preparing", "begun"),
        now=STARTED,
    )


def end(store: Store, row: RolloutRow, measured: Measured, now: datetime) -> None:
    state = {**row.state, "phase": "promoted"}
    store.save_transition(row, state, measured.for_storage(), [], now, ended=True, promoted=row.to_revision)


def promoted(store: Store, bad_of_candidate: int, now: datetime = ENDED) -> None:
    """End a rollout as promoted, with 200 requests of each revision that nobody has counted yet."""
    end(store, begin(store), Measured(), now)
    row = begin(store, store.revision(1, 1))
    policy = rules(REQUEST)
    at = milliseconds(now) - 1000
    notes = [Note(1, f"{revision} {n}", revision, at) for n in range(200) for revision in (1, 2)]
    store.told.add_notes(notes, {1: (1, 1)})
    told = [Told(f"2 {n}", is_bad=n < bad_of_candidate, at=at) for n in range(200)]
    told += [Told(f"1 {n}", is_bad=n < 10, at=at) for n in range(200)]
    store.told.tell(1, told, Settling(120_000, is_noting=True, now=at + 1000), KEPT, at + 1000)
    end(store, row, Measured(last={}).enter_step(0, policy), now)


@pytest.mark.parametrize(("bad", "kind"), [(10, ALL_TOLD), (90, HARM)])
def test_what_came_of_all_requests_is_said_once(store: Store, bad: int, kind: str) -> None:
    promoted(store, bad)
    deployment = store.deployment("churn")

    async def look_twice() -> None:
        said = await Aftermath(store).look(deployment)
        assert said is not None
        assert await Aftermath(store).look(deployment) is None

    asyncio.run(look_twice())
    events = [event for event in store.events(1) if event.kind in (ALL_TOLD, HARM)]
    assert [event.kind for event in events] == [kind]
    assert events[0].data["outcomes"] == {"2": {"requests": 200, "bad": bad}, "1": {"requests": 200, "bad": 10}}
    assert store.deployment("churn").stable == 2


def test_nothing_is_said_before_the_last_window_is_over(store: Store) -> None:
    promoted(store, 90, datetime.now(UTC) - timedelta(seconds=60))
    assert asyncio.run(Aftermath(store).look(store.deployment("churn"))) is None
