"""The three models that every server serves, trained on real flights, and rows to ask them about.

- `xgboost`: 200 trees of depth 6 on numbers without names, saved as JSON;
- `pipeline`: scikit-learn, scaled numbers and one-hot categories before a ridge regression, saved with joblib for
  the peers and with skops for Tidegate;
- `network`: a perceptron with two hidden layers of 32 as ONNX.

All three are regressions that give one number per row (how likely the flight is late), so that every server can be
asked for exactly the same, and training is deterministic. The rows to ask about have no gaps: not every peer's protocol
has a way to say that a number is missing.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples.flights.data import NUMBERS, TARGET, TEXTS, load_flights

SEED = 2013
TREES = 200
#: Rows that requests are made of; a request for 10,000 rows takes them all.
ROWS = 10_000
NAMES = ("xgboost", "pipeline", "network")

Array = NDArray[Any]


@dataclass(frozen=True)
class ServedModel:
    """One model as it lies on disk.

    Attributes:
        name: one of `NAMES`.
        path: the file for the peers.
        own_path: the file for Tidegate; the same one where Tidegate takes it without trust.
        columns: names of the columns, empty for a model of one nameless tensor.
        texts: those of `columns` that hold text.
        input_name: name of the one tensor; None for a model of columns.
        rows: `ROWS` rows as JSON has them: lists of numbers, or records by column.
        expected: the framework's own answer to each row, shape (ROWS,), float64.
    """

    name: str
    path: Path
    own_path: Path
    columns: tuple[str, ...]
    texts: tuple[str, ...]
    input_name: str | None
    rows: list[Any]
    expected: Array


def prepare(folder: Path) -> dict[str, ServedModel]:
    """Return the models by name; train them into `folder` unless they are there already (about 20 s)."""
    facts = folder / "models.json"
    if not facts.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _train_all(folder)
    return {name: _read(folder, name, known) for name, known in json.loads(facts.read_text()).items()}


def _read(folder: Path, name: str, known: dict[str, Any]) -> ServedModel:
    return ServedModel(
        name=name,
        path=folder / known["file"],
        own_path=folder / known["own_file"],
        columns=tuple(known["columns"]),
        texts=tuple(known["texts"]),
        input_name=known["input_name"],
        rows=json.loads((folder / f"{name}-rows.json").read_text()),
        expected=np.load(folder / f"{name}-expected.npy"),
    )


def _train_all(folder: Path) -> None:
    flights = load_flights().dropna(subset=[*NUMBERS, TARGET])
    training = flights[flights["month"] <= 8].sample(60_000, random_state=SEED)
    asked = flights[flights["month"] > 8].sample(ROWS, random_state=SEED).round(dict.fromkeys(NUMBERS, 4))
    known = {
        "xgboost": _train_xgboost(folder, training, asked),
        "pipeline": _train_pipeline(folder, training, asked),
        "network": _train_network(folder, training, asked),
    }
    # Last, so that a training that was cut short is begun again.
    (folder / "models.json").write_text(json.dumps(known, indent=2) + "\n")


def _keep(folder: Path, name: str, rows: list[Any], expected: Array) -> None:
    (folder / f"{name}-rows.json").write_text(json.dumps(rows))
    np.save(folder / f"{name}-expected.npy", np.asarray(expected, dtype=np.float64))


def _matrix(flights: pd.DataFrame) -> Array:
    return flights[list(NUMBERS)].to_numpy(dtype=np.float32)


def _train_xgboost(folder: Path, training: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    import xgboost

    parameters = {"max_depth": 6, "eta": 0.1, "tree_method": "hist", "nthread": 1, "seed": SEED}
    labelled = xgboost.DMatrix(_matrix(training), training[TARGET].to_numpy(dtype=np.float32))
    booster = xgboost.train(parameters, labelled, num_boost_round=TREES)
    booster.save_model(folder / "model.json")
    expected = booster.predict(xgboost.DMatrix(_matrix(asked)))
    _keep(folder, "xgboost", asked[list(NUMBERS)].to_numpy().tolist(), expected)
    return {"file": "model.json", "own_file": "model.json", "columns": [], "texts": [], "input_name": "input"}


def _train_pipeline(folder: Path, training: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    import joblib
    import skops.io
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = [*NUMBERS, *TEXTS]
    categories = OneHotEncoder(handle_unknown="ignore")
    features = ColumnTransformer([("numbers", StandardScaler(), list(NUMBERS)), ("texts", categories, list(TEXTS))])
    pipeline = make_pipeline(features, Ridge(random_state=SEED)).fit(training[columns], training[TARGET])
    joblib.dump(pipeline, folder / "model.joblib")
    skops.io.dump(pipeline, folder / "pipeline.skops")
    rows = asked[columns].astype(object).to_dict(orient="records")
    _keep(folder, "pipeline", rows, pipeline.predict(asked[columns]))
    return {
        "file": "model.joblib",
        "own_file": "pipeline.skops",
        "columns": columns,
        "texts": list(TEXTS),
        "input_name": None,
    }


def _train_network(folder: Path, training: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    import onnxruntime
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    perceptron = MLPRegressor(hidden_layer_sizes=(32, 32), max_iter=10, random_state=SEED)
    with warnings.catch_warnings(category=ConvergenceWarning, action="ignore"):  # it need not be a good network
        network = make_pipeline(StandardScaler(), perceptron).fit(_matrix(training), training[TARGET])
    shape = FloatTensorType([None, len(NUMBERS)])
    (folder / "model.onnx").write_bytes(
        convert_sklearn(network, initial_types=[("input", shape)], target_opset=17).SerializeToString()
    )
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"input": _matrix(asked)})
    _keep(folder, "network", asked[list(NUMBERS)].to_numpy().tolist(), np.asarray(expected).reshape(-1))
    return {"file": "model.onnx", "own_file": "model.onnx", "columns": [], "texts": [], "input_name": "input"}
