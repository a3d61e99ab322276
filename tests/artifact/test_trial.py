"""A bundle that is tried where it is to be served."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.quick_models import write_flights
from tidegate.artifact import trial
from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.artifact.bundle import read_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    model = write_flights(tmp_path / "flights.onnx")
    return asyncio.run(build_bundle(BuildRequest(model), tmp_path / "bundles")).folder


def test_a_model_that_answers_its_sample_is_fine(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trial.main([str(bundle)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("The model answers its sample")
    assert told.err == ""


def test_a_folder_that_is_no_bundle_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trial.main([str(tmp_path)]) == 1
    assert "no bundle" in capsys.readouterr().err
    assert trial.main([]) == 2


def test_packages_of_other_versions_are_told(bundle: Path) -> None:
    file = bundle / "bundle.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    here = document["environment"]["packages"]["numpy"]
    document["environment"]["packages"] |= {"numpy": "1.0", "onnxruntime": "0.1", "none-such": "3"}
    file.chmod(0o644)
    file.write_text(json.dumps(document), encoding="utf-8")
    first, *others = trial.differences(read_bundle(bundle))
    assert first == f"the model was checked with numpy 1.0, and here is {here}"
    assert others[-1] == "the model was checked with none-such 3, and here is none"
