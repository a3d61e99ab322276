"""The readings of a deployment over HTTP: its own, from when on they are asked for, whatever moment that is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from tests.api.test_bad_requests import TOKEN, ask
from tests.support import rollouts
from tidegate.api.app import build_app
from tidegate.api.stopping import Stopping
from tidegate.controller.home import Home
from tidegate.controller.service import Service
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.store import AspectRow, DriftColumn, DriftReading, NewEvent, Store
from tidegate.target.local import LocalTarget

MINUTE = timedelta(minutes=1)
WHOLE = {"state": "none", "requests": 7, "look": 1, "thresholds": {}, "drifted": False, "drift_at": None}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "tidegate.db")
    rollouts.finish(opened, rollouts.start(opened))
    for at in range(5):
        columns = (DriftColumn("age", 7, 0.2, "none", {}), DriftColumn("city", 7, 0.1, "none", {}))
        opened.save_drift(1, DriftReading(rollouts.NOW + at * MINUTE, "churn", 1, columns, WHOLE), None)
    yield opened
    opened.close()


@pytest.fixture
def app(tmp_path: Path, store: Store) -> FastAPI:
    home = Home(tmp_path / "home")
    home.create()
    target = LocalTarget(home.root, EnvoyGateway(home.gateway))
    return build_app(
        Service(home, "http://127.0.0.1:1", store, target, Supervisor(home, store, target)), TOKEN, Stopping()
    )


def readings(app: FastAPI, **query: str) -> list[dict[str, Any]]:
    asked = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    answer = ask(app, "GET", f"/v1/deployments/churn/drift?{asked}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["readings"])


def test_readings_come_oldest_first_the_newest_so_many_of_one_column_or_all(app: FastAPI) -> None:
    since = rollouts.NOW.isoformat()
    found = readings(app, since=since)
    assert [one["at"] for one in found] == [(rollouts.NOW + at * MINUTE).isoformat() for at in range(5)]
    assert [one["column"] for one in found[0]["columns"]] == ["age", "city"]
    assert readings(app, since=since, limit="2") == found[-2:]
    assert [one["column"] for one in readings(app, since=since, column="city")[0]["columns"]] == ["city"]


def test_readings_of_the_log_come_beside_and_not_with_one_column(app: FastAPI, store: Store) -> None:
    data = {"measured": {"area": 0.7}, "said": ["Large."], "look": 1, "drifted": True, "drift_at": None}
    for at in range(3):
        store.save_aspects(1, [AspectRow(rollouts.NOW + at * MINUTE, "churn", 1, "together", "large", 9, data)], [])
    since = quote(rollouts.NOW.isoformat())
    answer = ask(app, "GET", f"/v1/deployments/churn/drift?since={since}&limit=2").json()
    assert [(one["aspect"], one["state"], one["requests"]) for one in answer["aspects"]] == [
        ("together", "large", 9)
    ] * 2
    assert (len(answer["readings"]), answer["watched"]) == (2, [])
    assert "aspects" not in ask(app, "GET", f"/v1/deployments/churn/drift?since={since}&column=age").json()


@pytest.mark.parametrize(
    ("since", "count"),
    [("0001-01-01T00:00:00+14:00", 5), ("9999-12-31T23:59:59-14:00", 0), ("2026-03-01T13:02:30+01:00", 2)],
)
def test_any_moment_may_be_asked_for(app: FastAPI, since: str, count: int) -> None:
    assert len(readings(app, since=since)) == count


def test_readings_may_be_asked_for_until_a_moment(app: FastAPI) -> None:
    since = rollouts.NOW.isoformat()
    until = (rollouts.NOW + 2 * MINUTE).isoformat()
    assert [one["at"] for one in readings(app, since=since, until=until)][-1] == until
    assert readings(app, since=since, until="0001-01-01T00:00:00+14:00") == readings(app, since=since, until=since)


def total(app: FastAPI, status: int = 200, **query: str) -> dict[str, Any]:
    asked = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    answer = ask(app, "GET", f"/v1/deployments/churn/drift/total?{asked}")
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_of_readings_without_intervals_nothing_is_added_up_and_that_is_told(app: FastAPI) -> None:
    found = total(app, since="2020-01-01T00:00:00Z")
    assert found["totals"] == found["straddling"] == []
    assert found["uncountedUntil"] == (rollouts.NOW + 4 * MINUTE).isoformat()
    assert total(app, since="9999-12-31T23:59:59-14:00")["totals"] == []
    assert total(app, until="0001-01-01T00:00:00+14:00", since="0001-01-01T00:00:00+15:00")["uncountedUntil"] is None


def test_a_period_that_ends_before_it_begins_is_refused(app: FastAPI) -> None:
    told = total(app, 400, since="2026-03-02T00:00:00Z", until="2026-03-01T00:00:00Z")["error"]
    assert (told["subject"], "ends before it begins" in told["message"]) == ("until", True)


def test_readings_of_an_earlier_deployment_of_the_name_are_not_this_ones(app: FastAPI, store: Store) -> None:
    store.delete_deployment("churn", NewEvent("deleted", "gone"), rollouts.NOW)
    store.start_rollout(
        "churn",
        digest="d" * 64,
        request={"name": "churn"},
        plan_state=lambda _stable, _candidate: {"phase": "preparing"},
        to_revision=None,
        happened=NewEvent("preparing", "begun"),
        now=rollouts.NOW + 10 * MINUTE,
    )
    assert readings(app, since="2020-01-01T00:00:00Z") == []
    assert total(app, since="2020-01-01T00:00:00Z")["uncountedUntil"] is None
