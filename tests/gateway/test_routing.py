"""What a user's request meets, through a real Envoy."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Run, Tiny
from tidegate.gateway.base import RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway

#: One worker runs them all: they share one Envoy.


@pytest.fixture(scope="module")
def client(run: Run[Any], gateway: EnvoyGateway, tiny: Callable[..., Tiny]) -> Iterator[httpx.Client]:
    """A user's client, with `churn` on one replica, `churn-2` on another and `empty` on none."""
    churn, churn2, empty = RevisionRef("churn", 1), RevisionRef("churn-2", 7), RevisionRef("empty", 5)
    snapshot = Snapshot(
        endpoints={churn: (tiny("one").endpoint,), churn2: (tiny("two").endpoint,), empty: ()},
        splits={"churn": {1: 100}, "churn-2": {7: 100}, "empty": {5: 100}},
        timeout_seconds={"churn": 0.5},
    )
    run(gateway.apply(snapshot))
    with httpx.Client(base_url=gateway.url, trust_env=False) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "name", "seen"),
    [
        ("/churn/predict", "one", "/predict"),
        ("/churn", "one", "/"),
        ("/churn/", "one", "/"),
        ("/churn?verbose=1", "one", "/?verbose=1"),
        ("/churn/v2/models/churn/infer", "one", "/v2/models/churn/infer"),
        ("/v2/models/churn/infer", "one", "/v2/models/churn/infer"),
        ("/v2/models/churn", "one", "/v2/models/churn"),
        ("/churn-2/predict", "two", "/predict"),
        ("/v2/models/churn-2/versions/7/infer", "two", "/v2/models/churn-2/versions/7/infer"),
    ],
)
def test_a_deployment_is_reached_under_its_name(client: httpx.Client, path: str, name: str, seen: str) -> None:
    answer = client.post(path, json={})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["path"]) == (name, seen)


@pytest.mark.parametrize("path", ["/", "/churns/predict", "/predict", "/v2", "/v2/models/other/infer", "/v2/health"])
def test_any_other_path_is_404_with_json(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert "no deployment" in answer.json()["error"]


@pytest.mark.parametrize("state", ["live", "ready"])
def test_the_gateway_answers_for_its_own_health(client: httpx.Client, state: str) -> None:
    answer = client.get(f"/v2/health/{state}")
    assert answer.status_code == 200
    assert answer.json() == {state: True}


def test_the_answer_names_the_revision(client: httpx.Client) -> None:
    assert client.get("/churn/x").headers["x-tidegate-revision"] == "1"
    assert client.get("/churn-2/x").headers["x-tidegate-revision"] == "7"


def test_a_revision_without_replicas_is_503_with_json_in_its_name(client: httpx.Client) -> None:
    answer = client.get("/empty/x")
    assert answer.status_code == 503
    assert answer.headers["x-tidegate-revision"] == "5"
    assert "no healthy upstream" in answer.json()["error"]


def test_a_request_that_takes_too_long_is_504_in_the_name_of_the_revision(client: httpx.Client) -> None:
    answer = client.get("/churn/x", headers={"x-delay-ms": "5000"})
    assert answer.status_code == 504
    assert answer.headers["x-tidegate-revision"] == "1"
    assert "timeout" in answer.json()["error"]


def test_users_cannot_change_the_timeout_by_a_header(client: httpx.Client) -> None:
    headers = {"x-delay-ms": "60", "x-envoy-upstream-rq-timeout-ms": "5"}
    assert client.get("/churn/x", headers=headers).status_code == 200


@pytest.mark.parametrize("given", ["mine", "5e050bb0-4435-4012-b7ba-f66f9a635f29"])
def test_the_users_request_id_reaches_the_replica_untouched(client: httpx.Client, given: str) -> None:
    answer = client.get("/churn/x", headers={"x-request-id": given})
    assert answer.json()["request_id"] == given
    assert answer.headers["x-request-id"] == given


def test_a_request_without_an_id_gets_one(client: httpx.Client) -> None:
    answer = client.get("/churn/x")
    assert uuid.UUID(answer.json()["request_id"])
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
