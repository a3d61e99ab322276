"""The engines for trees answer as the frameworks do, on 10,000 rows with missing values and unknown categories."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tidegate.contract.errors import InvalidInput
from tidegate.runtime import trees_engine
from tidegate.runtime.base import ArtifactFiles, Columns, LoadOptions, Model
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.trees import AT_MOST, LESS, MEMBER, DiffersError, Forest, NotCoveredError, Tree
from tidegate.runtime.trees_engine import leaves_engine, require_equal, sums_engine

ROWS, TOLERANCE = 10_000, 1e-6
NUMBERS = [f"n{column}" for column in range(5)]
TEXTS = ["town", "kind"]
SIZES = {"town": 30, "kind": 4}


def table(seed: int = 0, count: int = 2_000) -> pd.DataFrame:
    """Return numbers and texts, both with gaps."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(count, len(NUMBERS))), columns=NUMBERS)
    frame = frame.mask(rng.random(frame.shape) < 0.1)
    for name, size in SIZES.items():
        values = np.array([f"{name} {number}" for number in range(size)], dtype=object)[rng.integers(0, size, count)]
        values[rng.random(count) < 0.1] = np.nan
        frame[name] = values
    return frame


def goal(frame: pd.DataFrame) -> Any:
    rng = np.random.default_rng(7)
    score = frame["n0"].fillna(0.7) * 2 + frame["n1"].fillna(0) ** 2 + (frame["kind"] == "kind 2") * 2
    return (score + rng.normal(size=len(frame))).to_numpy()


def unknown_among(frame: pd.DataFrame) -> pd.DataFrame:
    asked = frame.copy()
    asked.loc[asked.index[::9], "town"] = "never seen"
    asked.loc[asked.index[::11], "kind"] = ""
    asked.loc[asked.index[::13], "n0"] = 0.0
    return asked


def columns_of(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        name: frame[name].to_numpy(dtype=np.float64)
        if name in NUMBERS
        else np.array([None if pd.isna(value) else value for value in frame[name]], dtype=object)
        for name in frame
    }


def categorical(frame: pd.DataFrame) -> pd.DataFrame:
    kinds = {name: [f"{name} {number}" for number in range(size)] for name, size in SIZES.items()}
    known = {name: frame[name].where(frame[name].isin(kinds[name])) for name in TEXTS}
    return frame.assign(**{name: pd.Categorical(known[name], categories=kinds[name]) for name in TEXTS})


@dataclass(frozen=True)
class Case:
    """A model as its replica loads it, what it is asked, and its framework's own answer to that."""

    model: Model
    asked: Columns
    expected: Any


def answer_of(model: Model, asked: Columns) -> Any:
    answers = model.predict(asked)
    return answers["probabilities"] if "probabilities" in answers else answers["prediction"]


def part(asked: Columns, start: int, end: int) -> Columns:
    return {name: values[start:end] for name, values in asked.items()}


def load(runtime: str, path: Path, **options: Any) -> Model:
    return get_runtime(runtime).load(ArtifactFiles(path), LoadOptions(trusted=True, **options))


def xgboost_case(folder: Path, objective: str, **parameters: Any) -> Case:
    frame, target = categorical(table()), goal(table())
    labels = {"binary:logistic": target > 1, "multi:softprob": np.digitize(target, [0, 2]), "count:poisson": target**2}
    data = xgboost.DMatrix(frame, labels.get(objective, target), enable_categorical=True)
    booster = xgboost.train({"objective": objective, "nthread": 1, **parameters}, data, num_boost_round=60)
    booster.save_model(folder / "model.ubj")
    model = load("xgboost", folder / "model.ubj")
    assert model._few is not None  # type: ignore[attr-defined]
    assert model._many is not None  # type: ignore[attr-defined]
    asked = unknown_among(table(1, ROWS))
    codes = categorical(asked)
    matrix = np.stack([codes[name].cat.codes if name in TEXTS else codes[name] for name in codes], axis=1).astype(float)
    for position, name in enumerate(frame):
        if name in TEXTS:
            # What a category is that XGBoost never saw: a code that no split names.
            matrix[:, position] = np.where(asked[name].isna(), np.nan, matrix[:, position])
            matrix[matrix[:, position] < 0, position] = SIZES[name]
    scores = booster.inplace_predict(matrix)
    expected = np.stack([1 - scores, scores], axis=1) if objective == "binary:logistic" else scores
    return Case(model, columns_of(asked), expected)


