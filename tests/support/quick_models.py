"""Models of flights as ONNX graphs, whose replicas are ready in a fraction of the time that other frameworks import.

Whole stories start dozens of replicas; what a framework is like is the matter of `tests/runtime` and of the stories
of real models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.models import CARRIERS, TrainedModel, typed

_NUMBERS = ("distance", "hour", "month")


def write_flights(path: Path, *, from_hour: float = 14.0, ua_hours: float = 6.0) -> Path:
    """Write a classifier of the columns of `support.models.flights`, whose missing values it takes; return the path.

    Args:
        path: where to.
        from_hour: the hour from which a flight is late rather than not.
        ua_hours: by how many hours earlier those of one carrier are.

    Its outputs are `prediction`, 0 or 1, and `probabilities` of both.
    """
    from onnx import TensorProto, helper

    # Of distance, hour, month and hours of the carrier, for the odds of being late.
    weights, odds_at_zero = [0.00005, 0.4, 0.01, 0.4], -0.4 * from_hour
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["all"],
            ["label", "probabilities"],
            domain="ai.onnx.ml",
            classlabels_ints=[0, 1],
            coefficients=[*(-weight / 2 for weight in weights), *(weight / 2 for weight in weights)],
            intercepts=[-odds_at_zero / 2, odds_at_zero / 2],
            multi_class=0,
            post_transform="SOFTMAX",
        ),
        helper.make_node("Identity", ["label"], ["prediction"]),
    ]
    prediction = helper.make_tensor_value_info("prediction", TensorProto.INT64, ["rows"])
    return _write(path, nodes, [prediction, _column("probabilities", TensorProto.FLOAT, 2)], ua_hours=ua_hours)


def write_minutes(path: Path, *, an_hour: float = 2.5) -> Path:
    """Write a regressor of the same columns, whose only output is `prediction`, minutes of delay; return the path.

    Args:
        path: where to.
        an_hour: by how many minutes a flight is later for each hour of the day.
    """
    from onnx import TensorProto, helper

    weights = [0.0, an_hour, 0.0, an_hour]
    node = helper.make_node("LinearRegressor", ["all"], ["prediction"], domain="ai.onnx.ml", coefficients=weights)
    return _write(path, [node], [_column("prediction", TensorProto.FLOAT)], ua_hours=6.0)


def flights_model(path: Path) -> TrainedModel:
    """Write the classifier; return with it what it is asked and what ONNX Runtime itself answers."""
    import onnxruntime

    columns: dict[str, Any] = {
        "distance": np.array([800.0, np.nan, 2400.0, 120.0]),
        "hour": np.array([17.0, 6.0, 14.0, 23.0]),
        "month": np.array([6.0, 1.0, 12.0, 7.0]),
        "carrier": np.array(["UA", "AA", "DL", "AA"], dtype=object),
    }
    session = onnxruntime.InferenceSession(write_flights(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = session.run(names, {name: column.reshape(-1, 1) for name, column in columns.items()})
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    rows = [
        {name: None if value != value else value for name, value in zip(columns, row, strict=True)}  # noqa: PLR0124 (NaN)
        for row in values
    ]
    return TrainedModel(path, "onnx", columns, dict(zip(names, answers, strict=True)), rows)


def with_answers(model: Path, frame: Any) -> Any:
    """Return rows of `support.models.flights`, and what the classifier answers to each, as replicas count outputs."""
    import onnxruntime

    columns = {name: column.reshape(-1, 1) for name, column in typed(frame).items()}
    columns["carrier"] = np.where(columns["carrier"] == None, "", columns["carrier"])  # noqa: E711 (of each element)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    prediction, probabilities = session.run(["prediction", "probabilities"], columns)
    return frame.assign(**{"prediction": prediction, "probabilities of 1": probabilities[:, 1]})


def _column(name: str, kind: int, width: int = 1) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, ["rows", width])


def _write(path: Path, nodes: list[Any], outputs: list[Any], *, ua_hours: float) -> Path:
    """Write a graph whose nodes take `all`: distance, hour, month, and hours of the carrier."""
    from onnx import TensorProto, checker, helper

    prepared = [
        helper.make_node("IsNaN", ["distance"], ["is_missing"]),
        helper.make_node("Where", ["is_missing", "usual", "distance"], ["known"]),
        helper.make_node("Concat", ["known", "hour", "month"], ["numbers64"], axis=1),
        helper.make_node("Cast", ["numbers64"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node(
            "LabelEncoder",
            ["carrier"],
            ["hours"],
            domain="ai.onnx.ml",
            keys_strings=list(CARRIERS),
            values_floats=[0.0, 0.0, ua_hours],
            default_float=0.0,
        ),
        helper.make_node("Concat", ["numbers", "hours"], ["all"], axis=1),
    ]
    graph = helper.make_graph(
        [*prepared, *nodes],
        "flights",
        [*(_column(name, TensorProto.DOUBLE) for name in _NUMBERS), _column("carrier", TensorProto.STRING)],
        outputs,
        [helper.make_tensor("usual", TensorProto.DOUBLE, [1], [1000.0])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
