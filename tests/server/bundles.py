"""Bundles of small real models, and models that misbehave as real ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.models import Array, TrainedModel, flights, late, records, typed, write_pickled
from tidegate.artifact.bundle import Bundle, BundleContent, Environment, write_bundle
from tidegate.runtime.base import NUMPY_DTYPES, ArtifactFiles, LoadOptions
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.signatures import signature_to_dict

#: Where ONNX has another name for a datatype.
ONNX_TYPES = {"FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "BYTES": "STRING"}
SLOW_COLUMNS = tuple(f"x{index}" for index in range(8))


def write_bundle_of(trained: TrainedModel, folder: Path, **settings: Any) -> Bundle:
    """Load the model once, for its signature, and write its bundle under `folder`."""
    rows = list(trained.rows)[:3]
    runtime, files = get_runtime(trained.runtime), ArtifactFiles(trained.path)
    recognition = runtime.recognise(files)
    assert recognition is not None
    model = runtime.load(files, LoadOptions(trusted=True, sample=rows, settings=settings))
    content = BundleContent(
        artifact=trained.path,
        runtime=trained.runtime,
        format=recognition.format,
        framework_version=recognition.framework_version,
        trusted=True,
        signature=signature_to_dict(model.signature),
        environment=Environment(python="3", packages={}),
        memory_bytes=0,
        settings=settings,
        sample=rows,
    )
    return write_bundle(content, folder)


def model_that_raises_below_zero(path: Path) -> TrainedModel:
    """Train a logistic regression behind a Box-Cox transformation, which raises on numbers that are not above zero."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PowerTransformer

    frame = flights()[["distance", "hour"]].fillna(500.0).clip(lower=1)
    model = make_pipeline(PowerTransformer("box-cox"), LogisticRegression()).fit(frame, late(flights()))
    write_pickled(model, path, "skops")
    asked = frame.head(3)
    expected = {"prediction": model.predict(asked), "probabilities": model.predict_proba(asked)}
    return TrainedModel(path, "sklearn", typed(asked), expected, records(asked))


def slow_model(path: Path, points: int = 2000) -> TrainedModel:
    """Train nearest neighbours with a metric that no index helps: time grows with the rows of a request."""
    import pandas as pd
    from sklearn.neighbors import KNeighborsRegressor

    values = np.random.default_rng(0).uniform(size=(points, len(SLOW_COLUMNS)))
    frame = pd.DataFrame(values, columns=list(SLOW_COLUMNS))
    model = KNeighborsRegressor(algorithm="brute", metric="minkowski", p=1.5).fit(frame, values.sum(axis=1))
    write_pickled(model, path, "skops")
    asked = frame.head(3)
    return TrainedModel(path, "sklearn", typed(asked), {"prediction": model.predict(asked)}, records(asked))


def slow_request(rows: int) -> dict[str, dict[str, list[float]]]:
    """Return a request of `rows` rows to the slow model."""
    return {"columns": {name: [0.5] * rows for name in SLOW_COLUMNS}}


def waiting_model(path: Path, release: Path) -> TrainedModel:
    """Write a class that answers a number with itself and its process, one below zero once the file `release` is there.

    So a request is in flight for as long as a test says, whatever else the machine does.
    """
    path.write_text(
        "import os, pathlib, time\n\n"
        "class Model:\n"
        '    inputs = [{"name": "x"}]\n\n'
        "    def predict(self, inputs):\n"
        f'        while (inputs["x"] < 0).any() and not pathlib.Path({str(release)!r}).exists():\n'
        "            time.sleep(0.005)\n"
        '        return {"y": inputs["x"], "process": [os.getpid()] * len(inputs["x"])}\n'
    )
    values = np.arange(3.0)
    rows = [{"x": value} for value in values.tolist()]
    return TrainedModel(path, "python", {"x": values}, {"y": values}, rows)


def echo_model(path: Path) -> TrainedModel:
    """Build a network that answers every input as it is: one tensor `[n, 2]` of each datatype, outputs `out_...`."""
    from onnx import TensorProto, checker, helper, save

    kinds = {
        name: getattr(TensorProto, ONNX_TYPES.get(name, name)) for name in NUMPY_DTYPES
    }  # ONNX names most datatypes as the protocol does
    shape = ["n", 2]
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in kinds],
        "echo",
        [helper.make_tensor_value_info(f"in_{name}", kind, shape) for name, kind in kinds.items()],
        [helper.make_tensor_value_info(f"out_{name}", kind, shape) for name, kind in kinds.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)
    columns = {f"in_{name}": echo_values(name, 3) for name in kinds}
    rows = [{name: array[row].tolist() for name, array in columns.items()} for row in range(3)]
    expected = {name.replace("in_", "out_", 1): array for name, array in columns.items()}
    return TrainedModel(path, "onnx", columns, expected, rows)


def echo_values(datatype: str, rows: int) -> Array:
    """Return values of shape `[rows, 2]` for the echo model, the datatype's extremes among them."""
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind == "O":
        texts = ["", "late", "ü\x00\u20ac\U0001f6eb", "a" * 300]
        return np.array([texts[index % 4] for index in range(2 * rows)], dtype=object).reshape(rows, 2)
    if dtype.kind == "b":
        return (np.arange(2 * rows) % 3 == 0).reshape(rows, 2)
    bounds: np.finfo[Any] | np.iinfo[Any] = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.resize(np.array([bounds.min, bounds.max, 0, 1], dtype=dtype), (rows, 2))
