"""The gates before traffic, for real: what a candidate must pass before any user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Tidegate
from tests.support import models
from tidegate.contract.errors import BreakingChange, InvalidInput, NotReady

pytestmark = pytest.mark.e2e

NAME = "gated"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> models.TrainedModel:
    return models.lightgbm_model(tmp_path_factory.mktemp("stable") / "stable.txt", seed=1)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory, trained: models.TrainedModel) -> Path:
    """What LightGBM itself answers, as golden requests in both protocols."""
    rows, expected = list(trained.rows), trained.expected
    predictions = [
        {"prediction": int(label), "probabilities": {"0": float(no), "1": float(yes)}}
        for label, (no, yes) in zip(expected["prediction"], expected["probabilities"], strict=True)
    ]
    tensors = [
        {"name": name, "datatype": "BYTES" if name == "carrier" else "FP64", "shape": [8], "data": column}
        for name, column in ((name, [row[name] for row in rows]) for name in models.COLUMNS)
    ]
    outputs = [{"name": "probabilities", "shape": [8, 2], "data": expected["probabilities"].tolist()}]
    requests: list[dict[str, Any]] = [
        {"name": "eight flights", "predict": rows, "expect": predictions},
        {"infer": {"inputs": tensors}, "expect": outputs},
    ]
    path = tmp_path_factory.mktemp("golden") / "golden.json"
    path.write_text(json.dumps({"requests": requests, "tolerances": {"probabilities": {"absolute": 0.001}}}))
    return path


@pytest.fixture(scope="module")
def first(tidegate: Tidegate, trained: models.TrainedModel, golden: Path) -> dict[str, Any]:
    return tidegate.ended(tidegate.deploy(NAME, trained.path, gates={"golden": str(golden)}))


def test_a_model_that_answers_as_its_framework_does_passes_its_golden_requests(first: dict[str, Any]) -> None:
    assert first["outcome"] == "promoted", first["reason"]
    assert first["checks"]["message"] == "all 2 golden requests were answered as expected"
    assert first["checks"]["passed"] is True


def test_a_candidate_whose_answers_differ_is_rolled_back_and_no_user_met_it(
    tidegate: Tidegate, first: dict[str, Any], golden: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "golden.json"
    changed.write_bytes(golden.read_bytes())
    traffic = tidegate.traffic(NAME)
    other = models.lightgbm_model(tmp_path / "other.txt", seed=5)
    rollout = tidegate.deploy(NAME, other.path, gates={"golden": str(changed)})
    changed.unlink()  # what was deployed is what is asked, whatever becomes of the file
    report = tidegate.ended(rollout)
    records = traffic.stop()
    assert report["outcome"] == "rolled_back"
    assert "golden requests were not answered as expected: golden request 1 (eight flights)" in report["reason"]
    assert "(± 0.001)" in report["reason"]
    assert report["steps"] == []
    mismatch = report["checks"]["mismatches"][0]
    assert set(mismatch) == {"request", "place", "expected", "got", "tolerance"}
    assert {record.revision for record in records} == {1}
    assert not [record for record in records if record.failed]
    with tidegate.client as client:
        kept = client.history(NAME)["revisions"][-1]["request"]["gates"]["golden"]
        assert "before traffic: 2 of 2 golden requests" in client.report_markdown(rollout)
    assert Path(kept).parent == tidegate.home / "golden"
    assert Path(kept).read_bytes() == golden.read_bytes()


def test_golden_requests_that_cannot_be_right_are_refused_before_anything_is_deployed(
    tidegate: Tidegate, first: dict[str, Any], trained: models.TrainedModel, tmp_path: Path
) -> None:
    before = tidegate.status(NAME)["rollout"]["id"]
    path = tmp_path / "golden.json"
    path.write_text(json.dumps({"requests": [{"predict": [{}], "expect": [{"score": 1}]}]}))
    with pytest.raises(InvalidInput, match="expects the output 'score', which the model does not give"):
        tidegate.deploy(NAME, trained.path, gates={"golden": str(path)}, servingRequirements={"latencyP99": "200ms"})
    path.unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        tidegate.deploy(NAME, trained.path, gates={"golden": str(path)}, servingRequirements={"latencyP99": "200ms"})
    assert tidegate.status(NAME)["rollout"]["id"] == before


def test_a_breaking_change_needs_to_be_allowed(tidegate: Tidegate, first: dict[str, Any], tmp_path: Path) -> None:
    other = models.sklearn_tensor_classifier(tmp_path / "tensors.skops")
    with pytest.raises(BreakingChange) as refused:
        tidegate.deploy(NAME, other.path)
    told = str(refused.value)
    assert "input input: stable does not take it; the candidate requires it (FP64 of shape [-1, 3])" in told
    assert "--allow-breaking" in told
    document = {
        "name": NAME,
        "modelArtifact": {"path": str(other.path)},
        "servingRequirements": {},
        "gates": {"allowBreaking": True},
    }
    with tidegate.client as client:
        accepted = client.deploy(document)
        assert any(warning.startswith("breaking, and allowed: input input") for warning in accepted["warnings"])
        client.abort(NAME, by="ada", reason="seen enough")
    assert accepted["rollout"] is not None
    assert tidegate.ended(accepted["rollout"])["outcome"] == "aborted"


def test_what_was_found_ready_goes_on_record_and_what_is_not_ready_is_refused(
    tidegate: Tidegate, first: dict[str, Any], trained: models.TrainedModel
) -> None:
    begun = next(event for event in first["events"] if event["kind"] == "preparing")
    checks = {finding["check"]: finding["level"] for finding in begun["data"]["readiness"]}
    assert checks["way back"] == checks["gateway"] == "pass"
    many = {"resources": {"replicas": 64, "workers": 64, "threads": 1}}
    with pytest.raises(NotReady, match="64 replicas of 64 workers may take"):
        tidegate.deploy(NAME, trained.path, infrastructure=many)
    assert tidegate.status(NAME)["stable"] == 1
