"""Models of flights as ONNX graphs, whose replicas are ready in a fraction of the time that other frameworks import.

Whole stories start dozens of replicas; what a framework is like is the matter of `tests/runtime` and of the stories
of real models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARRIERS = ("AA", "DL", "UA")


def write_flights(path: Path, *, from_hour: float, ua_hours: float = 6.0) -> Path:
    """Write a classifier of the columns of `support.models.flights`, whose missing values it takes; return the path.

    Args:
        path: where to.
        from_hour: the hour from which a flight is late rather than not.
        ua_hours: by how many hours earlier those of one carrier are.

    Its outputs are `prediction`, 0 or 1, and `probabilities` of both.
    """
    from onnx import TensorProto, checker, helper

    def column(name: str, kind: int, width: int | str = 1) -> Any:
        return helper.make_tensor_value_info(name, kind, ["rows", width])

    numbers = ("distance", "hour", "month")
    # Of distance, hour, month and hours of the carrier, for the odds of being late.
    weights, odds_at_zero = [0.00005, 0.4, 0.01, 0.4], -0.4 * from_hour
    nodes = [
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
    graph = helper.make_graph(
        nodes,
        "flights",
        [*(column(name, TensorProto.DOUBLE) for name in numbers), column("carrier", TensorProto.STRING)],
        [
            helper.make_tensor_value_info("prediction", TensorProto.INT64, ["rows"]),
            column("probabilities", TensorProto.FLOAT, 2),
        ],
        [helper.make_tensor("usual", TensorProto.DOUBLE, [1], [1000.0])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
