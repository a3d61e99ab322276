"""What the store need not keep is dropped; never what was not delivered, goes on, or is in no report yet."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.controller import keeper
from tidegate.controller.home import Home
from tidegate.controller.keeper import Keeper
from tidegate.store import Addressee, AttemptRow, Keep, NewEvent, RolloutRow, Store, retention

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=31)
RECEIVER = Addressee("notification", "a", "started", {"name": "a", "url": "http://a/b"})
FEW = Keep(notifications=3, rollouts=2)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a home in which a round takes several transactions."""
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(keeper, "TOGETHER", 2)
    return Home(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "tidegate.db", lambda _request, _kind: [RECEIVER])


def begun(store: Store, name: str, at: datetime) -> RolloutRow:
    row = store.start_rollout(
        name,
        digest="d" * 64,
        request={"name": name},
        plan_state=lambda _stable, _candidate: {"phase": "preparing"},
        to_revision=None,
        happened=NewEvent("preparing", "begun"),
        now=at,
    )
    for number in range(5):
        store.add_look(row.id, {"step": number}, at)
    return row


def ended(store: Store, home: Home, name: str, at: datetime, *, reported: bool = True) -> RolloutRow:
    row = begun(store, name, at)
    done = [NewEvent("promoted", "done")]
    row = store.save_transition(row, {"phase": "promoted"}, {}, done, at, ended=True, promoted=True)
    if reported:
        file = home.report(name, row.id, "json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"looks": store.looks(row.id)}), encoding="utf-8")
    return row


def deliver(store: Store, at: datetime, *, delivered: bool = True) -> None:
    """Settle all that is due."""
    while due := store.outbox.due(at):
        for one in due:
            store.outbox.record(one, AttemptRow(1, at, 3, delivered, None, ""), None, at)


def kept(store: Store, row: RolloutRow) -> list[str]:
    return [one.state for one in store.outbox.latest(row.deployment_id)]


def test_settled_notifications_beyond_the_age_are_dropped_and_pending_ones_stay(store: Store, home: Home) -> None:
    row = ended(store, home, "churn", LONG_AGO)
    deliver(store, LONG_AGO)
    dropped = [one.id for one in store.outbox.latest(row.deployment_id)]
    store.add_event(row.deployment_id, row.id, NewEvent("x", "waits since long ago"), LONG_AGO)
    asyncio.run(Keeper(home, store).round())
    assert kept(store, row) == ["pending"]
    assert [store.outbox.attempts(number) for number in dropped] == [[], []]
    assert len(store.events(row.deployment_id, limit=100)) == 3


def test_of_each_deployment_the_newest_settled_notifications_are_kept(store: Store, home: Home) -> None:
    rows = [ended(store, home, name, NOW) for name in ("churn", "fraud")]
    for number in range(6):
        store.add_event(rows[0].deployment_id, None, NewEvent("x", str(number)), NOW)
    deliver(store, NOW, delivered=False)
    asyncio.run(Keeper(home, store, FEW).round())
    assert [one.event.message for one in store.outbox.latest(rows[0].deployment_id)] == ["3", "4", "5"]
    assert kept(store, rows[1]) == ["given_up"] * 2


def test_looks_of_rollouts_that_go_on_or_are_not_reported_stay(store: Store, home: Home) -> None:
    old = ended(store, home, "churn", LONG_AGO)
    unreported = ended(store, home, "churn", LONG_AGO, reported=False)
    going = begun(store, "churn", LONG_AGO)
    asyncio.run(Keeper(home, store).round())
    assert [len(store.looks(row.id)) for row in (old, unreported, going)] == [0, 5, 5]


def test_looks_of_the_newest_rollouts_of_each_deployment_are_kept(store: Store, home: Home) -> None:
    rows = [ended(store, home, "churn", NOW) for _ in range(5)]
    other = ended(store, home, "fraud", NOW)
    asyncio.run(Keeper(home, store, FEW).round())
    assert [len(store.looks(row.id)) for row in (*rows, other)] == [0, 0, 0, 5, 5, 5]


def test_a_round_that_finds_nothing_to_drop_leaves_everything(store: Store, home: Home) -> None:
    row = ended(store, home, "churn", NOW)
    deliver(store, NOW)
    asyncio.run(Keeper(home, store).round())
    assert (len(store.looks(row.id)), kept(store, row)) == (5, ["delivered"] * 2)
