"""The check tries the model, asks for trust, compares versions, and explains what failed."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.malice import hidden_in_a_model, shell
from tests.support.models import (
    TrainedModel,
    lightgbm_model,
    onnx_model,
    sklearn_classifier,
    sklearn_tensor_classifier,
    xgboost_model,
)
from tidegate.artifact.check import check_artifact
from tidegate.artifact.environment import compare_versions, environment_of
from tidegate.artifact.inspect import inspect_artifact
from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import Recognition
from tidegate.runtime.registry import get_runtime


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("check")


@pytest.fixture(scope="module")
def pickled(folder: Path) -> TrainedModel:
    return sklearn_classifier(folder / "model.pkl", form="pickle")


def test_every_format_passes_with_a_made_up_row(folder: Path) -> None:
    models = [
        sklearn_classifier(folder / "a.skops"),
        sklearn_tensor_classifier(folder / "b.skops"),
        xgboost_model(folder / "c.ubj"),
        lightgbm_model(folder / "d.txt"),
        onnx_model(folder / "e.onnx"),
        onnx_model(folder / "f.onnx", zipmap=True),
    ]
    for model in models:
        checked = check_artifact(model.path)
        assert checked.recognition.runtime == model.runtime
        assert len(checked.sample) == 1
        assert list(checked.sample[0]) == list(model.columns)
        assert checked.memory_bytes >= 0
        assert checked.cpu_seconds is not None
        assert 0 < checked.cpu_seconds < 0.1
        assert not checked.warnings
        assert checked.environment.packages


def test_the_users_rows_are_tried_and_kept(folder: Path) -> None:
    model = sklearn_classifier(folder / "sampled.skops")
    rows = folder / "rows.json"
    rows.write_text(json.dumps(model.rows))
    assert list(check_artifact(model.path, sample_path=rows).sample) == list(model.rows)


def test_rows_that_do_not_fit_are_refused_with_row_and_column(folder: Path) -> None:
    model = sklearn_classifier(folder / "misfit.skops")
    rows = folder / "misfit.json"
    rows.write_text(json.dumps([{**model.rows[1], "hour": "noon"}]))
    with pytest.raises(InvalidInput) as caught:
        check_artifact(model.path, sample_path=rows)
    assert "'hour'" in caught.value.message
    rows.write_text(json.dumps([{"hour": 3}]))
    with pytest.raises(InvalidInput, match="lacks 3 of the model's 4 inputs"):
        check_artifact(model.path, sample_path=rows)


def test_a_pickle_without_trust_is_refused_with_what_it_imports_and_what_to_do(pickled: TrainedModel) -> None:
    with pytest.raises(NotTrusted) as caught:
        check_artifact(pickled.path)
    assert "sklearn.linear_model._logistic.LogisticRegression" in str(caught.value.got)
    assert "--trust" in str(caught.value.hint)
    assert "skops" in str(caught.value.hint)
    checked = check_artifact(pickled.path, trust=True)
    assert checked.recognition.needs_trust


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("make", [shell, hidden_in_a_model])
def test_a_malicious_pickle_is_refused_with_and_without_trust_and_never_runs(
    tmp_path: Path, make: Any, trust: bool
) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(make(marker)))
    with pytest.raises(NotTrusted) as caught:
        check_artifact(path, trust=trust)
    assert "posix.system" in caught.value.message
    assert not marker.exists()


@pytest.mark.parametrize(
    ("runtime", "version", "outcome"),
    [
        ("sklearn", None, "nothing"),
        ("sklearn", "installed", "nothing"),
        ("sklearn", "1.1.0", "warning"),
        ("sklearn", "1.99.0", "warning"),
        ("sklearn", "0.24.2", "error"),
        ("xgboost", "99.0.0", "error"),
        ("xgboost", "2.1.4", "warning"),
        ("sklearn", "not a version", "nothing"),
    ],
)
def test_versions_that_differ_warn_and_versions_that_cannot_work_fail(
    runtime: str, version: str | None, outcome: str
) -> None:
    found = get_runtime(runtime)
    installed = next(iter(environment_of(replace_packages(found)).packages.values()))
    recognition = Recognition(runtime, "x", framework_version=installed if version == "installed" else version)
    if outcome == "error":
        with pytest.raises(InvalidInput) as caught:
            compare_versions(recognition, found)
        assert str(version) in caught.value.message
        assert installed in str(caught.value.got)
        return
    warnings = compare_versions(recognition, found)
    assert bool(warnings) == (outcome == "warning")
    for warning in warnings:
        assert str(version) in warning
        assert installed in warning


def replace_packages(runtime: Any) -> Any:
    """The same runtime with its framework alone."""

    class FrameworkAlone:
        name = runtime.name
        packages = runtime.packages[:1]
        recognise = runtime.recognise
        load = runtime.load

    return FrameworkAlone()


def test_an_older_version_in_the_file_is_a_warning_of_the_check(folder: Path, tmp_path: Path) -> None:
    model = sklearn_tensor_classifier(folder / "older.pkl", form="pickle")
    import sklearn

    assert len(sklearn.__version__) == 5
    content = model.path.read_bytes().replace(sklearn.__version__.encode(), b"1.7.9")
    (tmp_path / "model.pkl").write_bytes(content)
    checked = check_artifact(tmp_path / "model.pkl", trust=True)
    assert checked.recognition.framework_version == "1.7.9"
    assert len(checked.warnings) == 1


def test_the_environment_has_what_a_pickle_imports_too(tmp_path: Path) -> None:
    import xgboost
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    model = make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=2)).fit(
        rng.random((20, 2)), rng.random(20)
    )
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    packages = check_artifact(tmp_path / "model.pkl", trust=True).environment.packages
    assert packages["xgboost-cpu"] == xgboost.__version__
    assert "scikit-learn" in packages


def test_a_model_that_fails_on_its_sample_says_why(tmp_path: Path) -> None:
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame({"town": ["Ulm", "Jena"] * 4, "size": range(8)})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["town"])), LogisticRegression())
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model.fit(frame, [0, 1] * 4)))
    (tmp_path / "rows.csv").write_text("town,size\nBonn,1\n")
    with pytest.raises(InvalidInput) as caught:
        check_artifact(tmp_path / "model.pkl", trust=True, sample_path=tmp_path / "rows.csv")
    assert "Bonn" in str(caught.value.got)
    assert "sample" in caught.value.message


def test_recognition_is_what_inspection_says(pickled: TrainedModel) -> None:
    _, recognition = inspect_artifact(pickled.path)
    assert replace(recognition) == check_artifact(pickled.path, trust=True).recognition
