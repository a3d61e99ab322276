"""CatBoost's models answer as CatBoost's own wrappers do, and what it cannot answer is said."""

from __future__ import annotations

import asyncio
import json
import pickle
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pytest

from tests.server.processes import replica
from tests.support.models import flights, late, records, typed
from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.artifact.check import check_artifact
from tidegate.artifact.inspect import inspect_artifact
from tidegate.contract.errors import InvalidInput, NotTrusted, ValueRefused
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model
from tidegate.runtime.registry import get_runtime, runtimes

NUMBERS = ["distance", "hour"]
FRAME = flights()
LATE = late(FRAME)
QUICK = {"iterations": 6, "depth": 3, "verbose": 0, "thread_count": 1, "allow_writing_files": False}


def with_texts(frame: Any) -> Any:
    """Return the frame as people hand it to CatBoost: a missing category is a text like any other."""
    return frame.assign(carrier=frame["carrier"].fillna("nan"))


def load(path: Path, **options: Any) -> Model:
    return get_runtime("catboost").load(ArtifactFiles(path), LoadOptions(**options))


def save(model: Any, folder: Path, form: str = "cbm") -> Path:
    path = folder / f"model.{form}"
    model.save_model(str(path), format=form)
    return path


@pytest.fixture(scope="module")
def classifier() -> Any:
    labels = np.where(LATE == 1, "late", "on time")
    return catboost.CatBoostClassifier(cat_features=["carrier"], **QUICK).fit(with_texts(FRAME), labels)


CLASSES = [
    ("Logloss", LATE, None),
    ("Logloss", LATE.astype(bool), None),
    ("Logloss", np.where(LATE, 1.5, 2.5), None),
    ("Logloss", np.where(LATE, "late", "on time"), None),
    ("Logloss", LATE, 0.2),
    ("CrossEntropy", np.linspace(0, 1, len(FRAME)), None),
    ("MultiClass", FRAME["hour"] % 3, None),
    ("MultiClassOneVsAll", (FRAME["hour"] % 3).astype(str), None),
]


@pytest.mark.parametrize("form", ["cbm", "json"])
@pytest.mark.parametrize(("loss", "labels", "threshold"), CLASSES)
def test_classes_and_probabilities_are_catboosts_own(
    tmp_path: Path, loss: str, labels: Any, threshold: float | None, form: str
) -> None:
    own = catboost.CatBoostClassifier(loss_function=loss, **QUICK).fit(FRAME[NUMBERS], labels)
    if threshold is not None:
        own.set_probability_threshold(threshold)
    answers = load(save(own, tmp_path, form)).predict(typed(FRAME[NUMBERS]))
    reread = catboost.CatBoostClassifier().load_model(str(tmp_path / f"model.{form}"), format=form)
    expected = reread.predict(FRAME[NUMBERS]).ravel()
    if expected.dtype.kind != answers["prediction"].dtype.kind:
        expected = expected == "True"
    np.testing.assert_array_equal(answers["prediction"], expected)
    np.testing.assert_array_equal(answers["probabilities"], reread.predict_proba(FRAME[NUMBERS]))


def test_a_limit_of_the_users_own_changes_the_classes(tmp_path: Path) -> None:
    own = catboost.CatBoostClassifier(**QUICK).fit(FRAME[NUMBERS], LATE)
    before = load(save(own, tmp_path)).predict(typed(FRAME[NUMBERS]))["prediction"]
    own.set_probability_threshold(0.2)
    after = load(save(own, tmp_path)).predict(typed(FRAME[NUMBERS]))["prediction"]
    assert after.sum() > before.sum()


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        ("RMSE", LATE),
        ("Poisson", LATE),
        ("Tweedie:variance_power=1.5", LATE),
        ("RMSEWithUncertainty", LATE),
        ("MultiRMSE", np.stack([LATE, 1 - LATE], axis=1)),
        ("MultiQuantile:alpha=0.1,0.9", LATE),
    ],
)
def test_numbers_are_what_the_regressor_answers(tmp_path: Path, loss: str, targets: Any) -> None:
    own = catboost.CatBoostRegressor(loss_function=loss, **QUICK).fit(FRAME[NUMBERS], targets)
    model = load(save(own, tmp_path))
    answers = model.predict(typed(FRAME[NUMBERS]))
    np.testing.assert_array_equal(answers["prediction"], own.predict(FRAME[NUMBERS]))
    assert model.signature.outputs[0].shape == (-1, *answers["prediction"].shape[1:])


