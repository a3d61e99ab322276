"""Readings of the log in the store, among those of columns: read as what they are, with their events or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.store.test_drift_readings import newest, reading
from tests.support import rollouts
from tests.support.telemetry_rows import put, put_outcomes, row
from tidegate.contract.errors import NotFound
from tidegate.controller.drift.log_process import Job, read
from tidegate.drift.aspects import Unread
from tidegate.store import AspectRow, NewEvent, Store
from tidegate.store.address import Address, whole_form
from tidegate.store.predictions import Wanted, first_at, has_news, last, with_actual

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    opened = Store(address)
    rollouts.finish(opened, rollouts.start(opened))
    yield opened
    opened.close()


def told(at: datetime = NOW, aspect: str = "quality", state: str = "worse", *, revision: int = 1) -> AspectRow:
    return AspectRow(at, "churn", revision, aspect, state, 336, {"look": 1, "said": ["Worse."], "drifted": True})


def found(store: Store, aspect: str = "quality", limit: int = 10, revision: int | None = None) -> list[AspectRow]:
    return store.aspects.newest("churn", aspect, since=NOW - MINUTE, limit=limit, revision=revision)


def test_what_was_stored_is_what_is_read_by_aspect_and_revision_oldest_first(store: Store) -> None:
    some = [told(NOW + at * MINUTE, revision=1 + at // 2) for at in range(3)]
    for one in some:
        store.save_aspects(1, [one, told(one.at, "together", "none")], [])
    assert found(store) == some
    assert found(store, limit=2) == some[1:]
    assert found(store, revision=2) == some[2:]
    assert [one.state for one in found(store, "together")] == ["none"] * 3
    assert found(store, "performance") == []


def test_readings_of_columns_and_of_the_log_are_not_taken_for_each_other(store: Store) -> None:
    # A model may have a column of that name.
    columns = reading(NOW, quality=0.5, age=0.1)
    store.save_drift(1, columns, None)
    store.save_aspects(1, [told(NOW + MINUTE)], [])
    assert newest(store) == [columns]
    assert newest(store, limit=1) == [columns]
    assert [one.columns[0].psi for one in newest(store, column="quality")] == [0.5]
    assert found(store) == [told(NOW + MINUTE)]


def test_they_are_stored_with_their_events_or_not_at_all(store: Store) -> None:
    store.save_aspects(1, [told()], [NewEvent("drifted", "less right", 1)])
    assert [(one.kind, one.at) for one in store.events(1)][-1] == ("drifted", NOW)
    store.delete_deployment("churn", NewEvent("deleted", "gone"), NOW)
    with pytest.raises(NotFound, match="no deployment 'churn'"):
        store.save_aspects(1, [told(NOW + MINUTE)], [NewEvent("drifted", "again", 1)])
    assert found(store) == [told()]


def test_the_log_of_either_database_is_read_by_where_it_is_and_nothing_else(store: Store) -> None:
    rows = [row(NOW + nth * MINUTE, str(nth), outputs={"y": [1.0]}, inputs={"age": [nth % 9]}) for nth in range(200)]
    put(store.database, rows)
    spans = [(NOW + begins * MINUTE, NOW + ends * MINUTE) for begins, ends in ((0, 120), (120, 200))]
    reference, current = ((since.isoformat(), until.isoformat()) for since, until in spans)
    drift = {"reference": "r.json"}
    looks = {"quality": 1, "performance": 1}
    job = Job(whole_form(store.address), "churn", 1, drift, reference, current, current, looks)
    told = {str(name): one for name, one in read(Job.of(job.line().decode())).items()}
    assert isinstance(told["quality"], Unread)
    assert "known of 0 of 120 requests" in told["quality"].why


def test_sqlite_finds_what_was_answered_by_the_request_and_not_by_all_of_the_time_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "tidegate.db")
    database, asked = store.database, list[Any]()
    event.listen(database.engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
    assert with_actual(database, Wanted("churn", NOW, NOW + MINUTE, revision=1), 10) == []
    statement, values = asked[-1]
    with database.engine.connect() as db:
        plan = [row[-1] for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    store.close()
    found = [step for step in plan if step.startswith("SEARCH") and ".predictions" in step]
    assert found == ["SEARCH main.predictions USING INDEX predictions_by_request (request_id=?)"]


def test_of_the_log_the_first_the_last_and_whether_there_are_news_are_known(store: Store) -> None:
    database = store.database
    assert first_at(database, "churn", 2, NOW - MINUTE) is None
    assert not has_news(database, "churn", NOW - MINUTE)
    put(database, [row(NOW + at * MINUTE, str(at), revision=1 + at % 2, outputs={"y": [at]}) for at in range(6)])
    assert first_at(database, "churn", 2, NOW) == NOW + MINUTE
    assert first_at(database, "churn", 1, NOW + MINUTE) == NOW + 2 * MINUTE
    wanted = Wanted("churn", NOW, NOW + 5 * MINUTE, revision=1)
    assert [one.outputs for one in last(database, wanted, 2, "outputs")] == [{"y": [2]}, {"y": [4]}]
    assert [(one.inputs, one.outputs) for one in last(database, wanted, 1, "inputs")] == [({"age": [41]}, {})]
    assert has_news(database, "churn", NOW + 5 * MINUTE)
    assert not has_news(database, "churn", NOW + 6 * MINUTE)
    put_outcomes(database, [(NOW + 7 * MINUTE, "1")])
    assert has_news(database, "churn", NOW + 6 * MINUTE)
    assert not has_news(database, "other", NOW)
