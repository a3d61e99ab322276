"""The main job, for real: a good candidate is promoted, a bad one is taken back, and what the result names exists."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Tidegate
from tests.support import models
from tidegate.contract.errors import Conflict, InvalidInput
from tidegate.trial.recording import read
from tidegate.trial.replay import replay

pytestmark = pytest.mark.e2e

NAME = "arrivals"


@pytest.fixture(scope="module")
def good_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.lightgbm_model(tmp_path_factory.mktemp("good") / "good.txt", seed=1).path


@pytest.fixture(scope="module")
def better_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same columns, of another framework."""
    return models.xgboost_model(tmp_path_factory.mktemp("better") / "better.ubj", seed=2).path


@pytest.fixture(scope="module")
def first(tidegate: Tidegate, good_model: Path) -> dict[str, object]:
    return tidegate.ended(tidegate.deploy(NAME, good_model))


def test_the_first_deployment_goes_live_when_its_replicas_are_ready(
    tidegate: Tidegate, first: dict[str, object]
) -> None:
    assert first["outcome"] == "promoted"
    status = tidegate.status(NAME)
    assert (status["phase"], status["stable"], status["split_asked"]) == ("serving", 1, {"1": 100})
    row = {"distance": 800.0, "hour": 17, "month": 6, "carrier": "UA"}
    answer = httpx.post(f"{status['url']}/predict", json={"records": [row]})
    assert answer.status_code == 200
    assert set(answer.json()["predictions"][0]) >= {"prediction", "probabilities"}


def test_what_the_result_document_names_exists(tidegate: Tidegate, first: dict[str, object]) -> None:
    with tidegate.client as client:
        result = client.result(NAME)
    endpoint = result["servingEndpoint"]
    assert httpx.get(endpoint["healthEndpoint"]).status_code == 200
    row = {"distance": 800.0, "hour": 17, "month": 6, "carrier": None}
    assert httpx.post(endpoint["predictEndpoint"], json={"records": [row]}).status_code == 200
    served = httpx.get(endpoint["metricsEndpoint"]).text
    names = {line.split()[2] for line in served.splitlines() if line.startswith("# TYPE")}
    assert set(result["monitoring"]["metrics"]) <= names
    for alert in result["monitoring"]["alerts"]:
        assert f"alert: {alert['name']}" in Path(alert["file"]).read_text()
    for dashboard in result["monitoring"]["dashboards"]:
        assert json.loads(Path(dashboard).read_text())["panels"]
    assert result["deploymentConfig"]["replicas"] == 2
    assert result["rollout"]["phase"] == "promoted"
    assert Path(result["rollout"]["reportPath"]).exists()


def test_a_good_candidate_is_promoted_and_a_bad_one_taken_back(
    tidegate: Tidegate, first: dict[str, object], better_model: Path, fragile_model: Path
) -> None:
    traffic = tidegate.traffic(NAME)
    promoted = tidegate.ended(tidegate.deploy(NAME, better_model))
    assert promoted["outcome"] == "promoted", promoted["reason"]
    assert [step["weight"] for step in promoted["steps"]] == [20, 100]
    assert promoted["steps"][0]["observed_percent"] == pytest.approx(20, abs=15)
    assert promoted["steps"][1]["observed_percent"] == pytest.approx(100, abs=10)
    taken_back = tidegate.ended(tidegate.deploy(NAME, fragile_model))
    assert taken_back["outcome"] == "rolled_back", taken_back["reason"]
    assert "rejected" in taken_back["reason"]
    assert taken_back["decided_by"] == "tidegate"
    for report in (promoted, taken_back):
        with tidegate.client as client:
            told = replay(read(client.recording(report["rollout"]).splitlines(), "the recording"))
        assert told["looks"] > 0
        assert told["unlike_the_record"] == 0, told["verdicts"]
    assert told["steps"][-1]["replayed_fail_at"] is not None
    status = tidegate.status(NAME)
    assert (status["stable"], status["split_asked"]) == (2, {"2": 100})
    records = traffic.stop()
    failed = [record for record in records if record.failed]
    assert {record.revision for record in records} == {1, 2, 3}
    assert {record.revision for record in failed} == {3}, "only the bad candidate may refuse requests"
    assert len(failed) < 60


