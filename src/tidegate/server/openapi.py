"""The whole OpenAPI document of a replica: what FastAPI knows of its routes, and what it cannot know.

The hot paths are not FastAPI's, so they are described here; and of its own routes FastAPI does not see which model they
are about, which statuses they answer, and in which form.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from tidegate.artifact.bundle import Bundle
from tidegate.server.describe import (
    Schema,
    infer_example,
    operation,
    predict_request,
    record_schema,
    tensor_schema,
    value_schema,
)
from tidegate.server.protocols.base import Identity
from tidegate.server.protocols.media import Form
from tidegate.server.protocols.tensorflow_serving import scores_of, value_of
from tidegate.server.tensorflow_serving import LABEL

_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "field": {"type": "string"},
        "expected": {"type": "string"},
        "got": {"type": "string"},
        "hint": {"type": "string"},
    },
}
_BINARY: Schema = {"type": "string", "format": "binary"}
_BINARY_FORMS = (Form.ARROW_STREAM, Form.ARROW_FILE, Form.PARQUET)
_ROWS_SHOWN = 2


def complete(document: Schema, bundle: Bundle, identity: Identity) -> Schema:
    """Return a document that FastAPI made with everything that it could not know."""
    signature = bundle.signature
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {
        "Record": record_schema(signature.inputs),
        "Prediction": record_schema(signature.outputs),
        "Error": _ERROR,
        "InferTensor": tensor_schema(with_data=True),
        "RequestedOutput": tensor_schema(with_data=False),
    }
    _complete_routes(document, identity)
    document["paths"] |= {"/predict": {"post": _predict(bundle)}, **_model_paths(bundle, identity)}
    return document


def _model_paths(bundle: Bundle, identity: Identity) -> dict[str, Schema]:
    """Return the inference paths that have the model's name, those that name its version or label among them."""
    model_v1, model_v2 = f"/v1/models/{identity.model_name}", f"/v2/models/{identity.model_name}"
    version = f"/versions/{identity.model_version}"
    infer, calls = _infer(bundle), _tensorflow_serving(bundle)
    paths = {f"{model_v2}{part}/infer": _at(part, infer) for part in ("", version)}
    for part in ("", version, f"/labels/{LABEL}"):
        paths |= {f"{model_v1}{part}:{method}": _at(part, described) for method, described in calls.items()}
    return paths


def _at(part: str, described: Schema) -> Schema:
    """Return an operation at the path that has this part in it; the names of operations differ, as OpenAPI asks for."""
    kind = part.split("/")[1].removesuffix("s").capitalize() if part else ""
    return {"post": {**described, "operationId": described["operationId"] + kind}}


def _complete_routes(document: Schema, identity: Identity) -> None:
    """Say of FastAPI's routes which model they are about and which errors they have."""
    known = {"name": identity.model_name, "version": identity.model_version, "label": LABEL}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for path, methods in document["paths"].items():
        for described in methods.values():
            responses = described["responses"]
            responses.pop("422", None)  # path parameters are text, and any text is one
            for parameter in described.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] in known:
                    parameter["example"] = known[parameter["name"]]
                    responses["404"] = {"description": "Another model is served here.", "content": error}
            if path.endswith("/ready"):
                responses["503"] = {"description": "Not ready.", "content": responses["200"]["content"]}
            if path == "/metrics":
                responses["200"]["content"] = {
                    kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/openmetrics-text")
                }
            if path.startswith("/v2/repository"):
                responses["400"] = {"description": "The body is no such request.", "content": error}
                responses["403"] = {"description": "This server takes no models over HTTP.", "content": error}
                responses["404"] = {"description": "There is no such model.", "content": error}
                responses["409"] = {"description": "It cannot be done now.", "content": error}
                responses["503"] = {"description": "It cannot be done now.", "content": error}