def test_several_labels_at_once_have_a_score_each(tmp_path: Path) -> None:
    targets = np.stack([LATE, (FRAME["hour"] > 12).to_numpy()], axis=1).astype(int)
    own = catboost.CatBoostClassifier(loss_function="MultiLogloss", **QUICK).fit(FRAME[NUMBERS], targets)
    answers = load(save(own, tmp_path)).predict(typed(FRAME[NUMBERS]))
    np.testing.assert_array_equal(answers["prediction"], own.predict(FRAME[NUMBERS]))
    np.testing.assert_array_equal(answers["scores"], own.predict_proba(FRAME[NUMBERS]))


def test_a_model_of_an_array_takes_one_tensor(tmp_path: Path) -> None:
    values = FRAME[NUMBERS].to_numpy()
    own = catboost.CatBoostRegressor(**QUICK).fit(values, LATE)
    model = load(save(own, tmp_path))
    assert model.signature.kind == "tensors"
    np.testing.assert_array_equal(model.predict({"input": values})["prediction"], own.predict(values))


@pytest.mark.parametrize("form", ["cbm", "json"])
def test_categories_are_texts_known_or_not(classifier: Any, tmp_path: Path, form: str) -> None:
    frame = with_texts(FRAME).head(8)
    frame.loc[3, "carrier"] = "never seen"
    model = load(save(classifier, tmp_path, form))
    assert [spec.datatype for spec in model.signature.inputs] == ["FP64", "FP64", "FP64", "BYTES"]
    reread = catboost.CatBoostClassifier().load_model(str(tmp_path / f"model.{form}"), format=form)
    np.testing.assert_array_equal(model.predict(typed(frame))["probabilities"], reread.predict_proba(frame))
    one_by_one = [model.predict({n: c[row : row + 1] for n, c in typed(frame).items()}) for row in range(len(frame))]
    np.testing.assert_array_equal(
        np.concatenate([answer["probabilities"] for answer in one_by_one]), reread.predict_proba(frame)
    )


def test_a_missing_category_is_the_text_that_the_user_names_and_an_error_otherwise(
    classifier: Any, tmp_path: Path
) -> None:
    asked = FRAME.head(20)
    assert asked["carrier"].isna().any()
    path = save(classifier, tmp_path)
    with pytest.raises(ValueRefused) as caught:
        load(path).predict(typed(asked))
    assert caught.value.subject == "carrier[0]"
    assert caught.value.message == "field 'carrier', row 0: CatBoost has no missing category"
    answers = load(path, settings={"missingText": "nan"}).predict(typed(asked))
    np.testing.assert_array_equal(answers["probabilities"], classifier.predict_proba(with_texts(asked)))


def test_a_missing_number_is_answered_as_catboost_does(classifier: Any, tmp_path: Path) -> None:
    frame = with_texts(FRAME).head(12)
    assert frame["distance"].isna().any()
    answers = load(save(classifier, tmp_path)).predict(typed(frame))
    np.testing.assert_array_equal(answers["probabilities"], classifier.predict_proba(frame))


def test_whole_numbers_as_categories_are_typed_by_the_sample(tmp_path: Path) -> None:
    frame = FRAME[["distance", "month"]]
    own = catboost.CatBoostRegressor(cat_features=["month"], **QUICK).fit(frame, LATE)
    model = load(save(own, tmp_path), sample=records(frame.head(3)))
    assert [spec.datatype for spec in model.signature.inputs] == ["FP64", "INT64"]
    columns = {**typed(frame), "month": frame["month"].to_numpy(dtype=np.int64)}
    np.testing.assert_array_equal(model.predict(columns)["prediction"], own.predict(frame))
    texts = {**columns, "month": columns["month"].astype(str).astype(object)}
    np.testing.assert_array_equal(load(tmp_path / "model.cbm").predict(texts)["prediction"], own.predict(frame))


