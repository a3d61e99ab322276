"""Models come from MLflow's own registries, a database and a folder of files, with all that is known of them there."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidegate.client.imports import Brought, bring_in
from tidegate.client.imports.mlflow import found_in
from tidegate.contract.errors import InvalidInput, NotFound, Unavailable

mlflow: Any = pytest.importorskip("mlflow")

import httpx  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402

from tidegate.api.app import build_app  # noqa: E402
from tidegate.api.stopping import Stopping  # noqa: E402
from tidegate.client.home import ControllerAddress  # noqa: E402
from tidegate.client.http import Transport  # noqa: E402
from tidegate.client.registry import ModelRegistry  # noqa: E402
from tidegate.controller.home import Home  # noqa: E402
from tidegate.controller.service import Service  # noqa: E402
from tidegate.controller.supervisor import Supervisor  # noqa: E402
from tidegate.gateway.envoy import EnvoyGateway  # noqa: E402
from tidegate.store import Store  # noqa: E402
from tidegate.target.local import LocalTarget  # noqa: E402

TOKEN = "a-token"


class Direct(Transport):
    """A transport that calls the API in this process, without a socket."""

    def __init__(self, app: Any) -> None:
        super().__init__(ControllerAddress("http://controller", TOKEN), 60.0)
        self._app = app

    def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            async with httpx.AsyncClient(transport=transport, base_url="http://controller", headers=headers) as client:
                body, params = options.get("body"), options.get("params")
                content = None if body is None else json.dumps(body)
                return await client.request(method, path, content=content, params=params)

        answer = asyncio.run(asked())
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        from tidegate.client.http import error_from

        raise error_from(answer.status_code, answer.json())


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    home = Home(tmp_path / "home")
    home.create()
    store = Store(home.database)
    target = LocalTarget(home.root, EnvoyGateway(home.gateway))
    service = Service(home, "http://127.0.0.1:1", store, target, Supervisor(home, store, target))
    yield ModelRegistry(Direct(build_app(service, TOKEN, Stopping())))
    store.close()


@pytest.fixture(params=["database", "files"])
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tracking URI of MLflow's with two versions of one model, logged as its users log them."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    place = tmp_path / "mlflow"
    place.mkdir()
    address = f"sqlite:///{place}/mlflow.db" if request.param == "database" else (place / "mlruns").as_uri()
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    try:
        filled(address, place)
        yield address
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(before)


def filled(address: str, place: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    client = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
    experiment = client.create_experiment("churn", artifact_location=(place / "artifacts").as_uri())
    x = np.random.default_rng(1).normal(size=(50, 2))
    y = (x[:, 0] > 0).astype(int)
    client.create_registered_model("churn", description="who leaves")
    for strength in (1.0, 0.1):
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.set_tag("mlflow.source.git.commit", "1a2b3c")
            mlflow.log_metrics({"auc": 0.8 + strength / 10, "loss": float("nan")})
            model = LogisticRegression(C=strength).fit(x, y)
            told = {"signature": infer_signature(x, model.predict(x)), "serialization_format": "skops"}
            logged = mlflow.sklearn.log_model(model, name="model", **told)
        version = mlflow.register_model(logged.model_uri, "churn")
        client.update_model_version("churn", version.version, description=f"C = {strength}")
        assert run.info.run_id
    client.set_registered_model_alias("churn", "champion", "2")
    client.set_registered_model_alias("churn", "previous", "1")
    client.transition_model_version_stage("churn", "2", "Production")


def brought(registry: ModelRegistry, uri: str, *models: str) -> list[Brought]:
    return list(bring_in(registry, found_in(uri, models), by="ada"))


def test_versions_come_with_metrics_run_code_alias_and_stage_and_only_once(registry: ModelRegistry, uri: str) -> None:
    first = brought(registry, uri)
    assert [(one.version, one.created, one.refusal) for one in first] == [(1, True, None), (2, True, None)]
    assert any("loss is nan there" in note for note in first[0].notes)
    model = registry.model("churn")
    assert (model["description"], model["aliases"]) == ("who leaves", {"champion": 2, "previous": 1})
    champion = registry.version("models:/churn@champion")
    assert (champion["version"], champion["stage"], champion["description"]) == (2, "production", "C = 0.1")
    assert champion["metrics"] == pytest.approx({"auc": 0.81})
    assert champion["framework"] == "mlflow"
    assert champion["lineage"]["run"]
    assert "1a2b3c" in champion["lineage"]["code"]
    assert champion["source"].startswith("mlflow models:/churn/2 of ")
    assert registry.compare("churn/1", "churn/2")["clients"]["breaking"] == []
    registry.move_alias("churn", "champion", 1)
    again = brought(registry, uri, "churn")
    assert [(one.version, one.created) for one in again] == [(1, False), (2, False)]
    assert any("names version 1 here, and stays there" in note for note in again[1].notes)


def test_a_model_or_a_registry_that_is_not_there_is_said_and_none_is_made(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFound, match="no model 'nobody'"):
        list(found_in(uri, ["nobody"]))
    missing = tmp_path / "no" / "mlflow.db"
    for address in (f"sqlite:///{missing}", missing.as_uri()):
        with pytest.raises(InvalidInput, match="no MLflow registry at"):
            list(found_in(address))
    assert not missing.parent.exists()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # taken, and nobody listens
        with pytest.raises(Unavailable, match="does not answer"):
            list(found_in(f"http://127.0.0.1:{listener.getsockname()[1]}"))


def test_a_version_whose_files_are_gone_is_refused_and_the_others_come(registry: ModelRegistry, uri: str) -> None:
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    where = client.get_model_version_download_uri("churn", "1")
    local = Path(mlflow.artifacts.download_artifacts(artifact_uri=where, tracking_uri=uri))
    shutil.rmtree(local)
    first, second = brought(registry, uri)
    assert first.refusal is not None
    assert (second.version, second.created) == (1, True)