def _predict(bundle: Bundle) -> Schema:
    signature, sample = bundle.signature, list(bundle.sample)
    answer = {
        "type": "object",
        "required": ["predictions", "model", "revision"],
        "properties": {
            "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
            "model": {"type": "string"},
            "revision": {"type": "integer"},
        },
    }
    described = operation(
        "Predict, with the model's inputs by name", "predict", predict_request(signature), sample, answer
    )
    described["description"] = (
        "JSON, CSV with a header row, Arrow IPC or Parquet, by `Content-Type`; the answer is JSON, or what `Accept` "
        "asks for. As a table, a tensor of k values is the columns `name.0` to `name.k-1`, and an output with class "
        "labels one column per class, `name.label`. Arrow and Parquet need the extra `arrow` on the server."
    )
    binary = {form.value.decode(): {"schema": _BINARY} for form in _BINARY_FORMS}
    requests = described["requestBody"]["content"]
    if signature.kind == "columns":
        names = [spec.name for spec in signature.inputs]
        requests["text/csv"] = {"schema": {"type": "string"}, "example": _csv_example(names, sample)}
        requests |= binary
    responses = described["responses"]
    responses["200"]["content"] |= {"text/csv": {"schema": {"type": "string"}}, **binary}
    error = responses["400"]["content"]
    responses["406"] = {"description": "No answer can be given in a form that `Accept` names.", "content": error}
    return described


def _csv_example(names: list[str], sample: Sequence[Mapping[str, Any]]) -> str:
    target = StringIO()
    writer = csv.DictWriter(target, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(sample[:_ROWS_SHOWN])
    return target.getvalue()


def _infer(bundle: Bundle) -> Schema:
    tensors = {"type": "array", "items": {"$ref": "#/components/schemas/InferTensor"}}
    request = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": tensors,
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/RequestedOutput"}},
        },
    }
    answer = {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": tensors,
        },
    }
    described = operation("Infer, by the Open Inference Protocol v2", "infer", request, infer_example(bundle), answer)
    described["description"] = (
        "Tensors as JSON, or as bytes after it by the binary tensor data extension: the header "
        "`Inference-Header-Content-Length` says where the JSON ends, the parameter `binary_data_size` of each tensor "
        "how many bytes are its own, and `binary_data_output` asks for the same in the answer."
    )
    described["responses"]["200"]["content"]["application/octet-stream"] = {"schema": _BINARY}
    return described


def _tensorflow_serving(bundle: Bundle) -> dict[str, Schema]:
    """Return the calls of TensorFlow Serving's API that this model can answer, by their names."""
    signature, sample = bundle.signature, list(bundle.sample)
    columns = {
        "type": "object",
        "required": [spec.name for spec in signature.inputs],
        "properties": {spec.name: {"type": "array", "items": value_schema(spec)} for spec in signature.inputs},
    }
    record: Schema = {"$ref": "#/components/schemas/Record"}
    rows: list[Schema] = [{"type": "array", "minItems": 1, "items": record}]
    inputs: list[Schema] = [columns]
    if len(signature.inputs) == 1:
        bare = {"type": "array", "minItems": 1, "items": value_schema(signature.inputs[0])}
        rows.append(bare)
        inputs.append(bare)
    name = {"type": "string", "enum": ["serving_default"]}
    predict = {
        "oneOf": [
            {"type": "object", "required": [key], "properties": {"signature_name": name, key: {"anyOf": forms}}}
            for key, forms in (("instances", rows), ("inputs", inputs))
        ]
    }
    examples = {
        "type": "object",
        "required": ["examples"],
        "properties": {
            "signature_name": {"type": "string"},
            "context": {"type": "object"},
            "examples": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        },
    }
    results: Schema = {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": {}}},
    }
    answers: Schema = {"type": "object", "properties": {"predictions": {"type": "array"}, "outputs": {}}}
    calls = {
        "predict": operation("Predict, as TensorFlow Serving", "tfPredict", predict, {"instances": sample}, answers)
    }
    for method, able in (("classify", scores_of(signature)), ("regress", value_of(signature))):
        if able is not None:
            calls[method] = operation(
                f"{method.capitalize()}, as TensorFlow Serving",
                f"tf{method.capitalize()}",
                examples,
                {"examples": sample},
                results,
            )
    for described in calls.values():
        described["tags"] = ["TensorFlow Serving"]
    return calls