@pytest.mark.parametrize("is_category", [False, True])
def test_true_and_false_are_typed_by_the_sample(tmp_path: Path, *, is_category: bool) -> None:
    frame = FRAME[["distance"]].assign(is_late=FRAME["hour"] > 14)
    chosen = ["is_late"] if is_category else []
    own = catboost.CatBoostRegressor(cat_features=chosen, **QUICK).fit(frame, LATE)
    model = load(save(own, tmp_path), sample=records(frame.head(3)))
    assert [spec.datatype for spec in model.signature.inputs] == ["FP64", "BOOL"]
    columns = {"distance": frame["distance"].to_numpy(), "is_late": frame["is_late"].to_numpy()}
    np.testing.assert_array_equal(model.predict(columns)["prediction"], own.predict(frame))


def test_labels_of_the_user_replace_the_numbers(tmp_path: Path) -> None:
    own = catboost.CatBoostClassifier(**QUICK).fit(FRAME[NUMBERS], LATE)
    model = load(save(own, tmp_path), settings={"labels": ["on time", "late"]})
    answers = model.predict(typed(FRAME[NUMBERS]))["prediction"]
    np.testing.assert_array_equal(answers, np.where(own.predict(FRAME[NUMBERS]) == 1, "late", "on time"))
    with pytest.raises(InvalidInput, match="labels in the settings do not fit"):
        load(tmp_path / "model.cbm", settings={"labels": ["one"]})


def test_the_content_says_what_it_is_and_which_version_wrote_it(classifier: Any, tmp_path: Path) -> None:
    for form in ("cbm", "json"):
        path = save(classifier, tmp_path, form).rename(tmp_path / f"renamed-{form}.bin")
        found = [seen for runtime in runtimes() if (seen := runtime.recognise(ArtifactFiles(path))) is not None]
        assert [(seen.runtime, seen.format) for seen in found] == [("catboost", f"catboost-{form}")]
        assert found[0].framework_version == catboost.__version__
        assert not found[0].needs_trust


def test_files_cut_short_are_refused(classifier: Any, tmp_path: Path) -> None:
    for form in ("cbm", "json"):
        whole = save(classifier, tmp_path, form).read_bytes()
        for part in (20, len(whole) // 3, len(whole) - 2000, len(whole) - 1):
            path = tmp_path / "cut"
            path.write_bytes(whole[:part])
            with pytest.raises(InvalidInput):
                check_artifact(path)


def test_a_file_that_crashes_catboost_is_refused_and_harms_nobody(classifier: Any, tmp_path: Path) -> None:
    path = save(classifier, tmp_path)
    whole = path.read_bytes()
    # Its description is a tree of offsets, which CatBoost follows without a look.
    path.write_bytes(whole[:8] + b"\xff" * 64 + whole[72:])
    with pytest.raises(InvalidInput):
        asyncio.run(build_bundle(BuildRequest(path), tmp_path / "bundles"))


def test_a_pickled_wrapper_needs_trust_and_answers_the_same(classifier: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(classifier))
    _, recognition = inspect_artifact(path)
    assert (recognition.runtime, recognition.needs_trust) == ("catboost", True)
    with pytest.raises(NotTrusted):
        load(path)
    frame = with_texts(FRAME)
    np.testing.assert_array_equal(
        load(path, trusted=True).predict(typed(frame))["probabilities"], classifier.predict_proba(frame)
    )


def test_unknown_settings_are_refused(classifier: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no setting 'missingtext'"):
        load(save(classifier, tmp_path), settings={"missingtext": "nan"})


def test_a_replica_answers_as_catboost(classifier: Any, tmp_path: Path) -> None:
    rows = records(FRAME.head(8))
    sample = tmp_path / "rows.json"
    sample.write_text(json.dumps(rows))
    request = BuildRequest(save(classifier, tmp_path), sample_path=sample, settings={"missingText": "nan"})
    bundle = asyncio.run(build_bundle(request, tmp_path / "bundles"))
    with replica(bundle.folder, tmp_path / "run") as running:
        response = running.client.post("/predict", json={"records": rows})
        assert response.status_code == 200, response.text
        assert running.log_lines()
        assert running.stop() == 0
    verify = with_texts(FRAME.head(8))
    answered = response.json()["predictions"]
    assert [row["prediction"] for row in answered] == classifier.predict(verify).tolist()
    probabilities = [[row["probabilities"][label] for label in classifier.classes_] for row in answered]
    np.testing.assert_array_equal(probabilities, classifier.predict_proba(verify))
