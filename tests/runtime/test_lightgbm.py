"""LightGBM boosters: objectives, categories, wrappers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from tests.support.models import flights, late, records, typed, with_categories
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model
from tidegate.runtime.registry import get_runtime

ROWS = 150
RNG = np.random.default_rng(5)
MATRIX = RNG.normal(size=(ROWS, 3))
CLASSES = RNG.integers(0, 3, ROWS)
SMALL = {"num_leaves": 6, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1}


def load(path: Path, **options: Any) -> Model:
    return get_runtime("lightgbm").load(ArtifactFiles(path), LoadOptions(trusted=True, **options))


def served(booster: Any, folder: Path, **options: Any) -> Model:
    path = folder / "model.txt"
    booster.save_model(path)
    return load(path, **options)


def train(data: Any, labels: Any, **parameters: Any) -> Any:
    return lightgbm.train({**SMALL, **parameters}, lightgbm.Dataset(data, labels), num_boost_round=4)


@pytest.mark.parametrize(
    ("objective", "parameters"),
    [("regression", {}), ("poisson", {}), ("quantile", {"alpha": 0.3}), ("cross_entropy", {}), ("huber", {})],
)
def test_a_booster_on_an_array_takes_one_tensor(tmp_path: Path, objective: str, parameters: dict[str, Any]) -> None:
    booster = train(MATRIX, CLASSES / 3, objective=objective, **parameters)
    model = served(booster, tmp_path)
    assert model.signature.kind == "tensors"
    answers = model.predict({"input": MATRIX})
    assert list(answers) == ["prediction"]
    np.testing.assert_array_equal(answers["prediction"], booster.predict(MATRIX))


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_several_classes_have_a_prediction_and_probabilities(tmp_path: Path, objective: str) -> None:
    booster = train(MATRIX, CLASSES, objective=objective, num_class=3)
    answers = served(booster, tmp_path).predict({"input": MATRIX})
    expected = booster.predict(MATRIX)
    np.testing.assert_array_equal(answers["probabilities"], expected)
    np.testing.assert_array_equal(answers["prediction"], np.asarray(expected).argmax(axis=1))


def test_categories_of_text_and_of_numbers(tmp_path: Path) -> None:
    frame = with_categories(flights(ROWS))
    frame["month"] = pd.Categorical(frame["month"])
    booster = train(frame, (frame["carrier"] == "UA") * 2.0 + frame["month"].isin([3, 5]))
    model = served(booster, tmp_path)
    assert [spec.datatype for spec in model.signature.inputs] == ["FP64", "FP64", "FP64", "BYTES"]
    np.testing.assert_array_equal(model.predict(typed(flights(ROWS)))["prediction"], booster.predict(frame))


def test_true_and_false_are_typed_by_the_sample(tmp_path: Path) -> None:
    frame = flights(ROWS)[["distance", "hour"]].assign(is_ua=flights(ROWS)["carrier"] == "UA")
    booster = train(frame, frame["is_ua"] * 3.0 + frame["hour"])
    plain, told = served(booster, tmp_path), served(booster, tmp_path, sample=records(frame.head(3)))
    assert [spec.datatype for spec in plain.signature.inputs] == ["FP64", "FP64", "FP64"]
    assert [spec.datatype for spec in told.signature.inputs] == ["FP64", "FP64", "BOOL"]
    columns = {**typed(frame), "is_ua": frame["is_ua"].to_numpy()}
    expected = booster.predict(frame)
    np.testing.assert_array_equal(told.predict(columns)["prediction"], expected)
    first = {name: column[:1] for name, column in columns.items()}
    np.testing.assert_array_equal(told.predict(first)["prediction"], expected[:1])


def test_an_unknown_category_is_missing_as_it_is_for_frames(tmp_path: Path) -> None:
    frame = with_categories(flights(ROWS))
    booster = train(frame, frame["carrier"].isna() * 5.0)
    model = served(booster, tmp_path)
    asked = flights(8, seed=99).assign(carrier="XX")
    expected = booster.predict(asked.assign(carrier=pd.Categorical(asked["carrier"])))
    np.testing.assert_array_equal(model.predict(typed(asked))["prediction"], expected)


def test_ordered_categories_are_found_through_sample_rows(tmp_path: Path) -> None:
    frame = flights(ROWS)
    frame["carrier"] = pd.Categorical(frame["carrier"], categories=["UA", "DL", "AA"], ordered=True)
    booster = train(frame, (frame["carrier"] == "UA") * 2.0)
    with pytest.raises(InvalidInput, match="which columns its categories belong to") as caught:
        served(booster, tmp_path)
    assert "--sample" in str(caught.value.hint)
    model = served(booster, tmp_path, sample=[{"distance": 1.0, "hour": 2, "month": 3, "carrier": "AA"}])
    assert model.signature.inputs[3].datatype == "BYTES"
    np.testing.assert_array_equal(model.predict(typed(flights(ROWS)))["prediction"], booster.predict(frame))
    again = load(tmp_path / "model.txt", signature=model.signature)
    np.testing.assert_array_equal(again.predict(typed(flights(ROWS)))["prediction"], booster.predict(frame))


@pytest.mark.parametrize("whole", [False, True])
def test_a_pickled_wrapper_answers_with_its_own_labels(tmp_path: Path, whole: bool) -> None:
    frame = with_categories(flights(ROWS))
    wrapper = lightgbm.LGBMClassifier(n_estimators=4, num_leaves=6, verbose=-1, n_jobs=1)
    wrapper.fit(frame, np.where(late(frame) == 1, "late", "on time"))
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(wrapper if whole else wrapper.booster_))
    answers = load(path).predict(typed(flights(ROWS)))
    np.testing.assert_array_equal(answers["probabilities"], wrapper.predict_proba(frame))
    if whole:
        assert answers["prediction"].tolist() == wrapper.predict(frame).tolist()


def test_early_stopping_keeps_the_best_number_of_trees(tmp_path: Path) -> None:
    train_set = lightgbm.Dataset(MATRIX[:100], CLASSES[:100] > 0)
    parameters = {**SMALL, "objective": "binary", "learning_rate": 0.9}
    booster = lightgbm.train(
        parameters,
        train_set,
        num_boost_round=60,
        valid_sets=[train_set.create_valid(MATRIX[100:], CLASSES[100:] > 0)],
        callbacks=[lightgbm.early_stopping(2, verbose=False)],
    )
    answers = served(booster, tmp_path).predict({"input": MATRIX})
    np.testing.assert_array_equal(answers["probabilities"][:, 1], booster.predict(MATRIX))


def test_labels_in_the_settings_name_the_classes(tmp_path: Path) -> None:
    booster = train(MATRIX, CLASSES > 0, objective="binary")
    model = served(booster, tmp_path, settings={"labels": ["no", "yes"]})
    assert model.signature.outputs[1].labels == ("no", "yes")
    assert set(model.predict({"input": MATRIX})["prediction"]) <= {"no", "yes"}


def test_a_model_without_its_last_trees_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    train(MATRIX, CLASSES, objective="regression").save_model(path)
    path.write_text(path.read_text().partition("Tree=2")[0])
    with pytest.raises(InvalidInput, match=r"model\.txt"):
        load(path)


def test_an_unfitted_wrapper_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(lightgbm.LGBMRegressor()))
    with pytest.raises(InvalidInput, match="not fitted"):
        load(path)
