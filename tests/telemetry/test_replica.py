"""A replica whose prediction log is the store: what it answered is there, and it never waits for the database."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from tests.server import bundles
from tests.server.processes import replica, wait_until
from tests.support import models
from tests.support.telemetry_rows import count
from tests.telemetry.conftest import said
from tidegate.artifact.bundle import Bundle
from tidegate.store.address import Address
from tidegate.store.database import Database
from tidegate.store.schema.telemetry import predictions
from tidegate.telemetry.opening import STORE_VARIABLE


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("shelf")
    return bundles.write_bundle_of(models.onnx_model(folder / "quick.onnx"), folder / "bundles")


def test_what_a_replica_answered_is_in_the_store(
    bundle: Bundle, address: Address, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, said(address))
    row = dict(bundle.sample[0])
    hidden = ("--prediction-log-drop=carrier",)
    with replica(bundle.folder, tmp_path / "run", "--prediction-log", "store:", *hidden) as running:
        for number in range(50):
            answer = running.client.post("/predict", json=[row], headers={"x-request-id": f"r-{number}"})
            assert answer.status_code == 200
        wait_until(lambda: count(database) == 50, "every prediction is in the store")
        assert running.stop() == 0
    with database.read() as db:
        found = db.execute(select(predictions)).all()
    assert {one.request_id for one in found} == {f"r-{number}" for number in range(50)}
    assert {(one.deployment, one.revision, one.rows) for one in found} == {("flights", 3, 1)}
    assert found[0].inputs == {name: [value] for name, value in row.items() if name != "carrier"}
    output = bundle.signature.outputs[0].name
    assert found[0].outputs[output] == [answer.json()["predictions"][0][output]]


def test_a_replica_starts_serves_and_ends_without_the_database(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, "postgresql://ada:swordfish@127.0.0.1:1/store")
    with replica(bundle.folder, tmp_path / "run", "--prediction-log", "store:") as running:
        for _ in range(20):
            assert running.client.post("/predict", json=[dict(bundle.sample[0])]).status_code == 200
        assert running.stop() == 0
        assert "swordfish" not in (tmp_path / "run" / "log").read_text()


def test_a_replica_without_an_address_ends_and_says_so(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    with replica(bundle.folder, tmp_path / "run", "--prediction-log", "store:", ready=False) as running:
        wait_until(lambda: running.process.poll() is not None, "it ends")
        assert running.process.returncode != 0
        assert STORE_VARIABLE in (tmp_path / "run" / "log").read_text()
