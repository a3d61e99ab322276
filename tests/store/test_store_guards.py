"""The store says no to what must not happen, even to code that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Executable, delete, update
from sqlalchemy.exc import IntegrityError

from tests.support.rollouts import NOW, finish, save, start
from tidegate.contract.errors import NotFound
from tidegate.store import ActiveRolloutExists, NewEvent, StaleState, Store
from tidegate.store.address import Address
from tidegate.store.schema import delivery


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    opened = Store(address)
    yield opened
    opened.close()


def test_the_first_rollout_makes_the_deployment_and_its_first_revision(store: Store) -> None:
    row = start(store)
    assert (row.from_revision, row.to_revision, row.phase, row.ended_at) == (None, 1, "preparing", None)
    assert row.state == {"phase": "preparing", "stable": None, "candidate": 1}
    assert [deployment.name for deployment in store.deployments()] == ["churn"]
    assert store.deployment("churn").stable is None


def test_revisions_that_are_tried_together_get_numbers_in_their_order_and_the_one_chosen_is_stable(
    store: Store,
) -> None:
    finish(store, start(store))
    row = store.start_rollout(
        "churn",
        digest="b" * 64,
        request={"arm": "b"},
        further=[("c" * 64, {"arm": "c"}), ("d" * 64, {"arm": "d"})],
        plan_state=lambda stable, candidate: {"phase": "preparing", "stable": stable, "candidate": candidate},
        to_revision=None,
        happened=NewEvent("preparing", "begun"),
        now=NOW,
    )
    assert row.state == {"phase": "preparing", "stable": 1, "candidate": 2}
    found = store.revisions(row.deployment_id)
    assert [(one.number, one.digest[0]) for one in found] == [(1, "d"), (2, "b"), (3, "c"), (4, "d")]
    ended = store.save_transition(
        row, {"phase": "promoted"}, {}, [NewEvent("promoted", "c")], NOW, ended=True, promoted=3
    )
    assert (ended.from_revision, ended.to_revision) == (1, 3)
    assert store.deployment("churn").stable == 3


def test_a_promotion_makes_the_revision_stable_in_the_same_transaction(store: Store) -> None:
    finish(store, start(store))
    assert store.deployment("churn").stable == 1
    second = start(store)
    assert (second.from_revision, second.to_revision) == (1, 2)
    finish(store, second, "rolled_back")
    assert store.deployment("churn").stable == 1


def test_a_second_rollout_of_a_deployment_is_refused_and_changes_nothing(store: Store) -> None:
    row = start(store)
    with pytest.raises(ActiveRolloutExists, match="under way"):
        start(store)
    assert [revision.number for revision in store.revisions(row.deployment_id)] == [1]
    start(store, "fraud")


def test_of_many_rollouts_started_at_once_one_is_let_in(store: Store) -> None:
    finish(store, start(store))

    def attempt(_: int) -> bool:
        try:
            start(store)
        except ActiveRolloutExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(24))) == 1


def test_an_update_based_on_an_old_reading_is_refused_and_records_no_event(store: Store) -> None:
    row = start(store)
    save(store, row, {"phase": "baseline"})
    before = store.events(row.deployment_id)
    with pytest.raises(StaleState):
        save(store, row, {"phase": "shifting"})
    with pytest.raises(StaleState):
        store.save_look(row, {"phase": "preparing"}, {})
    assert store.rollout(row.id).phase == "baseline"
    assert store.events(row.deployment_id) == before


def test_an_ended_rollout_cannot_be_changed_by_anyone(store: Store) -> None:
    ended = finish(store, start(store))
    with pytest.raises(IntegrityError, match="a rollout has ended"):
        save(store, ended, {"phase": "preparing"})


def test_a_terminal_phase_without_an_end_is_refused_by_the_database(store: Store) -> None:
    with pytest.raises(IntegrityError, match="exactly_in_a_terminal_phase"):
        save(store, start(store), {"phase": "promoted"})


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (update(delivery.events).values(message="never happened"), "append-only"),
        (delete(delivery.events), "append-only"),
        (update(delivery.revisions).values(digest="x"), "immutable"),
    ],
)
def test_history_cannot_be_rewritten(store: Store, statement: Executable, reason: str) -> None:
    start(store)
    with pytest.raises(IntegrityError, match=reason), store.database.write() as db:
        db.execute(statement)


def test_events_come_in_order_and_can_be_followed(store: Store) -> None:
    row = start(store)
    save(store, row, {"phase": "baseline"})
    first, second = store.events(row.deployment_id)
    assert (first.kind, first.revision, first.rollout, first.at) == ("preparing", 1, row.id, NOW)
    assert [event.seq for event in store.events(row.deployment_id, after=first.seq)] == [second.seq]
    assert store.events(row.deployment_id, rollout_id=row.id + 1) == []


def test_the_latest_rollout_and_the_outcomes_are_known_without_reading_all(store: Store) -> None:
    first = start(store)
    assert store.last_rollout(first.deployment_id) == first
    assert store.outcomes(first.deployment_id) == {}
    finish(store, first)
    ended = [finish(store, start(store), phase) for phase in ("rolled_back", "rolled_back", "aborted")]
    assert store.last_rollout(first.deployment_id) == ended[-1]
    assert store.outcomes(first.deployment_id) == {"promoted": 1, "rolled_back": 2, "aborted": 1}
    assert store.last_rollout(99) is None


def test_a_deleted_name_can_be_used_again_and_its_history_stays(store: Store) -> None:
    old = finish(store, start(store))
    store.delete_deployment("churn", NewEvent("deleted", "bye"), NOW)
    with pytest.raises(NotFound):
        store.deployment("churn")
    assert store.deleted_names() == {"churn"}
    new = start(store)
    assert store.deleted_names() == set()
    assert (new.to_revision, new.from_revision) == (1, None)
    assert store.rollout(old.id).phase == "promoted"


def test_a_deployment_with_a_running_rollout_cannot_be_deleted(store: Store) -> None:
    start(store)
    with pytest.raises(ActiveRolloutExists):
        store.delete_deployment("churn", NewEvent("deleted", "bye"), NOW)


def test_what_was_stored_is_there_when_it_is_opened_again(store: Store, address: Address) -> None:
    row = start(store)
    looked = store.save_look(row, {"phase": "preparing", "n": 1}, {"seen": [1, 2.5, None]})
    store.close()
    again = Store(address)
    assert again.rollout(row.id) == looked
    again.close()