def test_the_same_model_with_the_same_settings_is_deployed_already(
    tidegate: Tidegate, first: dict[str, object], better_model: Path
) -> None:
    before = tidegate.status(NAME)
    document = {
        "name": NAME,
        "modelArtifact": {"path": str(better_model)},
        "servingRequirements": {"latencyP99": "250ms", "availability": "99%"},
    }
    with tidegate.client as client:
        accepted = client.deploy(document)
    assert (accepted["created"], accepted["rollout"], accepted["revision"]) == (False, None, before["stable"])


def test_without_traffic_a_step_is_inconclusive_and_waits_for_a_person(tidegate: Tidegate, good_model: Path) -> None:
    tidegate.ended(tidegate.deploy("quiet", good_model))
    hurried = {"stepDuration": "1s", "interval": "200ms", "baseline": "0s", "minRequests": 30}
    other = {"latencyP99": "200ms", "availability": "99%"}
    rollout = tidegate.deploy("quiet", good_model, analysis=hurried, servingRequirements=other)
    status = tidegate.in_phase("quiet", "paused")
    assert "no traffic" in status["rollout"]["reason"]
    assert status["rollout"]["waiting_for"] == "a person"
    with tidegate.client as client:
        with pytest.raises(Conflict):
            client.deploy({"name": "quiet", "modelArtifact": {"path": str(good_model)}, "servingRequirements": {}})
        client.promote("quiet", by="ada", reason="tested by hand")
    report = tidegate.ended(rollout)
    assert (report["outcome"], report["decided_by"]) == ("promoted", "ada")


def test_a_person_can_go_back_to_a_past_revision_and_delete_the_deployment(tidegate: Tidegate) -> None:
    assert tidegate.status("quiet")["stable"] == 2
    with tidegate.client as client:
        accepted = client.rollback("quiet", by="ada", reason="liked it better")
    assert accepted["revision"] == 1
    assert accepted["rollout"] is not None
    assert tidegate.ended(accepted["rollout"])["outcome"] == "promoted"
    status = tidegate.status("quiet")
    assert status["stable"] == 1
    with tidegate.client as client:
        client.delete("quiet", by="ada")
        assert "quiet" not in [row["name"] for row in client.list()]
    assert httpx.get(f"{status['url']}/v2/health/ready").status_code == 404


def test_an_abort_restores_stable_and_is_on_record(tidegate: Tidegate, good_model: Path, better_model: Path) -> None:
    tidegate.ended(tidegate.deploy("held", good_model))
    rollout = tidegate.deploy("held", better_model)
    tidegate.in_phase("held", "analyzing")
    with tidegate.client as client:
        client.pause("held", by="ada")
        with pytest.raises(Conflict, match="paused already"):
            client.pause("held", by="bob")
        client.abort("held", by="bob", reason="wrong file")
    report = tidegate.ended(rollout)
    assert (report["outcome"], report["decided_by"]) == ("aborted", "bob")
    assert "wrong file" in report["reason"]
    assert tidegate.status("held")["split_asked"] == {"1": 100}


def test_the_api_needs_the_token_and_bad_documents_change_nothing(tidegate: Tidegate) -> None:
    info = tidegate.start()
    assert httpx.get(f"{info.url}/v1/deployments").status_code == 401
    assert httpx.get(f"{info.url}/v1/deployments", headers={"Authorization": "Bearer guess"}).status_code == 401
    for secret in ("token", "tidegate.db", "controller.json"):
        assert (tidegate.home / secret).stat().st_mode & 0o077 == 0, secret
    with tidegate.client as client:
        before = [row["name"] for row in client.list()]
        with pytest.raises(InvalidInput, match="latencyP99"):
            client.deploy({"modelArtifact": {"path": "/x.onnx"}, "servingRequirements": {"latencyP9": "1s"}})
        with pytest.raises(InvalidInput, match="not-there"):
            client.deploy({"modelArtifact": {"path": "/not-there.onnx"}, "servingRequirements": {}})
        assert [row["name"] for row in client.list()] == before