def lightgbm_case(folder: Path, objective: str, **parameters: Any) -> Case:
    frame, target = categorical(table()), goal(table())
    labels = {"binary": target > 1, "multiclass": np.digitize(target, [0, 2]), "poisson": target**2}
    settings = {"objective": objective, "verbose": -1, "num_threads": 1, **parameters}
    booster = lightgbm.train(settings, lightgbm.Dataset(frame, labels.get(objective, target)), num_boost_round=60)
    booster.save_model(folder / "model.txt")
    model = load("lightgbm", folder / "model.txt")
    assert model._engine is not None  # type: ignore[attr-defined]
    asked = unknown_among(table(1, ROWS))
    scores: Any = booster.predict(categorical(asked))
    return Case(model, columns_of(asked), np.stack([1 - scores, scores], axis=1) if objective == "binary" else scores)


def sklearn_case(folder: Path, estimator: Any, frame: pd.DataFrame, asked: pd.DataFrame, own: Any = None) -> Case:
    """Return the case of an estimator; `own` is `asked` as the estimator itself takes it where that differs."""
    target = goal(table())
    is_classifier = hasattr(estimator, "predict_proba")
    estimator.fit(frame, np.where(target > 1, "late", "on time") if is_classifier else target)
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(estimator))
    model = load("sklearn", path)
    assert model._quick_steps.engine is not None or model._encoded is not None  # type: ignore[attr-defined]
    own = asked if own is None else own
    expected = estimator.predict_proba(own) if is_classifier else estimator.predict(own)
    return Case(model, columns_of(asked), expected)


def trees_case(folder: Path, estimator: Any, *, missing: bool = True) -> Case:
    frame, asked = table()[NUMBERS], table(1, ROWS)[NUMBERS]
    return sklearn_case(
        folder, estimator, frame if missing else frame.fillna(0.5), asked if missing else asked.fillna(0)
    )


def pipeline_case(folder: Path, final: Any, encoder: Any, scaler: Any, *, sparse_threshold: float = 0.3) -> Case:
    numbers = make_pipeline(SimpleImputer(strategy="median"), scaler)
    texts = make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), encoder)
    split = make_column_transformer((numbers, NUMBERS), (texts, TEXTS), sparse_threshold=sparse_threshold)
    case = sklearn_case(folder, make_pipeline(split, final), table(), unknown_among(table(1, ROWS)))
    assert "_planned_way" in case.model._answer.__qualname__  # type: ignore[attr-defined]
    return case


def encoding_itself(folder: Path) -> Case:
    asked = unknown_among(table(1, ROWS))
    estimator = HistGradientBoostingClassifier(max_iter=30, categorical_features="from_dtype")
    case = sklearn_case(folder, estimator, categorical(table()), asked, categorical(asked))
    assert "_planned_way" in case.model._answer.__qualname__  # type: ignore[attr-defined]
    return case


def one_hot() -> Any:
    return OneHotEncoder(handle_unknown="ignore")


def ordinal() -> Any:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)


