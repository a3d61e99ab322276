"""Small real models, trained in milliseconds, each with rows and the answers that its own framework gives to them.

Every function trains on the same synthetic flights (a number with gaps, two whole numbers, a text column with gaps),
writes the model to `path` and returns what a test compares against. Another `seed` gives another model of the same
signature, which is what a second revision needs.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CARRIERS = ("AA", "DL", "UA")
COLUMNS = ("distance", "hour", "month", "carrier")


@dataclass(frozen=True)
class TrainedModel:
    """A model on disk and what it must answer.

    Attributes:
        path: the artifact.
        runtime: name of the runtime that serves it.
        columns: typed inputs for `Model.predict`, one array per input of the signature, eight rows.
        expected: the framework's own answer to `columns`, by output name.
        rows: the same inputs as JSON records (None where a value is missing).
    """

    path: Path
    runtime: str
    columns: Mapping[str, Array] = field(repr=False)
    expected: Mapping[str, Array] = field(repr=False)
    rows: Sequence[Mapping[str, Any]] = field(repr=False)


def flights(count: int = 400, seed: int = 0) -> Any:
    """Return a DataFrame of `count` synthetic flights with missing values in `distance` and `carrier`."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    distance = rng.uniform(100, 2500, count).round(1)
    distance[::11] = np.nan
    carrier = rng.choice(CARRIERS, count).astype(object)
    carrier[::13] = np.nan
    hours, months = rng.integers(5, 24, count), rng.integers(1, 13, count)
    return pd.DataFrame({"distance": distance, "hour": hours, "month": months, "carrier": carrier})


def late(frame: Any, seed: int = 0) -> Array:
    """Return whether each flight is late, as 0 and 1: later hours and one carrier are worse."""
    rng = np.random.default_rng(seed + 1)
    score = (frame["hour"].to_numpy() - 14) / 4 + (frame["carrier"] == "UA").to_numpy() * 1.5
    return np.asarray(score + rng.normal(0, 1, len(frame)) > 0.5, dtype=np.int64)


