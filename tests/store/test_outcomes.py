"""Served requests and outcomes in the file: noted once, counted in order, never lost, and let go of in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tidegate.controller.outcomes.joining import KEPT, Settling
from tidegate.store import NewEvent, Note, Ripe, Store, Told
from tidegate.store import outcomes as stored
from tidegate.store.address import Address

T0 = 1_700_000_000_000


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    opened = Store(address)
    opened.start_rollout(
        "churn",
        digest="a" * 64,
        request={},
        plan_state=lambda _stable, _candidate: {"phase": "preparing"},
        to_revision=None,
        happened=NewEvent("preparing", "begun"),
        now=datetime.now(UTC),
    )
    yield opened
    opened.close()


def tell(store: Store, now: int, *told: Told, window_ms: int = 1000) -> dict[str, int]:
    return dict(store.told.tell(1, told, Settling(window_ms, is_noting=True, now=now), KEPT, now))


def ripe(store: Store, until: int, after: int = 0, window_ms: int = 1000) -> list[Ripe]:
    return store.told.ripe(1, after=after, until=until, window_ms=window_ms, limit=100)


def test_a_request_belongs_to_the_revision_that_served_it_and_to_nobody_when_two_did(store: Store) -> None:
    notes = [Note(1, "a", 1, T0), Note(1, "b", 2, T0), Note(1, "a", 1, T0 + 5), Note(1, "b", 1, T0 + 5)]
    store.told.add_notes(notes, {1: (7, 100)})
    assert [(one.revision, one.served_at) for one in ripe(store, T0 + 10)] == [(1, T0), (None, T0)]
    assert store.told.positions() == {1: (7, 100)}
    assert tell(store, T0 + 10, Told("b", is_bad=True, at=T0)) == {"ambiguous": 1}


def test_an_outcome_is_joined_before_its_request_is_known_and_after(store: Store) -> None:
    assert tell(store, T0, Told("a", is_bad=True, at=T0)) == {"waiting": 1}
    store.told.add_notes([Note(1, "a", 2, T0), Note(1, "b", 1, T0)], {1: (1, 1)})
    assert tell(store, T0 + 1, Told("b", is_bad=False, at=T0)) == {"joined": 1}
    assert [(one.revision, one.is_bad) for one in ripe(store, T0)] == [(2, True), (1, False)]
    assert store.told.waiting(1) == 0


def test_what_is_told_again_changes_nothing_and_a_correction_does_until_the_window_is_over(store: Store) -> None:
    store.told.add_notes([Note(1, "a", 2, T0)], {1: (1, 1)})
    bad, good = Told("a", is_bad=True, at=T0), Told("a", is_bad=False, at=T0 + 1)
    assert tell(store, T0 + 10, bad, bad, good) == {"joined": 1, "duplicate": 1, "corrected": 1}
    assert [one.is_bad for one in ripe(store, T0)] == [False]
    assert tell(store, T0 + 2000, Told("a", is_bad=True, at=T0 + 1500)) == {"duplicate": 1}
    assert [one.is_bad for one in ripe(store, T0)] == [False]


def test_what_is_told_late_is_kept_and_does_not_count(store: Store) -> None:
    store.told.add_notes([Note(1, "a", 2, T0)], {1: (1, 1)})
    assert tell(store, T0 + 1001, Told("a", is_bad=True, at=T0)) == {"late": 1}
    assert [one.is_bad for one in ripe(store, T0)] == [None]
    found = store.told.summary(1, since=T0, until=T0, now=T0 + 5000, window_ms=1000)
    assert found == {2: {"served": 1, "good": 0, "bad": 0, "late": 1, "open": 0, "missing": 0}}


def test_the_summary_says_what_came_of_every_request(store: Store) -> None:
    store.told.add_notes([Note(1, f"{n}", 1 + n % 2, T0) for n in range(20)], {1: (1, 1)})
    tell(store, T0 + 1, *(Told(f"{n}", is_bad=n < 4, at=T0) for n in range(12)))
    tell(store, T0 + 2000, *(Told(f"{n}", is_bad=True, at=T0) for n in range(12, 18)))
    found = store.told.summary(1, since=T0, until=T0, now=T0 + 5000, window_ms=1000)
    each = {"served": 10, "good": 4, "bad": 2, "late": 3, "open": 0, "missing": 1}
    assert found == {1: each, 2: each}


def test_requests_are_counted_in_the_order_of_their_notes_and_none_is_passed_over(store: Store) -> None:
    # The notes of two threads of the gateway: the second was answered after the third.
    notes = [Note(1, "a", 1, T0), Note(1, "b", 1, T0 + 30), Note(1, "c", 1, T0 + 20)]
    store.told.add_notes(notes, {1: (1, 1)})
    assert [one.seq for one in ripe(store, T0 + 20)] == [1]
    assert [one.seq for one in ripe(store, T0 + 30, after=1)] == [2, 3]


def test_the_oldest_go_when_there_are_too_many_and_it_is_known_that_they_did(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_ROWS", 10)
    store.told.add_notes([Note(1, f"{n}", 1, T0 + n) for n in range(25)], {1: (1, 1)})
    tell(store, T0, *(Told(f"{n}", is_bad=True, at=T0) for n in range(5)))
    assert store.told.forgotten(1) == 0
    while store.told.prune(T0 + 100):
        pass
    assert [one.seq for one in ripe(store, T0 + 100)] == list(range(16, 26))
    assert store.told.forgotten(1) == 15


def test_what_is_older_than_any_window_goes(store: Store) -> None:
    store.told.add_notes([Note(1, "old", 1, T0), Note(1, "new", 1, T0 + stored.RETENTION_MS)], {1: (1, 1)})
    tell(store, T0, Told("old", is_bad=True, at=T0), Told("older", is_bad=True, at=T0))
    store.told.prune(T0 + stored.RETENTION_MS + 1)
    assert [one.seq for one in ripe(store, T0 + 2 * stored.RETENTION_MS)] == [2]
    assert store.told.waiting(1) == 0
    assert store.told.forgotten(1) == 0


def test_everything_goes_with_a_deployment_that_was_deleted(store: Store) -> None:
    row = store.active_rollout(1)
    assert row is not None
    store.save_transition(row, {"phase": "failed"}, {}, [], datetime.now(UTC), ended=True)
    store.told.add_notes([Note(1, "a", 1, T0)], {1: (1, 1)})
    tell(store, T0, Told("a", is_bad=True, at=T0))
    store.delete_deployment("churn", NewEvent("deleted", "gone"), datetime.now(UTC))
    store.told.prune(T0 + 1)
    assert ripe(store, T0 + 1) == []
    assert store.told.summary(1, since=0, until=T0 + 1, now=T0, window_ms=1) == {}