CASES: Mapping[str, Callable[[Path], Case]] = {
    "xgboost two classes": lambda folder: xgboost_case(folder, "binary:logistic", max_cat_to_onehot=1),
    "xgboost three classes": lambda folder: xgboost_case(folder, "multi:softprob", num_class=3),
    "xgboost numbers": lambda folder: xgboost_case(folder, "reg:squarederror", num_parallel_tree=2, subsample=0.5),
    "xgboost counts": lambda folder: xgboost_case(folder, "count:poisson"),
    "lightgbm two classes": lambda folder: lightgbm_case(folder, "binary"),
    "lightgbm three classes": lambda folder: lightgbm_case(folder, "multiclass", num_class=3),
    "lightgbm numbers": lambda folder: lightgbm_case(folder, "regression"),
    "lightgbm counts": lambda folder: lightgbm_case(folder, "poisson"),
    "forest": lambda folder: trees_case(folder, RandomForestClassifier(20, random_state=0)),
    "forest of numbers": lambda folder: trees_case(folder, RandomForestRegressor(20, random_state=0)),
    "extra trees": lambda folder: trees_case(folder, ExtraTreesClassifier(20, random_state=0)),
    "boosting": lambda folder: trees_case(folder, GradientBoostingClassifier(random_state=0), missing=False),
    "boosting numbers": lambda folder: trees_case(folder, GradientBoostingRegressor(random_state=0), missing=False),
    "histogram boosting": lambda folder: trees_case(folder, HistGradientBoostingClassifier(max_iter=30)),
    "histogram numbers": lambda folder: trees_case(folder, HistGradientBoostingRegressor(max_iter=30)),
    "histogram with its own encoder": encoding_itself,
    "tree": lambda folder: trees_case(folder, DecisionTreeClassifier(random_state=0)),
    "tree of numbers": lambda folder: trees_case(folder, DecisionTreeRegressor(random_state=0)),
    "pipeline, one-hot, sparse": lambda folder: pipeline_case(
        folder, LogisticRegression(max_iter=500), one_hot(), StandardScaler(), sparse_threshold=1.0
    ),
    "pipeline, one-hot, dense": lambda folder: pipeline_case(
        folder, Ridge(), one_hot(), MinMaxScaler(), sparse_threshold=0.0
    ),
    "pipeline, codes": lambda folder: pipeline_case(
        folder, HistGradientBoostingClassifier(max_iter=30), ordinal(), StandardScaler()
    ),
    "pipeline, forest": lambda folder: pipeline_case(
        folder, RandomForestClassifier(20, random_state=0), one_hot(), StandardScaler()
    ),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return CASES[request.param](tmp_path_factory.mktemp("engines"))


def require_within_tolerance(got: Any, expected: Any) -> None:
    assert got.shape == expected.shape
    np.testing.assert_array_less(np.abs(got - expected), TOLERANCE * np.maximum(1, np.abs(expected)))


def test_ten_thousand_rows_answer_as_the_framework_does(case: Case) -> None:
    require_within_tolerance(answer_of(case.model, case.asked), case.expected)


@pytest.mark.parametrize("size", [1, 2, 32, 100, 300])
def test_the_same_rows_in_any_company_answer_the_same(case: Case, size: int) -> None:
    rows = min(size * 150, 1_200) // size * size
    answers = [answer_of(case.model, part(case.asked, row, row + size)) for row in range(0, rows, size)]
    require_within_tolerance(np.concatenate(answers), case.expected[:rows])


def test_threads_that_ask_at_once_get_their_own_answers(case: Case) -> None:
    def ask(row: int) -> Any:
        return answer_of(case.model, part(case.asked, row, row + 1 + row % 40))

    with ThreadPoolExecutor(4) as pool:
        for row, answer in enumerate(pool.map(ask, range(300))):
            require_within_tolerance(answer, case.expected[row : row + 1 + row % 40])


def test_labels_go_with_the_probabilities(case: Case) -> None:
    labels = case.model.signature.outputs[-1].labels
    if labels is None:
        pytest.skip("a model that answers numbers")
    together = case.model.predict(part(case.asked, 0, 200))["prediction"].tolist()
    alone = [case.model.predict(part(case.asked, row, row + 1))["prediction"].item() for row in range(200)]
    assert alone == together
    assert [str(label) for label in alone] == [labels[place] for place in case.expected[:200].argmax(axis=1)]


# --- what the engine does not cover --------------------------------------------------------------------------------


def simple_matrix() -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(300, 4))
    return matrix, matrix[:, 0] * 2 + (matrix[:, 1] > 0)


