"""How each protocol writes the same rows, and where it puts the answer.

A form turns rows into one request body and an answer's body into numbers. Tidegate is measured in two forms, because
its peers speak two: the Open Inference Protocol, and JSON as one would write it by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.serving.models import ServedModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Form:
    """One way to ask.

    Attributes:
        name: by which results and the load generator know it.
        description: for the page.
        encode: rows of a model to the request's body and the headers it needs beside `content-type`.
        decode: body of an answer to one number per row.
        content_type: of the request.
    """

    name: str
    description: str
    encode: Callable[[ServedModel, list[Any]], tuple[bytes, dict[str, str]]]
    decode: Callable[[bytes], Array]
    content_type: str = "application/json"


def _flat(values: Any) -> Array:
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _oip_tensors(model: ServedModel, rows: list[Any]) -> list[dict[str, Any]]:
    if model.input_name is not None:
        flat = [value for row in rows for value in row]
        return [{"name": model.input_name, "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": flat}]
    tensors = []
    for name in model.columns:
        tensor: dict[str, Any] = {"name": name, "shape": [len(rows), 1], "datatype": "FP64"}
        if name in model.texts:
            # MLServer takes BYTES for bytes unless told that they are text.
            tensor |= {"datatype": "BYTES", "parameters": {"content_type": "str"}}
        tensors.append({**tensor, "data": [row[name] for row in rows]})
    return tensors


def _oip(model: ServedModel, rows: list[Any]) -> tuple[bytes, dict[str, str]]:
    document: dict[str, Any] = {"inputs": _oip_tensors(model, rows)}
    if model.columns:
        # MLServer and KServe make a DataFrame of the tensors only when told so.
        document["parameters"] = {"content_type": "pd"}
    return json.dumps(document).encode(), {}


def _oip_answer(body: bytes) -> Array:
    return _flat(orjson.loads(body)["outputs"][0]["data"])


def _oip_binary(model: ServedModel, rows: list[Any]) -> tuple[bytes, dict[str, str]]:
    """Encode after the binary tensor data extension: JSON without `data`, then the tensors' bytes."""
    if model.columns:
        raise ValueError("text columns gain nothing from the binary form")
    raw = np.asarray(rows, dtype="<f4").tobytes()
    tensor: dict[str, Any] = {"name": model.input_name, "shape": [len(rows), len(rows[0])], "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": False}}).encode()
    return head + raw, {"inference-header-content-length": str(len(head))}


def _records(model: ServedModel, rows: list[Any]) -> tuple[bytes, dict[str, str]]:
    return json.dumps(rows).encode(), {}


def _records_answer(body: bytes) -> Array:
    return _flat([next(iter(prediction.values())) for prediction in orjson.loads(body)["predictions"]])


def _columns(model: ServedModel, rows: list[Any]) -> tuple[bytes, dict[str, str]]:
    if not model.columns:
        return json.dumps({"columns": {model.input_name: rows}}).encode(), {}
    return json.dumps({"columns": {name: [row[name] for row in rows] for name in model.columns}}).encode(), {}


def _data(model: ServedModel, rows: list[Any]) -> tuple[bytes, dict[str, str]]:
    return json.dumps({"data": rows}).encode(), {}


def _predictions(body: bytes) -> Array:
    return _flat(orjson.loads(body)["predictions"])


def _list(body: bytes) -> Array:
    return _flat(orjson.loads(body))


FORMS = {
    form.name: form
    for form in (
        Form("oip", "Open Inference Protocol, JSON: one tensor, or one tensor per column", _oip, _oip_answer),
        Form(
            "oip-binary",
            "Open Inference Protocol with its binary tensor extension in the request",
            _oip_binary,
            _oip_answer,
            "application/octet-stream",
        ),
        Form("records", "JSON list of rows: lists of numbers, or an object per row", _records, _records_answer),
        Form("columns", 'JSON `{"columns": {name: values}}`', _columns, _records_answer),
        Form("data", 'JSON `{"data": rows}`, answered with `{"predictions": numbers}`', _data, _predictions),
        Form("data-list", 'JSON `{"data": rows}`, answered with a list of numbers', _data, _list),
    )
}
