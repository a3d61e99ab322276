"""scikit-learn pipelines of many shapes: their columns are typed from what fitting left behind."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from tests.support.models import flights, late, typed, write_pickled
from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model
from tidegate.runtime.registry import get_runtime

NUMBERS = ["distance", "hour", "month"]


def load(path: Path, **options: Any) -> Model:
    return get_runtime("sklearn").load(ArtifactFiles(path), LoadOptions(trusted=True, **options))


def served(model: Any, folder: Path, form: str = "pickle", **options: Any) -> Model:
    path = folder / "model"
    write_pickled(model, path, form)
    return load(path, **options)


def impute_and_encode() -> Any:
    texts = make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore"))
    return make_column_transformer((SimpleImputer(), NUMBERS), (texts, ["carrier"]))


def by_position() -> Any:
    return ColumnTransformer(
        [("n", SimpleImputer(), slice(0, 3)), ("t", OrdinalEncoder(encoded_missing_value=-1), [3])]
    )


def by_mask() -> Any:
    return ColumnTransformer(
        [
            ("n", SimpleImputer(), [True, True, True, False]),
            ("t", OneHotEncoder(sparse_output=False), make_column_selector(dtype_exclude="number")),
        ]
    )


def in_a_union() -> Any:
    number = ColumnTransformer([("n", SimpleImputer(), NUMBERS)])
    text = ColumnTransformer([("t", TargetEncoder(cv=2), ["carrier"])])
    return FeatureUnion([("number", number), ("text", text)])


def nested_forest() -> Any:
    return make_pipeline(StandardScaler(with_mean=False), ExtraTreesClassifier(4, random_state=0))


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: make_pipeline(impute_and_encode(), LogisticRegression(max_iter=500)),
    "by position": lambda: make_pipeline(by_position(), LogisticRegression(max_iter=500)),
    "by mask": lambda: make_pipeline(by_mask(), RandomForestClassifier(5, random_state=0, n_jobs=-1)),
    "union": lambda: make_pipeline(in_a_union(), GaussianNB()),
    "nested": lambda: make_pipeline(make_pipeline(impute_and_encode()), nested_forest()),
    "boosted": lambda: make_pipeline(impute_and_encode(), GradientBoostingClassifier(n_estimators=4, random_state=0)),
    "search": lambda: GridSearchCV(make_pipeline(impute_and_encode(), DecisionTreeClassifier(random_state=0)),
                                   {"decisiontreeclassifier__max_depth": [1, 2]}, cv=2),
    "calibrated": lambda: CalibratedClassifierCV(make_pipeline(impute_and_encode(), RidgeClassifier()), cv=2),
    "voting": lambda: VotingClassifier([("a", make_pipeline(impute_and_encode(), LogisticRegression(max_iter=500))),
                                        ("b", make_pipeline(impute_and_encode(), GaussianNB()))], voting="soft"),
    "no probabilities": lambda: make_pipeline(impute_and_encode(), RidgeClassifier()),
    "support vectors": lambda: make_pipeline(impute_and_encode(), SVC(random_state=0)),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_pipelines_answer_as_they_do_on_the_users_own_frame(name: str, tmp_path: Path) -> None:
    frame, asked = flights(200), flights(8, seed=99)
    estimator = CLASSIFIERS[name]().fit(frame, np.where(late(frame) == 1, "late", "on time"))
    model = served(estimator, tmp_path)
    assert [(spec.name, spec.datatype) for spec in model.signature.inputs] == [
        *((column, "FP64") for column in NUMBERS),
        ("carrier", "BYTES"),
    ]
    answers = model.predict(typed(asked))
    assert answers["prediction"].tolist() == estimator.predict(asked).tolist()
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_array_equal(answers["probabilities"], estimator.predict_proba(asked))
        assert model.signature.outputs[1].labels == ("late", "on time")
    else:
        assert list(answers) == ["prediction"]


@pytest.mark.parametrize(
    "parts",
    [
        [("n", SimpleImputer(), NUMBERS[1:]), ("t", OneHotEncoder(handle_unknown="ignore"), ["carrier"])],
        [("n", SimpleImputer(), [2, 3]), ("t", OrdinalEncoder(encoded_missing_value=-1), slice(4, 5))],
        [("n", SimpleImputer(), ["hour", "month"]), ("t", TargetEncoder(cv=2), [-1]), ("d", "drop", ["distance"])],
    ],
    ids=["names", "positions", "dropped"],
)
@pytest.mark.parametrize("is_searched", [False, True])
def test_columns_that_no_part_of_a_transformer_takes_are_not_asked_for(
    parts: list[Any], is_searched: bool, tmp_path: Path
) -> None:
    frame, asked = (flights(count, seed=count).assign(note="seen") for count in (200, 8))
    frame, asked = (part[["note", *NUMBERS, "carrier"]] for part in (frame, asked))
    estimator = make_pipeline(ColumnTransformer(parts), LogisticRegression(max_iter=500))
    if is_searched:
        estimator = GridSearchCV(estimator, {"logisticregression__C": [0.1, 1.0]}, cv=2)
    estimator.fit(frame, late(frame))
    model = served(estimator, tmp_path)
    assert [(spec.name, spec.datatype) for spec in model.signature.inputs] == [
        ("hour", "FP64"), ("month", "FP64"), ("carrier", "BYTES")
    ]  # fmt: skip
    answers = model.predict(typed(asked[["hour", "month", "carrier"]]))
    np.testing.assert_array_equal(answers["probabilities"], estimator.predict_proba(asked))
    assert is_quick(model) is not is_searched


def test_columns_that_are_passed_through_are_asked_for(tmp_path: Path) -> None:
    frame = flights(200).fillna({"distance": 0.0})
    parts = make_column_transformer((OneHotEncoder(), ["carrier"]), ("drop", ["month"]), remainder="passthrough")
    estimator = make_pipeline(parts, LogisticRegression(max_iter=500)).fit(frame, late(frame))
    assert [spec.name for spec in served(estimator, tmp_path).signature.inputs] == ["distance", "hour", "carrier"]


def test_integer_and_boolean_labels_keep_their_type(tmp_path: Path) -> None:
    frame = flights(60)[["hour", "month"]]
    for labels, datatype in ((late(frame.assign(carrier="")), "INT64"), (frame["hour"] > 12, "BOOL")):
        estimator = DecisionTreeClassifier().fit(frame, labels)
        model = served(estimator, tmp_path)
        assert model.signature.outputs[0].datatype == datatype
        np.testing.assert_array_equal(model.predict(typed(frame))["prediction"], estimator.predict(frame))


def test_regressors_answer_one_number_per_row_or_several(tmp_path: Path) -> None:
    frame = flights(60)[["hour", "month"]]
    one = TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1).fit(
        frame, frame["hour"] * 2.0
    )
    several = RandomForestRegressor(3, random_state=0).fit(frame, frame.to_numpy() * 2.0)
    for estimator, shape in ((one, (-1,)), (several, (-1, 2))):
        model = served(estimator, tmp_path)
        assert (model.signature.outputs[0].datatype, model.signature.outputs[0].shape) == ("FP64", shape)
        # In which order a linear model's BLAS adds up depends on how the rows lie in memory, on some processors.
        np.testing.assert_allclose(model.predict(typed(frame))["prediction"], estimator.predict(frame), rtol=1e-13)


def test_several_outputs_of_a_classifier_are_one_prediction(tmp_path: Path) -> None:
    frame = flights(60)[["hour", "month"]]
    labels = np.stack([frame["hour"] > 12, frame["month"] > 6], axis=1).astype(int)
    estimator = MultiOutputClassifier(DecisionTreeClassifier()).fit(frame, labels)
    model = served(estimator, tmp_path)
    assert [spec.shape for spec in model.signature.outputs] == [(-1, 2)]
    np.testing.assert_array_equal(model.predict(typed(frame))["prediction"], estimator.predict(frame))


def test_a_text_model_takes_one_column_of_text(tmp_path: Path) -> None:
    texts = ["late again", "on time", "late as ever", "never late", "on the dot"]
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0, 0])
    model = served(estimator, tmp_path, "skops")
    assert [(spec.name, spec.datatype) for spec in model.signature.inputs] == [("text", "BYTES")]
    answers = model.predict({"text": np.array([*texts, None], dtype=object)})
    np.testing.assert_array_equal(answers["probabilities"], estimator.predict_proba([*texts, ""]))


def test_a_text_column_inside_a_table_is_found_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"note": ["late again", "fine", "late", "fine"], "hour": [1.0, 2.0, 3.0, 4.0]})
    split = ColumnTransformer([("note", TfidfVectorizer(), "note"), ("hour", StandardScaler(), ["hour"])])
    estimator = make_pipeline(split, LogisticRegression()).fit(frame, [1, 0, 1, 0])
    model = served(estimator, tmp_path)
    assert [spec.datatype for spec in model.signature.inputs] == ["BYTES", "FP64"]
    answers = model.predict({"note": frame["note"].to_numpy(dtype=object), "hour": frame["hour"].to_numpy()})
    np.testing.assert_array_equal(answers["probabilities"], estimator.predict_proba(frame))


@pytest.mark.parametrize("marker", [np.nan, None])
def test_a_missing_text_reaches_the_encoder_as_the_value_it_was_fitted_on(tmp_path: Path, marker: Any) -> None:
    carriers = pd.Series(["AA", marker, "DL", "AA", marker, "DL"], dtype=object)
    frame = pd.DataFrame({"carrier": carriers, "hour": [1.0, 2, 3, 4, 5, 6]})
    split = ColumnTransformer([("c", OneHotEncoder(), ["carrier"])], remainder="passthrough")
    estimator = make_pipeline(split, DecisionTreeClassifier()).fit(frame, [0, 1, 0, 0, 1, 0])
    model = served(estimator, tmp_path)
    answers = model.predict({"carrier": np.array(["AA", None], dtype=object), "hour": np.array([1.0, 2.0])})
    assert answers["prediction"].tolist() == [0, 1]


def test_a_missing_number_reaches_the_model_as_nan(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan, 2.0, np.nan]})
    estimator = HistGradientBoostingClassifier(min_samples_leaf=1, max_iter=20).fit(frame, [0, 1, 0, 1])
    model = served(estimator, tmp_path, "skops")
    assert model.predict({"x": np.array([np.nan, 1.0])})["prediction"].tolist() == [1, 0]


def test_histogram_boosting_with_text_categories(tmp_path: Path) -> None:
    frame = flights(200)
    frame["carrier"] = frame["carrier"].astype("category")
    estimator = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=5).fit(frame, late(frame))
    model = served(estimator, tmp_path, "skops")
    assert model.signature.inputs[3].datatype == "BYTES"
    asked = flights(8, seed=99)
    expected = estimator.predict_proba(asked.astype({"carrier": frame["carrier"].dtype}))
    np.testing.assert_array_equal(model.predict(typed(asked))["probabilities"], expected)


def test_number_categories_are_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"hour": [5, 6, 7, 5, 6, 7]})
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, [0, 1, 0, 0, 1, 1])
    model = served(estimator, tmp_path)
    # The encoder refuses unknown hours: the made-up row of the first load had to be one of its own.
    assert [spec.datatype for spec in model.signature.inputs] == ["FP64"]
    np.testing.assert_array_equal(
        model.predict({"hour": np.array([7.0, 5.0])})["probabilities"],
        estimator.predict_proba(pd.DataFrame({"hour": [7, 5]})),
    )


def test_rows_of_the_user_decide_where_the_model_says_nothing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"town": ["Ulm", "Jena", "Ulm", "Jena"], "size": [1.0, 2.0, 3.0, 4.0]})
    estimator = make_pipeline(FunctionTransformer(length_of_town), LogisticRegression())
    estimator.fit(frame, [0, 1, 0, 1])
    model = served(estimator, tmp_path, sample=[{"town": "Ulm", "size": 1}])
    assert [(spec.name, spec.datatype) for spec in model.signature.inputs] == [("town", "BYTES"), ("size", "FP64")]
    answers = model.predict({"town": np.array(["Jena"], dtype=object), "size": np.array([9.0])})
    assert answers["prediction"].tolist() == estimator.predict(pd.DataFrame({"town": ["Jena"], "size": [9.0]})).tolist()


def test_without_rows_the_columns_that_say_nothing_are_asked_for(tmp_path: Path) -> None:
    frame = pd.DataFrame({"town": ["Ulm", "Jena", "Ulm", "Jena"], "size": [1.0, 2.0, 3.0, 4.0]})
    estimator = make_pipeline(FunctionTransformer(length_of_town), LogisticRegression()).fit(frame, [0, 1, 0, 1])
    with pytest.raises(InvalidInput) as caught:
        served(estimator, tmp_path)
    assert "town" in caught.value.message
    assert "--sample" in str(caught.value.hint)


def length_of_town(frame: Any) -> Any:
    return np.column_stack([[len(town) / 1 for town in frame["town"] + "!"], frame["size"] * 1.5])


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot predict"):
        served({"weights": [1, 2, 3]}, tmp_path)
    with pytest.raises(InvalidInput):
        served(LogisticRegression(), tmp_path)


def test_a_module_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02cour_own_features\nCleaner\n)\x81.")
    with pytest.raises(InvalidInput) as caught:
        load(path)
    assert "our_own_features" in caught.value.message
    assert caught.value.hint


def test_no_more_jobs_than_threads(tmp_path: Path) -> None:
    frame = flights(60)[["hour", "month"]]
    forest = RandomForestClassifier(3, n_jobs=-1, random_state=0)
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(make_pipeline(StandardScaler(), forest).fit(frame, frame["hour"] > 12)))
    model = load(path, threads=1)
    assert model.steps.final.n_jobs == 1  # type: ignore[attr-defined]
    assert load(path, threads=2).steps.final.n_jobs == 2  # type: ignore[attr-defined]


FORGERIES: Mapping[str, Callable[[Any], None]] = {
    "a child outside": lambda nodes: nodes["left_child"].__setitem__(0, 10_000),
    "a child before its parent": lambda nodes: nodes["right_child"].__setitem__(0, 0),
    "a feature that is not there": lambda nodes: nodes["feature"].__setitem__(0, 77),
    "a feature below zero": lambda nodes: nodes["feature"].__setitem__(0, -7),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("in_a_forest", [False, True])
def test_a_forged_tree_is_refused_before_it_is_walked(tmp_path: Path, forgery: str, in_a_forest: bool) -> None:
    frame = flights(60)[["hour", "month"]].to_numpy()
    forest = RandomForestClassifier(2, random_state=0).fit(frame, frame[:, 0] > 12)
    tree = forest.estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    FORGERIES[forgery](state["nodes"])
    tree.__setstate__(state)
    path = tmp_path / "model.skops"
    skops.io.dump(make_pipeline(forest) if in_a_forest else forest.estimators_[1], path)
    with pytest.raises(InvalidInput, match="points outside of itself"):
        get_runtime("sklearn").load(ArtifactFiles(path), LoadOptions())


def test_a_forged_histogram_tree_is_refused(tmp_path: Path) -> None:
    frame = flights(60)[["hour", "month"]].to_numpy()
    model = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2).fit(frame, frame[:, 0] > 12)
    model._predictors[0][0].nodes["feature_idx"][0] = 50
    path = tmp_path / "model.skops"
    skops.io.dump(model, path)
    with pytest.raises(InvalidInput, match="points outside of itself"):
        get_runtime("sklearn").load(ArtifactFiles(path), LoadOptions())


def test_a_forest_in_a_skops_file_needs_no_trust(tmp_path: Path) -> None:
    frame = flights(60)[["hour", "month"]].to_numpy()
    path = tmp_path / "model.skops"
    for estimator in (RandomForestClassifier(2), GradientBoostingClassifier(n_estimators=2)):
        skops.io.dump(estimator.fit(frame, frame[:, 0] > 12), path)
        recognition = get_runtime("sklearn").recognise(ArtifactFiles(path))
        assert recognition is not None
        assert not recognition.needs_trust


def test_a_function_in_a_skops_file_needs_trust_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skops.io.dump(Pipeline([("length", FunctionTransformer(pd.read_csv)), ("none", DummyClassifier())]), path)
    runtime = get_runtime("sklearn")
    recognition = runtime.recognise(ArtifactFiles(path))
    assert recognition is not None
    assert recognition.needs_trust
    assert any("read_csv" in reason for reason in recognition.reasons)
    with pytest.raises(NotTrusted):
        runtime.load(ArtifactFiles(path), LoadOptions())


def is_quick(model: Model) -> bool:
    return model._answer != model._step_by_step  # type: ignore[attr-defined]


QUICK = ["logistic", "by position", "by mask", "boosted", "no probabilities", "support vectors"]


@pytest.mark.parametrize("name", QUICK)
def test_common_pipelines_take_the_quick_way(name: str, tmp_path: Path) -> None:
    frame = flights(200)
    estimator = CLASSIFIERS[name]().fit(frame, np.where(late(frame) == 1, "late", "on time"))
    assert is_quick(served(estimator, tmp_path))


@pytest.mark.parametrize("rows", [1, 7])
def test_the_quick_way_answers_bit_for_bit_like_the_ordinary_one(rows: int, tmp_path: Path) -> None:
    frame, asked = flights(200), flights(rows, seed=5).assign(carrier=["UA", None, "XX", "", "AA", "DL", "UA"][:rows])
    models = [
        make_pipeline(impute_and_encode(), StandardScaler(with_mean=False), LogisticRegression()).fit(
            frame, late(frame)
        ),
        make_pipeline(impute_and_encode(), LinearRegression()).fit(frame, frame["hour"] * 1.7),
        make_pipeline(
            make_column_transformer(
                (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["carrier"]),
                remainder="passthrough",
            ),
            HistGradientBoostingClassifier(max_iter=5),
        ).fit(frame, late(frame)),
    ]
    for estimator in models:
        model = served(estimator, tmp_path)
        assert is_quick(model)
        answers = model.predict(typed(asked))
        np.testing.assert_array_equal(answers["prediction"], estimator.predict(asked))
        if "probabilities" in answers:
            np.testing.assert_array_equal(answers["probabilities"], estimator.predict_proba(asked))


class NamesMatter(FunctionTransformer):  # type: ignore[misc]
    """Answers differently when it is given an array."""

    def transform(self, data: Any) -> Any:
        return np.asarray(data, dtype=float) * (2 if isinstance(data, pd.DataFrame) else 3)


NamesMatter.__module__ = "sklearn.preprocessing._function_transformer"


def test_a_step_that_treats_arrays_differently_keeps_the_ordinary_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sklearn.preprocessing._function_transformer as home

    monkeypatch.setattr(home, "NamesMatter", NamesMatter, raising=False)
    frame = flights(60)[["hour", "month"]]
    split = make_column_transformer((NamesMatter(), ["hour"]), (StandardScaler(), ["month"]))
    estimator = make_pipeline(split, LinearRegression()).fit(frame, frame["hour"])
    model = served(estimator, tmp_path)
    assert not is_quick(model)
    # What was taken off the steps for the trial is back, so that they know their columns again.
    assert list(model.steps.transforms[0].transformers_[1][1].feature_names_in_) == ["month"]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(model.predict(typed(frame))["prediction"], estimator.predict(frame))