@pytest.mark.parametrize("parameters", [{"objective": "binary:hinge"}, {"booster": "dart", "rate_drop": 0.5}])
def test_a_booster_that_is_not_covered_is_left_to_xgboost(
    tmp_path: Path, parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    matrix, target = simple_matrix()
    booster = xgboost.train({"nthread": 1, **parameters}, xgboost.DMatrix(matrix, target > 0.5), num_boost_round=5)
    booster.save_model(tmp_path / "model.ubj")
    with caplog.at_level(logging.INFO, "tidegate.runtime"):
        model = load("xgboost", tmp_path / "model.ubj")
    assert model._few is None  # type: ignore[attr-defined]
    if "objective" in parameters:
        assert "binary:hinge is not known to the engine" in caplog.text
    np.testing.assert_array_equal(answer_of(model, {"input": matrix}), booster.predict(xgboost.DMatrix(matrix)))


@pytest.mark.parametrize("parameters", [{"linear_tree": True}, {"zero_as_missing": True}])
def test_a_booster_that_is_not_covered_is_left_to_lightgbm(
    tmp_path: Path, parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    matrix, target = simple_matrix()
    matrix[::5, 1] = 0.0
    settings = {"objective": "regression", "verbose": -1, "num_threads": 1, **parameters}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, target), num_boost_round=5)
    booster.save_model(tmp_path / "model.txt")
    with caplog.at_level(logging.INFO, "tidegate.runtime"):
        model = load("lightgbm", tmp_path / "model.txt")
    assert "runs on its framework's own predict" in caplog.text
    np.testing.assert_array_equal(answer_of(model, {"input": matrix}), booster.predict(matrix))


def test_an_estimator_that_is_not_covered_is_left_to_scikit_learn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    matrix, target = simple_matrix()
    estimator = SVC(random_state=0).fit(matrix, target > 0.5)
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(estimator))
    with caplog.at_level(logging.INFO, "tidegate.runtime"):
        model = load("sklearn", path)
    assert "there is no engine for sklearn.svm._classes.SVC" in caplog.text
    np.testing.assert_array_equal(model.predict({"input": matrix})["prediction"], estimator.predict(matrix))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(np.inf, "inf is more than the model can compute with"), (np.nan, "the model takes no missing value here")],
)
def test_what_scikit_learn_refuses_is_refused_still(tmp_path: Path, value: float, sentence: str) -> None:
    matrix, target = simple_matrix()
    estimator = GradientBoostingClassifier(n_estimators=5).fit(matrix, target > 0.5)
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(estimator))
    model = load("sklearn", path)
    matrix[0, 0] = value
    with pytest.raises(InvalidInput, match=sentence):
        model.predict({"input": matrix[:1]})


def test_an_engine_that_answers_otherwise_is_not_used_and_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    matrix, target = simple_matrix()
    settings = {"objective": "regression", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, target), num_boost_round=5)
    booster.save_model(tmp_path / "model.txt")

    def slightly_off(forest: Forest) -> Any:
        return sums_engine(replace(forest, base=forest.base + 1e-4))

    monkeypatch.setattr("tidegate.runtime.lightgbm_trees.sums_engine", slightly_off)
    model = load("lightgbm", tmp_path / "model.txt")
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "differ from the framework's own by up to 0.0001" in record.getMessage()
    np.testing.assert_array_equal(answer_of(model, {"input": matrix}), booster.predict(matrix))


def test_without_onnx_runtime_the_framework_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    matrix, target = simple_matrix()
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(matrix, target), num_boost_round=5)
    booster.save_model(tmp_path / "model.ubj")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with caplog.at_level(logging.INFO, "tidegate.runtime"):
        model = load("xgboost", tmp_path / "model.ubj")
    assert "needs the package onnxruntime" in caplog.text
    np.testing.assert_array_equal(answer_of(model, {"input": matrix}), booster.predict(xgboost.DMatrix(matrix)))


# --- forests by hand -----------------------------------------------------------------------------------------------


