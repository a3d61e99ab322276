"""XGBoost boosters: objectives, categories, missing values, wrappers."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from tests.support.models import flights, late, records, typed, with_categories
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model
from tidegate.runtime.registry import get_runtime

ROWS = 120
RNG = np.random.default_rng(5)
MATRIX = RNG.normal(size=(ROWS, 3))
CLASSES = RNG.integers(0, 3, ROWS)


def load(path: Path, **options: Any) -> Model:
    return get_runtime("xgboost").load(ArtifactFiles(path), LoadOptions(trusted=True, **options))


def served(booster: Any, folder: Path, **options: Any) -> Model:
    path = folder / "model.ubj"
    booster.save_model(path)
    return load(path, **options)


def train(objective: str, labels: Any, **parameters: Any) -> Any:
    data = xgboost.DMatrix(MATRIX, labels)
    settings = {"objective": objective, "nthread": 1, **parameters}
    return xgboost.train(settings, data, num_boost_round=4)


def test_a_booster_without_names_takes_one_tensor(tmp_path: Path) -> None:
    booster = train("reg:squarederror", MATRIX[:, 0])
    model = served(booster, tmp_path)
    assert model.signature.kind == "tensors"
    assert model.signature.inputs[0].shape == (-1, 3)
    answers = model.predict({"input": MATRIX})
    np.testing.assert_array_equal(answers["prediction"], booster.predict(xgboost.DMatrix(MATRIX)))
    assert model.signature.outputs[0].datatype == "FP32"


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax"])
def test_several_classes_have_a_prediction_and_probabilities(tmp_path: Path, objective: str) -> None:
    booster = train(objective, CLASSES, num_class=3)
    expected = booster.predict(xgboost.DMatrix(MATRIX))
    model = served(booster, tmp_path)
    answers = model.predict({"input": MATRIX})
    assert answers["probabilities"].shape == (ROWS, 3)
    if objective == "multi:softmax":
        np.testing.assert_array_equal(answers["prediction"], expected.astype(np.int64))
    else:
        np.testing.assert_array_equal(answers["probabilities"], expected)
        np.testing.assert_array_equal(answers["prediction"], expected.argmax(axis=1))


@pytest.mark.parametrize(
    ("objective", "parameters"),
    [
        ("count:poisson", {}),
        ("reg:gamma", {}),
        ("binary:logitraw", {}),
        ("binary:hinge", {}),
        ("rank:ndcg", {}),
        ("reg:quantileerror", {"quantile_alpha": [0.1, 0.9]}),
        ("reg:squarederror", {"booster": "gblinear"}),
        ("reg:squarederror", {"booster": "dart", "rate_drop": 0.5}),
    ],
)
def test_other_objectives_answer_as_the_booster_does(
    tmp_path: Path, objective: str, parameters: dict[str, Any]
) -> None:
    booster = train(objective, np.abs(MATRIX[:, 0]).round() % 2 + (objective == "reg:gamma"), **parameters)
    model = served(booster, tmp_path)
    expected = booster.predict(xgboost.DMatrix(MATRIX))
    answers = model.predict({"input": MATRIX})
    assert list(answers) == ["prediction"]
    np.testing.assert_array_equal(answers["prediction"], expected)
    assert model.signature.outputs[0].shape == (-1, *expected.shape[1:])


def test_several_targets_are_one_prediction(tmp_path: Path) -> None:
    booster = train("reg:squarederror", MATRIX[:, :2])
    model = served(booster, tmp_path)
    assert model.signature.outputs[0].shape == (-1, 2)
    np.testing.assert_array_equal(
        model.predict({"input": MATRIX})["prediction"], booster.predict(xgboost.DMatrix(MATRIX))
    )


def categorical(frame: Any, order: list[str] | None = None) -> Any:
    carriers = pd.Categorical(frame["carrier"], categories=order or ["AA", "DL", "UA"])
    return frame.assign(carrier=carriers, month=pd.Categorical(frame["month"]))


def test_categories_get_the_codes_that_the_model_has_on_record(tmp_path: Path) -> None:
    frame = categorical(flights(ROWS))
    target = (frame["carrier"] == "UA") * 3 + frame["carrier"].isna() * 7 + (frame["month"] == 5) * 11.0
    data = xgboost.DMatrix(frame, target, enable_categorical=True)
    booster = xgboost.train({"max_depth": 6, "eta": 1.0}, data, num_boost_round=5)
    model = served(booster, tmp_path)
    assert [spec.datatype for spec in model.signature.inputs] == ["FP64", "FP64", "FP64", "BYTES"]

    plain = flights(ROWS)
    expected = booster.predict(data)
    np.testing.assert_array_equal(model.predict(typed(plain))["prediction"], expected)
    # A client's categories come in any order, some of them only: the answers stay the same.
    few = plain[plain["carrier"] == "UA"]
    np.testing.assert_array_equal(
        model.predict(typed(few))["prediction"], expected[(plain["carrier"] == "UA").to_numpy()]
    )


def test_true_and_false_are_typed_by_the_sample(tmp_path: Path) -> None:
    frame = flights(ROWS)[["distance", "hour"]].assign(is_ua=flights(ROWS)["carrier"] == "UA")
    data = xgboost.DMatrix(frame, frame["is_ua"] * 3.0 + frame["hour"])
    booster = xgboost.train({"nthread": 1}, data, num_boost_round=4)
    plain, told = served(booster, tmp_path), served(booster, tmp_path, sample=records(frame.head(3)))
    assert [spec.datatype for spec in plain.signature.inputs] == ["FP64", "FP64", "FP64"]
    assert [spec.datatype for spec in told.signature.inputs] == ["FP64", "FP64", "BOOL"]
    columns = {**typed(frame), "is_ua": frame["is_ua"].to_numpy()}
    expected = booster.predict(data)
    np.testing.assert_array_equal(told.predict(columns)["prediction"], expected)
    first = {name: column[:1] for name, column in columns.items()}
    np.testing.assert_array_equal(told.predict(first)["prediction"], expected[:1])


def test_a_category_it_never_saw_is_neither_a_known_one_nor_missing(tmp_path: Path) -> None:
    frame = categorical(flights(ROWS))
    target = (frame["carrier"] == "AA") * 3 + frame["carrier"].isna() * 7.0
    data = xgboost.DMatrix(frame, target, enable_categorical=True)
    booster = xgboost.train({"max_depth": 6, "eta": 1.0}, data, num_boost_round=5)
    model = served(booster, tmp_path)
    inputs = {name: column[:1] for name, column in typed(flights(8, seed=99)).items()}

    def answer(carrier: str | None) -> float:
        return float(model.predict({**inputs, "carrier": np.array([carrier], dtype=object)})["prediction"][0])

    assert answer("AA") == pytest.approx(3, abs=0.1)
    assert answer(None) == pytest.approx(7, abs=0.1)
    assert answer("XX") == pytest.approx(0, abs=0.1)
    assert answer("") == answer("XX")


def test_categories_beyond_ascii_have_to_be_told_and_are_confirmed(tmp_path: Path) -> None:
    towns = ["Köln", "Ulm", "Łódź", "東京"]
    frame = pd.DataFrame({"town": pd.Categorical(RNG.choice(towns, ROWS)), "x": RNG.normal(size=ROWS)})
    data = xgboost.DMatrix(frame, (frame["town"] == "東京") * 5.0, enable_categorical=True)
    booster = xgboost.train({"eta": 1.0}, data, num_boost_round=3)
    with pytest.raises(InvalidInput, match="garbles text beyond ASCII"):
        served(booster, tmp_path)
    for wrong in (["Köln", "東京", "Ulm", "Łódź"], ["Köln"], []):
        with pytest.raises(InvalidInput, match="not those that the model was trained on"):
            served(booster, tmp_path, settings={"categories": {"town": wrong}})
    model = served(booster, tmp_path, settings={"categories": {"town": towns}})
    inputs = {"town": frame["town"].astype(object).to_numpy(), "x": frame["x"].to_numpy()}
    np.testing.assert_array_equal(model.predict(inputs)["prediction"], booster.predict(data))


def test_codes_of_a_model_without_its_categories_are_numbers(tmp_path: Path) -> None:
    frame = with_categories(flights(ROWS))
    booster = xgboost.train({}, xgboost.DMatrix(frame, late(frame), enable_categorical=True), num_boost_round=2)
    document = json.loads(bytes(booster.save_raw("json")))
    # What XGBoost before 3.1 wrote.
    del document["learner"]["gradient_booster"]["model"]["cats"]
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document))
    assert [spec.datatype for spec in load(path).signature.inputs] == ["FP64"] * 4


def test_labels_in_the_settings_name_the_classes(tmp_path: Path) -> None:
    booster = train("binary:logistic", CLASSES > 0)
    model = served(booster, tmp_path, settings={"labels": ["on time", "late"]})
    assert model.signature.outputs[0].datatype == "BYTES"
    assert model.signature.outputs[1].labels == ("on time", "late")
    positive = booster.predict(xgboost.DMatrix(MATRIX))
    assert model.predict({"input": MATRIX})["prediction"].tolist() == [
        "late" if value > 0.5 else "on time" for value in positive
    ]
    with pytest.raises(InvalidInput, match="labels"):
        served(booster, tmp_path, settings={"labels": ["only one"]})


@pytest.mark.parametrize("form", ["pickle", "json"])
def test_a_wrapper_answers_with_its_best_number_of_trees(tmp_path: Path, form: str) -> None:
    frame = with_categories(flights(ROWS))
    wrapper = xgboost.XGBClassifier(
        n_estimators=30, early_stopping_rounds=2, enable_categorical=True, n_jobs=1, eta=1.0, eval_metric="logloss"
    )
    wrapper.fit(frame[:80], late(frame)[:80], eval_set=[(frame[80:], late(frame)[80:])], verbose=False)
    assert wrapper.best_iteration + 1 < wrapper.get_booster().num_boosted_rounds()
    path = tmp_path / f"model.{form}"
    if form == "pickle":
        path.write_bytes(pickle.dumps(wrapper))
    else:
        wrapper.save_model(path)
    model = load(path)
    answers = model.predict(typed(flights(ROWS)))
    np.testing.assert_array_equal(answers["probabilities"], wrapper.predict_proba(frame))
    np.testing.assert_array_equal(answers["prediction"], wrapper.predict(frame))


def test_a_wrappers_own_missing_value_is_used(tmp_path: Path) -> None:
    matrix = np.where(MATRIX < -1, -999.0, MATRIX)
    wrapper = xgboost.XGBRegressor(n_estimators=4, missing=-999.0, n_jobs=1).fit(matrix, MATRIX[:, 0])
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(wrapper))
    model = load(path)
    given = np.where(MATRIX < -1, np.nan, MATRIX)
    np.testing.assert_array_equal(model.predict({"input": given})["prediction"], wrapper.predict(matrix))


def test_what_is_no_booster_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(xgboost.XGBRegressor()))
    with pytest.raises(InvalidInput, match="not fitted"):
        load(path)


def test_a_json_document_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text('{"learner": {"attributes": {}}, "version": [3, 2, 0]}')
    with pytest.raises(InvalidInput) as caught:
        load(path)
    assert "model.json" in caught.value.message
