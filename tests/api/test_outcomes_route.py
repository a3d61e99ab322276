"""Outcomes over HTTP: one that no store keeps costs the others of a call nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.api.test_bad_requests import TOKEN, ask
from tests.controller.outcomes.test_aftermath import begin
from tidegate.api.app import build_app
from tidegate.api.stopping import Stopping
from tidegate.controller.home import Home
from tidegate.controller.service import Service
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.store import Store
from tidegate.target.local import LocalTarget


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    store = Store(tmp_path / "tidegate.db")
    begin(store)
    home = Home(tmp_path / "home")
    home.create()
    target = LocalTarget(home.root, EnvoyGateway(home.gateway))
    service = Service(home, "http://127.0.0.1:1", store, target, Supervisor(home, store, target))
    yield build_app(service, TOKEN, Stopping())
    store.close()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('{"request_id": "x", "actual": 1e400}', "actual: expected a finite number"),
        ('{"request_id": "x", "actual": [1, NaN]}', "actual: expected a finite number"),
        ('{"request_id": "x", "actual": %s}' % ("9" * 5_000), "actual: expected a finite number"),
        ('{"request_id": "x", "outcome": %s}' % ("9" * 400), "outcome: expected a label"),
        ('{"request_id": "\\ud800", "bad": true}', "request_id: expected printable characters"),
    ],
)
def test_an_outcome_that_cannot_be_kept_is_told_and_the_others_are_taken(app: FastAPI, entry: str, told: str) -> None:
    good = json.dumps({"request_id": "a", "actual": 12345678901234567890123})
    body = f'{{"outcomes": [{entry}, {good}]}}'
    answer = ask(app, "POST", "/v1/deployments/churn/outcomes", content=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["received"], found["refused"], found["unjudged"]) == (2, 1, 1)
    assert [one["index"] for one in found["errors"]] == [0]
    assert told in found["errors"][0]["message"]