def stump(mode: int, threshold: float, *, missing_yes: bool, members: dict[int, list[float]] | None = None) -> Tree:
    """Return a tree of one comparison in column 0: 10 when it holds, 20 when it does not."""
    whole = np.zeros(3, dtype=np.int64)
    return Tree(
        feature=whole,
        threshold=np.array([threshold, 10.0, 20.0]),
        mode=np.array([mode, 0, 0]),
        yes=np.array([1, -1, -1]),
        no=np.array([2, -1, -1]),
        missing_yes=np.array([missing_yes, False, False]),
        members=dict(members or {}),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("missing_yes", [False, True])
def test_each_comparison_goes_its_way(dtype: Any, missing_yes: bool) -> None:
    missing = 10.0 if missing_yes else 20.0
    matrix = np.array([[-1.0], [2.0], [3.0], [40.0], [np.nan]], dtype=dtype)
    for tree, expected in (
        (stump(AT_MOST, 2.0, missing_yes=missing_yes), [10.0, 10.0, 20.0, 20.0]),
        (stump(LESS, 2.0, missing_yes=missing_yes), [10.0, 20.0, 20.0, 20.0]),
        (stump(MEMBER, 0.0, missing_yes=missing_yes, members={0: [2.0, 40.0]}), [20.0, 10.0, 20.0, 10.0]),
        (stump(MEMBER, 0.0, missing_yes=missing_yes, members={0: []}), [20.0, 20.0, 20.0, 20.0]),
    ):
        forest = Forest(1, np.dtype(dtype), [tree], np.array([0.5]))
        assert sums_engine(forest)(matrix)[:, 0].tolist() == [value + 0.5 for value in [*expected, missing]]
        places = [1.0 if value == 10.0 else 2.0 for value in [*expected, missing]]
        assert leaves_engine(forest)(matrix)[:, 0].tolist() == places


def test_a_forest_without_trees_is_not_covered() -> None:
    with pytest.raises(NotCoveredError, match="no trees"):
        sums_engine(Forest(1, np.dtype(np.float64), [], np.zeros(1)))


def test_a_forest_too_large_to_hold_twice_is_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = Forest(1, np.dtype(np.float64), [stump(AT_MOST, 0.3, missing_yes=True)], np.zeros(1))
    monkeypatch.setattr(trees_engine, "_MAX_NODES", 2)
    with pytest.raises(NotCoveredError, match="more than 2 nodes"):
        sums_engine(forest)


@pytest.mark.parametrize("kind", [RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier])
def test_the_trees_of_a_large_forest_are_called_one_by_one_with_the_answers_of_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: Any
) -> None:
    monkeypatch.setattr(trees_engine, "_MAX_NODES", 500)
    with caplog.at_level(logging.INFO, "tidegate.runtime"):
        case = trees_case(tmp_path, kind(20, random_state=0), missing=kind is not ExtraTreesClassifier)
    assert "called one by one: the trees have more than 500 nodes" in caplog.text
    for start in range(0, ROWS, 250):
        answers = answer_of(case.model, part(case.asked, start, start + 250))
        assert answers.tolist() == case.expected[start : start + 250].tolist()
    for row in range(100):
        assert answer_of(case.model, part(case.asked, row, row + 1)).tolist() == case.expected[row : row + 1].tolist()


def test_a_difference_at_one_border_is_found() -> None:
    forest = Forest(1, np.dtype(np.float64), [stump(AT_MOST, 0.3, missing_yes=True)], np.zeros(1))
    other = Forest(1, np.dtype(np.float64), [stump(LESS, 0.3, missing_yes=True)], np.zeros(1))
    require_equal(sums_engine(forest), sums_engine(forest), forest)
    with pytest.raises(DiffersError, match="by up to 10"):
        require_equal(sums_engine(other), sums_engine(forest), forest)


def test_nan_and_infinity_are_close_to_themselves_alone() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert trees_engine.is_close(odd, odd)
    for place in range(3):
        assert not trees_engine.is_close(np.where(np.arange(4) == place, 1.0, odd), odd)
    assert trees_engine.is_close(np.array([1e9 + 1]), np.array([1e9]))
    assert not trees_engine.is_close(np.array([1e-5]), np.array([0.0]))
