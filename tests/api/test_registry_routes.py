"""The model registry over HTTP: what is registered, shown, compared and moved, and what is refused in which words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from tests.support.quick_models import write_flights, write_minutes
from tidegate.api.app import build_app
from tidegate.api.stopping import Stopping
from tidegate.controller.home import Home
from tidegate.controller.service import Service
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.store import Store
from tidegate.target.local import LocalTarget

TOKEN = "a-token"


class Api:
    """A controller's API without its loop, and a folder with two models that differ in what they take."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.home.create()
        self.store = Store(self.home.database)
        target = LocalTarget(self.home.root, EnvoyGateway(self.home.gateway))
        service = Service(
            self.home, "http://127.0.0.1:1", self.store, target, Supervisor(self.home, self.store, target)
        )
        self.app: FastAPI = build_app(service, TOKEN, Stopping())
        self.regressor = write_minutes(folder / "amounts.onnx")
        self.classifier = write_flights(folder / "churn.onnx")

    def ask(self, method: str, path: str, body: Any = None, **params: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            async with httpx.AsyncClient(transport=transport, base_url="http://c", headers=headers) as client:
                content = json.dumps(body) if body is not None else None
                return await client.request(method, f"/v1/registry/{path}", content=content, params=params or None)

        return asyncio.run(asked())

    def add(self, name: str, path: Path, **fields: Any) -> httpx.Response:
        body = {"artifact": {"path": str(path)}, "by": "ada", **fields}
        return self.ask("POST", f"models/{quote(name, safe='')}/versions", body)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = Api(tmp_path_factory.mktemp("registry"))
    assert api.add("churn", api.classifier, metrics={"auc": 0.9, "loss": 0.3}).status_code == 201
    assert api.add("churn", api.regressor, metrics={"auc": 0.91}, lineage={"parent": "churn/1"}).status_code == 201
    yield api
    api.store.close()


def refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


def test_a_registered_version_is_its_bundle_with_all_that_was_told(api: Api) -> None:
    version = api.ask("GET", "models/churn/versions/1").json()
    assert (version["reference"], version["framework"], version["created_by"]) == ("models:/churn/1", "onnx", "ada")
    assert version["source"] == str(api.classifier)
    assert version["metrics"] == {"auc": 0.9, "loss": 0.3}
    assert version["signature"]["inputs"]
    assert version["environment"]["packages"]
    assert (api.home.bundles / version["digest"] / "bundle.json").exists()
    assert api.ask("GET", "models/churn/versions/2").json()["lineage"] == {"data": [], "parent": "models:/churn/1"}


def test_what_is_registered_again_is_the_version_that_it_was(api: Api) -> None:
    again = api.add("churn", api.classifier, metrics={"auc": 0.9, "loss": 0.3})
    assert (again.status_code, again.json()["created"], again.json()["version"]["version"]) == (200, False, 1)


def test_a_model_is_shown_with_its_versions_newest_first_and_every_move(api: Api) -> None:
    assert api.ask("PUT", "models/churn/aliases/champion", {"version": 1, "by": "bob", "reason": "first"}).json()[
        "moved"
    ]
    moved = api.ask("PUT", "models/churn/aliases/champion", {"version": 2, "expected": 1, "by": "bob"})
    assert moved.json()["version"]["aliases"] == ["champion"]
    stale = api.ask("PUT", "models/churn/aliases/champion", {"version": 1, "expected": 1})
    assert "moved meanwhile" in refused(stale, 409)
    staged = api.ask("PUT", "models/churn/versions/1/stage", {"stage": "staging", "by": "bob", "reason": "look"})
    assert staged.json()["stage"] == "staging"
    shown = api.ask("GET", "models/churn").json()
    assert [version["version"] for version in shown["versions"]] == [2, 1]
    assert shown["aliases"] == {"champion": 2}
    assert [(move["before"], move["version"], move["by"]) for move in shown["alias_moves"]] == [
        (None, 1, "bob"),
        (1, 2, "bob"),
    ]
    assert [(change["before"], change["stage"], change["reason"]) for change in shown["stage_changes"]] == [
        ("none", "staging", "look")
    ]
    assert api.ask("GET", "models").json()["models"][0]["latest"] == 2
    assert api.ask("GET", "version", reference="models:/churn/staging").json()["version"] == 1
    gone = api.ask("DELETE", "models/churn/aliases/champion", {"by": "eve", "reason": "over"}).json()
    assert (gone["before"], gone["version"], gone["reason"]) == (2, None, "over")
    assert "no alias" in refused(api.ask("DELETE", "models/churn/aliases/champion"), 404)


def test_two_versions_are_compared_side_by_side_with_what_differs(api: Api) -> None:
    found = api.ask("GET", "compare", left="models:/churn/1", right="churn/2").json()
    metrics = {row["name"]: row for row in found["metrics"]}
    assert metrics["auc"]["change"] == pytest.approx(0.01)
    assert (metrics["loss"]["right"], metrics["loss"]["change"], metrics["loss"]["differs"]) == (None, None, True)
    differing = [row["name"] for row in found["signature"] if row["differs"]]
    assert any(name.startswith("output ") for name in differing)
    environment = {row["name"]: row for row in found["environment"]}
    assert environment["python"]["left"] == environment["python"]["right"]
    assert not environment["onnxruntime"]["differs"]
    assert found["clients"]["breaking"]
    same = api.ask("GET", "compare", left="churn/1", right="churn/1").json()
    assert not any(row["differs"] for part in ("metrics", "signature", "environment", "bundle") for row in same[part])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"metrics": {"auc": float("nan")}}, "metrics.auc: expected a finite number, got NaN"),
        ({"metrics": {"auc": "good"}}, "metrics.auc: expected a finite number"),
        ({"lineage": {"data": [{"url": "x"}]}}, "unknown field; did you mean uri?"),
        ({"lineage": {"parent": "churn/9"}}, "no version 9"),
        ({"lineage": {"parent": "churn@champion"}}, "by its number"),
        ({"artifact": {"path": "churn.onnx"}}, "absolute paths only"),
        ({"artifact": {"path": "models:/churn/1"}}, "registered already"),
        ({"artifact": {"path": "/nowhere/m.onnx"}}, "no file /nowhere/m.onnx"),
        ({"artifact": {}}, "path: required, and missing"),
        ({"description": "x" * 2001}, "at most 2000"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_registered_is_refused_in_its_own_words(api: Api, fields: dict[str, Any], told: str) -> None:
    answer = api.add("other", api.classifier, **fields)
    assert told in refused(answer, 404 if told == "no version 9" else 400)
    assert [model["name"] for model in api.ask("GET", "models").json()["models"]] == ["churn"]


@pytest.mark.parametrize("name", ["a/b", "a:b", "..", " x", "x" * 201])
def test_a_name_that_cannot_be_is_no_failure(api: Api, name: str) -> None:
    assert api.add(name, api.classifier).status_code in (400, 404, 405)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "models/nobody", None, 404),
        ("GET", "models/churn/versions/99", None, 404),
        ("GET", f"models/churn/versions/{10**30}", None, 400),
        ("GET", "models/churn/versions/0", None, 400),
        ("GET", "version?reference=churn", None, 400),
        ("GET", "version?reference=churn@nobody", None, 404),
        ("GET", "compare?left=churn/1&right=nobody/1", None, 404),
        ("PUT", "models/churn/aliases/latest", {"version": 1}, 400),
        ("PUT", "models/churn/aliases/x", {"version": 10**30}, 400),
        ("PUT", "models/churn/aliases/x", {"version": 77}, 404),
        ("PUT", "models/churn/versions/1/stage", {"stage": "prod"}, 400),
    ],
)
def test_what_is_not_there_or_cannot_be_is_said(api: Api, method: str, path: str, body: Any, status: int) -> None:
    refused(api.ask(method, path, body), status)


def test_an_archived_version_is_refused_to_aliases_and_comes_back(api: Api) -> None:
    assert api.add("old", api.classifier).status_code == 201
    stage = "models/old/versions/1/stage"
    assert api.ask("PUT", stage, {"stage": "archived"}).json()["stage"] == "archived"
    refusal = api.ask("PUT", "models/old/aliases/champion", {"version": 1})
    assert "archived" in refused(refusal, 409)
    assert "tidegate registry stage 'old/1' none" in refusal.json()["error"]["hint"]
    assert api.ask("PUT", stage, {"stage": "none"}).json()["stage"] == "none"