def records(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a DataFrame as JSON records, None where a value is missing."""
    return [
        {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124 (NaN)
        for row in frame.to_dict(orient="records")
    ]


def typed(frame: Any) -> dict[str, Array]:
    """Return the columns of a DataFrame as a signature types them: FP64, or objects of `str` and None."""
    import pandas as pd

    columns: dict[str, Array] = {}
    for name in frame.columns:
        if pd.api.types.is_numeric_dtype(frame[name]):
            columns[name] = frame[name].to_numpy(dtype=np.float64)
        else:
            values = frame[name].astype(object)
            columns[name] = np.array([None if pd.isna(value) else str(value) for value in values], dtype=object)
    return columns


def _pipeline(final: Any) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return make_pipeline(
        ColumnTransformer([("numbers", numbers, ["distance", "hour", "month"]), ("texts", texts, ["carrier"])]), final
    )


def write_pickled(model: Any, path: Path, form: str, compress: Any = 0) -> None:
    """Write an estimator as `form`: skops, joblib or pickle."""
    if form == "skops":
        import skops.io

        skops.io.dump(model, path)
    elif form == "joblib":
        import joblib

        joblib.dump(model, path, compress=compress)
    else:
        path.write_bytes(pickle.dumps(model))


def sklearn_classifier(
    path: Path, *, form: Literal["skops", "joblib", "pickle"] = "skops", seed: int = 0, compress: Any = 0
) -> TrainedModel:
    """Train a scikit-learn pipeline that answers "late" or "on time"."""
    from sklearn.linear_model import LogisticRegression

    frame = flights(seed=seed)
    labels = np.where(late(frame, seed) == 1, "late", "on time")
    model = _pipeline(LogisticRegression()).fit(frame, labels)
    write_pickled(model, path, form, compress)
    asked = flights(8, seed=99)
    expected = {"prediction": model.predict(asked).astype(object), "probabilities": model.predict_proba(asked)}
    return TrainedModel(path, "sklearn", typed(asked), expected, records(asked))


def sklearn_regressor(
    path: Path, *, form: Literal["skops", "joblib", "pickle"] = "skops", seed: int = 0
) -> TrainedModel:
    """Train a scikit-learn pipeline that answers a number (minutes of delay)."""
    from sklearn.linear_model import Ridge

    frame = flights(seed=seed)
    minutes = frame["hour"].to_numpy() * 2.5 + late(frame, seed) * 10.0
    model = _pipeline(Ridge()).fit(frame, minutes)
    write_pickled(model, path, form)
    asked = flights(8, seed=99)
    return TrainedModel(path, "sklearn", typed(asked), {"prediction": model.predict(asked)}, records(asked))


def sklearn_tensor_classifier(
    path: Path, *, form: Literal["skops", "joblib", "pickle"] = "skops", seed: int = 0
) -> TrainedModel:
    """Train a scikit-learn tree on a plain array: one tensor input `input` of shape [-1, 3], labels 0 and 1."""
    from sklearn.tree import DecisionTreeClassifier

    frame = flights(seed=seed)
    names = ["hour", "month", "distance"]
    matrix = frame[names].fillna(0).to_numpy(dtype=np.float64)
    model = DecisionTreeClassifier(max_depth=4, random_state=seed).fit(matrix, late(frame, seed))
    write_pickled(model, path, form)
    asked = matrix[:8]
    expected = {"prediction": model.predict(asked), "probabilities": model.predict_proba(asked)}
    return TrainedModel(path, "sklearn", {"input": asked}, expected, [{"input": row.tolist()} for row in asked])


def with_categories(frame: Any) -> Any:
    """Return the frame with its text column as a pandas categorical, which XGBoost and LightGBM ask for."""
    import pandas as pd

    return frame.assign(carrier=pd.Categorical(frame["carrier"], categories=list(CARRIERS)))


def _two_columns(positive: Array) -> Array:
    return np.stack([1 - positive, positive], axis=1)


def xgboost_model(path: Path, *, seed: int = 0, trees: int = 8) -> TrainedModel:
    """Train an XGBoost classifier with a text category; the extension of `path` (.json or .ubj) says the format."""
    import xgboost

    frame = with_categories(flights(seed=seed))
    data = xgboost.DMatrix(frame, late(frame, seed), enable_categorical=True)
    parameters = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": seed}
    booster = xgboost.train(parameters, data, num_boost_round=trees)
    booster.save_model(path)
    asked = with_categories(flights(8, seed=99))
    positive = booster.predict(xgboost.DMatrix(asked, enable_categorical=True))
    expected = {"prediction": (positive > 0.5).astype(np.int64), "probabilities": _two_columns(positive)}
    return TrainedModel(path, "xgboost", typed(asked), expected, records(flights(8, seed=99)))


def lightgbm_model(path: Path, *, seed: int = 0, trees: int = 8) -> TrainedModel:
    """Train a LightGBM classifier with a text category, written as LightGBM's text model."""
    import lightgbm

    frame = with_categories(flights(seed=seed))
    parameters = {"objective": "binary", "num_leaves": 7, "num_threads": 1, "verbose": -1, "seed": seed}
    data = lightgbm.Dataset(frame, late(frame, seed))
    booster = lightgbm.train(parameters, data, num_boost_round=trees)
    booster.save_model(path)
    asked = with_categories(flights(8, seed=99))
    positive = np.asarray(booster.predict(asked))
    expected = {"prediction": (positive > 0.5).astype(np.int64), "probabilities": _two_columns(positive)}
    return TrainedModel(path, "lightgbm", typed(asked), expected, records(flights(8, seed=99)))


def onnx_model(path: Path, *, seed: int = 0, zipmap: bool = False) -> TrainedModel:
    """Convert a scikit-learn pipeline to ONNX: one [N, 1] input per column, outputs `label` and `probabilities`.

    With `zipmap` the probabilities are a sequence of maps, which is what skl2onnx makes when it is not told otherwise.
    """
    import onnxruntime
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = flights(seed=seed).fillna({"distance": 1000.0, "carrier": "AA"})
    parts = [
        ("numbers", StandardScaler(), ["distance", "hour", "month"]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
    ]
    model = make_pipeline(ColumnTransformer(parts), LogisticRegression())
    model.fit(frame, np.where(late(frame, seed) == 1, "late", "on time"))
    number = FloatTensorType if zipmap else DoubleTensorType  # ZipMap exists for 32-bit numbers only
    kinds = [(name, number([None, 1])) for name in COLUMNS[:3]]
    options = {id(model): {"zipmap": zipmap}}
    graph = to_onnx(model, initial_types=[*kinds, ("carrier", StringTensorType([None, 1]))], options=options)
    path.write_bytes(graph.SerializeToString())

    asked = flights(8, seed=99).fillna({"distance": 1000.0, "carrier": "AA"})
    columns = typed(asked)
    if zipmap:
        columns |= {name: columns[name].astype(np.float32) for name in COLUMNS[:3]}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = session.run(names, {name: column.reshape(-1, 1) for name, column in columns.items()})
    expected = dict(zip(names, answers, strict=True))
    if zipmap:
        last = names[-1]
        expected[last] = np.array([list(row.values()) for row in expected[last]], dtype=np.float32)
    return TrainedModel(path, "onnx", columns, expected, records(asked))


def python_class(path: Path) -> TrainedModel:
    """Write a class that knows the answer by rule: late after two o'clock, and with one carrier always."""
    code = (
        "class Model:\n"
        '    inputs = [{"name": name} for name in ("distance", "hour", "month")]\n'
        '    inputs.append({"name": "carrier", "datatype": "BYTES"})\n\n'
        "    def predict(self, inputs):\n"
        '        late = (inputs["hour"] > 14) | (inputs["carrier"] == "UA")\n'
        '        return {"prediction": ["late" if one else "on time" for one in late], "late": late}\n'
    )
    path.write_text(code)
    asked = flights(8, seed=99)
    is_late = ((asked["hour"] > 14) | (asked["carrier"] == "UA")).to_numpy()
    expected = {"prediction": np.where(is_late, "late", "on time").astype(object), "late": is_late}
    return TrainedModel(path, "python", typed(asked), expected, records(asked))
