"""Served requests and outcomes in the file: noted once, counted in order, never lost, and let go of in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from tidegate.controller.outcomes.joining import KEPT, Settling
from tidegate.store import NewEvent, Note, Ripe, Store, Told
from tidegate.store import outcomes as stored
from tidegate.store.address import Address
from tidegate.store.outcome_log import Holding, known_of, news
from tidegate.store.schema import telemetry

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


def logged(store: Store, *ids: str) -> dict[str, tuple[bool | None, Any]]:
    """Return what is known of requests, by the log of outcomes."""
    with store.database.read() as db:
        known = known_of(db, "churn", ids)
    return {name: (one.is_bad, one.actual) for name, one in known.items()}


def rows_of_the_log(store: Store) -> int:
    with store.database.read() as db:
        return int(db.execute(select(func.count()).select_from(telemetry.outcomes)).scalar_one())


def test_whatever_is_told_is_kept_in_the_log_whether_or_not_the_judge_wants_it(store: Store) -> None:
    nobody = Settling(None, is_noting=False, now=T0)
    told = [Told("a", is_bad=True, at=T0), Told("b", None, T0, actual={"price": 2.5}), Told("c", False, T0, "late")]
    assert store.told.tell(1, told, nobody, KEPT, T0) == {"unknown": 2}
    assert logged(store, "a", "b", "c") == {"a": (True, None), "b": (None, {"price": 2.5}), "c": (False, "late")}
    assert store.told.waiting(1) == 0


def test_what_is_sent_again_adds_no_row_to_the_log_and_what_is_told_otherwise_holds(store: Store) -> None:
    told = [Told("a", is_bad=True, at=T0, actual=1e20), Told("b", None, T0, actual=[1, None])]
    for _ in range(3):
        tell(store, T0, *told)
    assert rows_of_the_log(store) == 2
    # Of one moment the last told holds, of several the last that happened, and either value by itself.
    tell(store, T0, Told("a", None, T0, actual=2), Told("a", None, T0, actual=3), Told("b", True, T0, actual=[1, 0]))
    tell(store, T0, Told("a", False, T0 - 1, actual=4))
    assert logged(store, "a", "b") == {"a": (True, 3), "b": (True, [1, 0])}


told_of_a = st.builds(
    Told,
    st.just("a"),
    st.none() | st.booleans(),
    st.integers(T0, T0 + 3),
    st.sampled_from([None, 1, 1.0, True, "1", [1]]),
)


@given(st.lists(told_of_a, max_size=8))
def test_the_rows_of_the_log_say_in_their_order_what_holds_and_nothing_is_news_twice(told: list[Told]) -> None:
    known: dict[str, Holding] = {}
    rows = [row for one in told for row in news([one, one], known, datetime.now(UTC))]
    read = Holding()
    for row in sorted(rows, key=lambda row: (row["happened_at"], row["at"])):
        read = read.after(row["at"], row["happened_at"], row["bad"], row["actual"])
    assert read == known.get("a", Holding())
    assert len({row["at"] for row in rows}) == len(rows) <= len(told)


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
