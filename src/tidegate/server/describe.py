"""Parts of the OpenAPI description of one model: its own inputs and outputs, with its own sample as the example."""

from __future__ import annotations

from typing import Any

from tidegate.artifact.bundle import Bundle
from tidegate.runtime.base import Signature, TensorSpec
from tidegate.server.protocols.values import family

Schema = dict[str, Any]

_JSON_TYPES = {"FLOAT": "number", "INT": "integer", "BOOL": "boolean", "BYTES": "string"}
_NULLABLE = frozenset({"FLOAT", "BYTES"})
_FAILURES = {
    "400": "The request does not fit the model; the error names field and row.",
    "405": "The path takes POST.",
    "408": "The rest of the body did not come in time.",
    "413": "The request is larger than this server takes.",
    "415": "The body has a form or a compression that is not taken.",
    "500": "The model failed on this request.",
    "504": "The time that the client gave the request is over.",
    "503": "The model is being loaded, or too many requests wait; try again after `Retry-After` seconds.",
}


def value_schema(spec: TensorSpec) -> Schema:
    """Return the JSON Schema of one row's value of an input or output."""
    kind = family(spec.datatype)
    scalar: Schema = {"type": [_JSON_TYPES[kind], "null"] if kind in _NULLABLE else _JSON_TYPES[kind]}
    if spec.categories is not None:
        scalar["examples"] = list(spec.categories)
    if spec.labels is not None and len(spec.shape) == 2:
        return {"type": "object", "properties": dict.fromkeys(spec.labels, scalar)}
    schema = scalar
    for size in reversed(spec.shape[1:]):
        exact = {} if size == -1 else {"minItems": size, "maxItems": size}
        schema = {"type": "array", "items": schema, **exact}
    return schema


def record_schema(specs: tuple[TensorSpec, ...]) -> Schema:
    """Return the JSON Schema of one row as an object."""
    return {
        "type": "object",
        "required": [spec.name for spec in specs],
        "properties": {spec.name: value_schema(spec) for spec in specs},
    }


def predict_request(signature: Signature) -> Schema:
    """Return the JSON Schema of the bodies that `/predict` takes."""
    record = {"$ref": "#/components/schemas/Record"}
    records = {"type": "array", "minItems": 1, "items": record}
    columns = {
        "type": "object",
        "required": [spec.name for spec in signature.inputs],
        "properties": {spec.name: {"type": "array", "items": value_schema(spec)} for spec in signature.inputs},
    }
    forms: list[Schema] = [
        records,
        {"type": "object", "required": ["records"], "properties": {"records": records}},
        {"type": "object", "required": ["columns"], "properties": {"columns": columns}},
        record,
    ]
    if len(signature.inputs) == 1:
        forms.append({"type": "array", "minItems": 1, "items": value_schema(signature.inputs[0])})
    return {"anyOf": forms}


def tensor_schema(*, with_data: bool) -> Schema:
    """Return the JSON Schema of a tensor of the Open Inference Protocol."""
    properties: Schema = {"name": {"type": "string"}, "parameters": {"type": "object"}}
    if with_data:
        properties |= {
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array", "items": {}},
        }
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"] if with_data else ["name"],
        "properties": properties,
    }


def infer_example(bundle: Bundle) -> dict[str, Any]:
    """Return the bundle's sample as a request of the Open Inference Protocol."""
    rows = list(bundle.sample)
    return {
        "inputs": [
            {
                "name": spec.name,
                "shape": _shape_of([row[spec.name] for row in rows], len(spec.shape)),
                "datatype": spec.datatype,
                "data": [row[spec.name] for row in rows],
            }
            for spec in bundle.signature.inputs
        ]
    }


def _shape_of(data: Any, dimensions: int) -> list[int]:
    shape = []
    for _ in range(dimensions):
        shape.append(len(data) if isinstance(data, list) else 1)
        data = data[0] if isinstance(data, list) and data else None
    return shape


def operation(summary: str, name: str, request: Schema, example: Any, answer: Schema) -> Schema:
    """Return the description of an inference path whose bodies are JSON; others may be added to it."""

    def content(schema: Schema, **more: Any) -> Schema:
        return {"application/json": {"schema": schema, **more}}

    failures = {
        code: {"description": text, "content": content({"$ref": "#/components/schemas/Error"})}
        for code, text in _FAILURES.items()
    }
    return {
        "tags": ["inference"],
        "summary": summary,
        "operationId": name,
        "requestBody": {"required": True, "content": content(request, example=example)},
        "responses": {
            "200": {"description": "One answer per row.", "content": content(answer)},
            **failures,
        },
    }
