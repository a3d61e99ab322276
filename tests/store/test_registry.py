"""Versions never change and never go; aliases and stages move, and each move is on record with who and why."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Executable, delete, select, update
from sqlalchemy.exc import IntegrityError

from tests.support.registered import add, begin, lineage, link, new
from tests.support.rollouts import NOW, finish
from tidegate.contract.errors import Conflict, InvalidInput, NotFound
from tidegate.contract.lineage import MOST_METRICS, parse_lineage
from tidegate.contract.models import ModelReference, parse_reference
from tidegate.store import NewEvent, Store, VersionRow
from tidegate.store.address import Address
from tidegate.store.registry import move_alias
from tidegate.store.schema import delivery
from tidegate.store.schema import registry as tables
from tidegate.store.schema.base import Guard


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    opened = Store(address)
    yield opened
    opened.close()


def version(store: Store, text: str) -> VersionRow:
    return store.registry.version(parse_reference(text))


def move(store: Store, alias: str, number: int | None, reason: str = "better") -> Any:
    return store.registry.move_alias("churn", alias, number, by="bob", reason=reason, now=NOW)


def test_what_was_added_is_what_is_read(store: Store) -> None:
    made_from = lineage(data=[{"uri": "s3://rows/march", "sha256": "0" * 64}], code="commit 1a2b", run="run 7")
    details = {"signature": {"b": 1, "a": [1.5, None]}, "environment": {"python": "3.11"}}
    added = add(store, metrics={"auc": 0.91, "rows": 10}, lineage=made_from, details=details, description="first")
    assert version(store, "models:/churn/1") == added
    assert (added.number, added.stage, added.created_by, added.created_at) == (1, "none", "ada", NOW)
    assert added.metrics == {"auc": 0.91, "rows": 10.0}
    assert added.lineage == made_from
    assert list(added.details["signature"]) == ["b", "a"], "shown as it is in the bundle"
    child = add(store, "b", lineage=lineage(parent="churn/1"))
    assert (child.number, child.lineage.parent) == (2, "models:/churn/1")
    assert [one.number for one in store.registry.versions("churn")] == [2, 1]
    assert [one.number for one in store.registry.versions("churn", limit=1)] == [2]
    found = store.registry.models()
    assert [(model.name, model.versions, dict(model.aliases)) for model in found] == [("churn", 2, {})]
    assert store.registry.model("churn") == found[0]


def test_the_same_said_twice_of_one_bundle_is_one_version(store: Store) -> None:
    first = add(store, metrics={"auc": 0.9})
    again, created = store.registry.add("churn", new(metrics={"auc": 0.9}), by="eve", now=NOW)
    assert (again, created) == (first, False)
    other, created = store.registry.add("churn", new(metrics={"auc": 0.8}), by="eve", now=NOW)
    assert (other.number, created) == (2, True)


def test_what_a_model_is_for_is_said_of_the_model_and_may_be_said_anew(store: Store) -> None:
    store.registry.add("churn", new(), by="ada", now=NOW, about="who leaves")
    add(store, "b")
    assert store.registry.model("churn").description == "who leaves"
    store.registry.add("churn", new("c"), by="ada", now=NOW, about="who leaves soon")
    assert store.registry.model("churn").description == "who leaves soon"


NAMES = ("x'; DROP TABLE models; --", '"; DELETE FROM model_versions', "100%_of\\it", "モデル 3", "{0} $1 ?")


def test_a_name_is_nothing_but_a_name(store: Store) -> None:
    add(store, model="churn")
    for name in NAMES:
        added = add(store, "b", model=name)
        assert store.registry.version(ModelReference(name, version=1)) == added
        store.registry.move_alias(name, "champion", 1, by="'; --", reason="'); DROP TABLE alias_moves", now=NOW)
        assert store.registry.alias_moves(name)[0].reason == "'); DROP TABLE alias_moves"
    assert {model.name for model in store.registry.models()} == {"churn", *NAMES}
    assert version(store, "churn/1").digest == "a" * 64


def test_a_name_that_no_reference_could_hold_is_refused(store: Store) -> None:
    for name in ("", " churn", "a/b", "a:b", "a@b", "..", "a\0b", "a\nb", "a" * 201, "\ud800"):
        with pytest.raises(InvalidInput, match="the name of a model"):
            add(store, model=name)
    assert store.registry.models() == []


def test_a_metric_that_is_no_number_is_refused_by_its_name(store: Store) -> None:
    for value in (float("nan"), float("inf"), -float("inf"), "0.9", True, None, 10**400):
        with pytest.raises(InvalidInput, match=r"metrics\.auc: expected a finite number"):
            add(store, metrics={"loss": 0.1, "auc": value})
    assert store.registry.models() == []


def test_metrics_and_lineage_are_bounded(store: Store) -> None:
    with pytest.raises(InvalidInput, match=f"at most {MOST_METRICS} metrics"):
        add(store, metrics={f"m{n}": 1.0 for n in range(MOST_METRICS + 1)})
    with pytest.raises(InvalidInput, match="a name of 1 to"):
        add(store, metrics={"m" * 251: 1.0})
    with pytest.raises(InvalidInput, match="at most 100 items"):
        parse_lineage({"data": [{"uri": "x"}] * 101})
    with pytest.raises(InvalidInput, match="at most 2000 characters"):
        parse_lineage({"code": "x" * 2001})
    with pytest.raises(InvalidInput, match="by its number"):
        parse_lineage({"parent": "models:/churn@champion"})
    assert store.registry.models() == []


def test_a_parent_that_is_not_registered_is_refused_and_nothing_is_made(store: Store) -> None:
    with pytest.raises(NotFound, match="no model 'base'"):
        add(store, lineage=lineage(parent="base/1"))
    add(store, model="base")
    with pytest.raises(NotFound, match="no version 2"):
        add(store, lineage=lineage(parent="base/2"))
    assert [model.name for model in store.registry.models()] == ["base"]


REWRITING: tuple[tuple[Executable, str], ...] = (
    (update(tables.model_versions).values(digest="x"), "immutable"),
    (update(tables.model_versions).values(metrics={"auc": 1.0}), "immutable"),
    (update(tables.model_versions).values(lineage={"code": "y"}), "immutable"),
    (update(tables.model_versions).values(details={}), "immutable"),
    (update(tables.model_versions).values(description="z"), "immutable"),
    (delete(tables.model_versions), "stay on record"),
    (delete(tables.models), "stay on record"),
    (update(tables.alias_moves).values(by="nobody"), "append-only"),
    (delete(tables.alias_moves), "append-only"),
    (update(tables.stage_changes).values(by="nobody"), "append-only"),
    (delete(tables.stage_changes), "append-only"),
    (update(tables.deployed_versions).values(follows="x"), "immutable"),
    (delete(tables.deployed_versions), "immutable"),
)


def test_the_database_itself_refuses_to_rewrite_what_was_registered(store: Store) -> None:
    add(store, metrics={"auc": 0.9})
    move(store, "champion", 1)
    store.registry.set_stage("churn", 1, "staging", by="ada", reason="", now=NOW)
    begin(store, "a", link(1))
    for statement, reason in REWRITING:
        with pytest.raises(IntegrityError, match=reason), store.database.write() as db:
            db.execute(statement)


# Aliases


def test_an_alias_moves_and_every_move_is_on_record(store: Store) -> None:
    add(store), add(store, "b")
    made = move(store, "champion", 1, "the first")
    assert (made.before, made.number, made.by, made.reason, made.at, made.rollout) == (
        *(None, 1, "bob", "the first", NOW, None),
    )
    assert move(store, "champion", 1) is None, "it is there already"
    moved = move(store, "champion", 2)
    assert version(store, "models:/churn@champion").aliases == ("champion",)
    assert version(store, "churn@champion").number == 2
    assert version(store, "churn/1").aliases == ()
    gone = move(store, "champion", None, "no good")
    assert store.registry.alias_moves("churn") == [made, moved, gone]
    with pytest.raises(NotFound, match="no alias 'champion'"):
        version(store, "churn@champion")
    with pytest.raises(NotFound, match="no alias 'champion'"):
        move(store, "champion", None)


def test_an_alias_that_would_be_taken_for_something_else_is_refused(store: Store) -> None:
    add(store)
    for alias in ("latest", "v3", "V12", "", "a b", "a/b", "-x", "x" * 101, "'; --", "champion\n"):
        with pytest.raises(InvalidInput, match="an alias: expected"):
            move(store, alias, 1)


def test_a_number_is_no_new_alias_and_one_that_is_there_already_goes_on_working(store: Store) -> None:
    add(store)
    add(store, "b")
    for alias in ("3", "007"):
        with pytest.raises(InvalidInput, match="no whole number"):
            move(store, alias, 1)
    assert store.registry.alias_moves("churn") == []
    with store.database.write() as db:  # as an older Tidegate did
        move_alias(db, 1, "churn", "3", 1, by="ada", reason="", now=NOW, rollout_id=None)
    assert version(store, "churn@3").number == 1
    move(store, "3", 2)
    assert version(store, "churn@3").number == 2
    move(store, "3", None)
    assert store.registry.model("churn").aliases == {}


def test_an_alias_of_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="no model 'churn'"):
        move(store, "champion", 1)
    add(store)
    with pytest.raises(NotFound, match="no version 2"):
        move(store, "champion", 2)
    assert store.registry.alias_moves("churn") == []


def test_many_who_write_at_once_get_numbers_without_gaps_and_moves_without_breaks(store: Store) -> None:
    letters = "abcdefghijklmnop"
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda letter: add(store, letter).number, letters))
    assert sorted(numbers) == list(range(1, len(letters) + 1))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: move(store, "champion", number), numbers))
    moves = store.registry.alias_moves("churn")
    assert [one.before for one in moves] == [None, *(one.number for one in moves[:-1])]
    assert version(store, "churn@champion").number == moves[-1].number


# Stages


def test_a_stage_names_its_newest_version_and_latest_none_that_is_archived(store: Store) -> None:
    for letter in "abc":
        add(store, letter)
    set_stage = store.registry.set_stage
    for number in (1, 2):
        set_stage("churn", number, "production", by="ada", reason="good", now=NOW)
    assert version(store, "models:/churn/Production").number == 2
    assert version(store, "models:/churn/latest").number == 3
    assert set_stage("churn", 3, "archived", by="bob", reason="leaks", now=NOW).stage == "archived"
    assert version(store, "churn/latest").number == 2
    with pytest.raises(NotFound, match="no version in the stage 'staging'"):
        version(store, "churn/staging")
    set_stage("churn", 3, "archived", by="eve", reason="again", now=NOW)
    changes = store.registry.stage_changes("churn")
    assert [(one.number, one.before, one.stage, one.by) for one in changes] == [
        (1, "none", "production", "ada"),
        (2, "none", "production", "ada"),
        (3, "none", "archived", "bob"),
    ]


def test_a_version_that_an_alias_names_is_not_archived_and_an_archived_one_gets_no_alias(store: Store) -> None:
    add(store)
    move(store, "champion", 1)

    def archive() -> None:
        store.registry.set_stage("churn", 1, "archived", by="ada", reason="", now=NOW)

    with pytest.raises(Conflict, match="named by champion"):
        archive()
    move(store, "champion", None)
    archive()
    with pytest.raises(Conflict, match="is archived"):
        move(store, "champion", 1)
    with pytest.raises(Conflict, match="is archived"):
        begin(store, "a", link(1))
    store.registry.set_stage("churn", 1, "none", by="ada", reason="after all", now=NOW)
    assert begin(store, "a", link(1)).to_revision == 1


# What is deployed


def archive(store: Store, number: int) -> None:
    store.registry.set_stage("churn", number, "archived", by="ada", reason="", now=NOW)


def test_a_deployed_version_is_neither_archived_nor_deleted(store: Store) -> None:
    for letter in "ab":
        add(store, letter)
    finish(store, begin(store, "a", link(1, follows=None)))
    trial = begin(store, "b", link(2, follows=None))
    for number, revision in ((1, 1), (2, 2)):
        with pytest.raises(Conflict, match=rf"is deployed: shop \(revision {revision}\)"):
            archive(store, number)
    deployed = version(store, "churn/1").deployed[0]
    assert (deployed.deployment, deployed.revision, deployed.stable) == ("shop", 1, True)
    assert not version(store, "churn/2").deployed[0].stable
    finish(store, trial, "rolled_back")
    archive(store, 2)
    store.delete_deployment("shop", NewEvent("deleted", "bye"), NOW)
    archive(store, 1)


def test_a_revision_and_its_version_are_the_same_bundle(store: Store) -> None:
    add(store)
    with pytest.raises(Conflict, match="another bundle"):
        begin(store, "b", link(1))
    assert store.deployments() == []
    with store.database.read() as db:
        assert db.execute(select(tables.deployed_versions)).all() == []


def test_a_promotion_moves_the_alias_that_follows_and_says_so_before_its_end(store: Store) -> None:
    for letter in "ab":
        add(store, letter)
    first = finish(store, begin(store, "a", link(1)))
    assert version(store, "churn@champion").number == 1
    second = begin(store, "b", link(2, by="bob"))
    assert version(store, "churn@champion").number == 1, "not before the promotion"
    finish(store, second)
    moves = store.registry.alias_moves("churn")
    assert [(one.before, one.number, one.by, one.rollout) for one in moves] == [
        (None, 1, "ada", first.id),
        (1, 2, "bob", second.id),
    ]
    assert moves[1].reason == f"rollout {second.id} of shop promoted revision 2: done"
    told = store.events(second.deployment_id, rollout_id=second.id)
    assert [event.kind for event in told] == ["preparing", "alias_moved", "promoted"]
    assert told[1].message == "the alias champion of the model churn moved from version 1 to version 2"


def test_a_promotion_that_is_refused_moves_no_alias(store: Store) -> None:
    add(store)
    row = begin(store, "a", link(1))
    finish(store, row)
    move(store, "champion", None)
    with pytest.raises(Exception, match=r"no longer in version|has ended"):
        finish(store, row)
    with pytest.raises(NotFound):
        version(store, "churn@champion")


#: What of the end of a rollout the database is made to refuse: the record of the move, and the event that comes last.
REFUSED = (
    Guard(tables.alias_moves, "no_move", "INSERT", "not today"),
    Guard(delivery.events, "no_end", "INSERT", "not today", when="NEW.kind IN ('promoted', 'rolled_back')"),
)


@contextmanager
def refusing(store: Store, guard: Guard) -> Iterator[None]:
    """Have the database itself refuse something."""
    database = store.database
    with database.write() as db:
        db.exec_driver_sql(guard.statement(database.engine.dialect.name))
    yield
    where = "" if database.is_sqlite else f" ON {guard.table.fullname}"
    with database.write() as db:
        db.exec_driver_sql(f"DROP TRIGGER {guard.name}{where}")


@pytest.mark.parametrize("guard", REFUSED, ids=lambda guard: str(guard.table.name))
@pytest.mark.parametrize("end", ["promotion", "return", "rollback"])
def test_the_end_of_a_rollout_and_the_move_of_its_alias_are_both_there_or_neither(
    store: Store, end: str, guard: Guard
) -> None:
    for letter in "abc":
        add(store, letter)
    finish(store, begin(store, "a", link(1)))
    finish(store, begin(store, "b", link(2)))
    if end == "rollback":
        move(store, "champion", 3)  # ahead of its candidate, with which it goes back
    row = begin(store, "a", to_revision=1) if end == "return" else begin(store, "c", link(3))
    phase = "rolled_back" if end == "rollback" else "promoted"

    def told() -> tuple[object, ...]:
        return (
            store.rollout(row.id),
            store.deployment("shop").stable,
            version(store, "churn@champion").number,
            store.registry.alias_moves("churn"),
            store.events(row.deployment_id),
        )

    before = told()
    with refusing(store, guard):
        with pytest.raises(IntegrityError, match="not today"):
            finish(store, row, phase)
        assert told() == before
    finish(store, row, phase)
    stable, number = {"promotion": (3, 3), "return": (1, 1), "rollback": (2, 2)}[end]
    assert store.rollout(row.id).phase == phase
    assert (store.deployment("shop").stable, version(store, "churn@champion").number) == (stable, number)


def test_a_return_moves_the_alias_back_also_to_a_revision_that_asked_for_none(store: Store) -> None:
    for letter in "ab":
        add(store, letter)
    finish(store, begin(store, "a", link(1, follows=None)))
    with pytest.raises(NotFound):
        version(store, "churn@champion")
    finish(store, begin(store, "b", link(2)))
    assert version(store, "churn@champion").number == 2
    finish(store, begin(store, "a", to_revision=1))
    assert version(store, "churn@champion").number == 1
    finish(store, begin(store, "b", to_revision=2))
    assert version(store, "churn@champion").number == 2


def test_a_return_to_what_is_no_version_takes_the_alias_away(store: Store) -> None:
    add(store, "b")
    finish(store, begin(store, "f"))
    finish(store, begin(store, "b", link(1)))
    row = finish(store, begin(store, "f", to_revision=1))
    with pytest.raises(NotFound):
        version(store, "churn@champion")
    last = store.registry.alias_moves("churn")[-1]
    assert (last.before, last.number, last.rollout) == (1, None, row.id)


def test_a_new_revision_without_an_alias_leaves_it_where_it_is(store: Store) -> None:
    for letter in "ab":
        add(store, letter)
    finish(store, begin(store, "a", link(1)))
    finish(store, begin(store, "b", link(2, follows=None)))
    assert version(store, "churn@champion").number == 1


def test_an_alias_that_was_moved_ahead_to_a_candidate_goes_back_with_it(store: Store) -> None:
    for letter in "abc":
        add(store, letter)
    finish(store, begin(store, "a", link(1)))
    for phase in ("rolled_back", "aborted", "failed"):
        move(store, "champion", 2)
        row = begin(store, "b", link(2))
        finish(store, row, phase)
        assert version(store, "churn@champion").number == 1
        assert store.registry.alias_moves("churn")[-1].rollout == row.id
    move(store, "champion", 3)
    finish(store, begin(store, "b", link(2)), phase)
    assert version(store, "churn@champion").number == 3, "it was moved to something else meanwhile"


def test_who_decided_a_rollout_is_who_moved_its_alias(store: Store) -> None:
    for letter in "ab":
        add(store, letter)
    finish(store, begin(store, "a", link(1)))
    row = begin(store, "b", link(2))
    store.add_event(row.deployment_id, row.id, NewEvent("promoting", "by hand", data={"by": "grace"}), NOW)
    finish(store, row)
    last = store.registry.alias_moves("churn")[-1]
    assert (last.by, last.reason) == ("grace", f"rollout {row.id} of shop promoted revision 2: by hand")


def test_of_arms_the_one_that_is_promoted_takes_the_alias(store: Store) -> None:
    for letter in "abc":
        add(store, letter)
    finish(store, begin(store, "a", link(1)))
    row = begin(store, "b", link(2), link(3), further=("c",))
    told = [NewEvent("promoted", "c is better")]
    store.save_transition(row, {"phase": "promoted"}, {}, told, NOW, ended=True, promoted=3)
    assert version(store, "churn@champion").number == 3


def test_an_alias_follows_one_deployment(store: Store) -> None:
    for letter in "ab":
        add(store, letter)
    finish(store, begin(store, "a", link(1)))
    with pytest.raises(Conflict, match="follows the deployment 'shop' already"):
        begin(store, "b", link(2), name="other")
    assert [one.name for one in store.deployments()] == ["shop"]
    begin(store, "b", link(2, follows="champion-other"), name="other")


def test_what_was_registered_is_there_when_it_is_opened_again(store: Store, address: Address) -> None:
    added = add(store, metrics={"auc": 0.5})
    store.close()
    again = Store(address)
    assert version(again, "churn/1") == added
    again.close()
