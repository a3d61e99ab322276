"""The inputs of an MLflow signature: columns or tensors of ours, or the reason why they cannot be served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Datatype, TensorSpec

#: The name of the only tensor of a signature that gives it none.
TENSOR_INPUT = "input"

#: `mlflow.types.DataType`.
_COLUMNS: dict[str, Datatype] = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
#: By the name of the NumPy dtype.
_NUMBERS: dict[str, Datatype] = {str(NUMPY_DTYPES[kind]): kind for kind in get_args(Datatype) if kind != "BYTES"}
_TENSORS: dict[str, Datatype] = {**_NUMBERS, "str": "BYTES", "object": "BYTES"}
_WAYS_OUT = {
    "datetime": "Log the model with a text column (isoformat) or a number (a timestamp), and convert in the model.",
    "binary": "Log the model with a text column, e.g. in base64, and decode in the model.",
}


def specs_from_schema(entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[TensorSpec, ...], bool]:
    """Return the inputs, and whether they are columns of a table (False: tensors).

    Args:
        entries: `signature.inputs` of an MLmodel.

    Raises:
        InvalidInput: one is of a type that cannot be served (dates, bytes, nested objects), or has no name.
    """
    tensors = [entry.get("type") == "tensor" for entry in entries]
    if not entries or any(tensors) != all(tensors):
        raise _unusable("inputs", "neither columns nor tensors", "columns, or tensors")
    if not all(tensors):
        specs = tuple(_column(entry) for entry in entries)
    else:
        specs = tuple(_tensor(entry, is_only=len(entries) == 1) for entry in entries)
    if len({spec.name for spec in specs}) != len(specs):
        raise _unusable("inputs", "a name twice", "different names")
    return specs, not any(tensors)


def _column(entry: Mapping[str, Any]) -> TensorSpec:
    name, kind = entry.get("name"), entry.get("type")
    if not isinstance(name, str) or not name:
        raise _unusable("inputs", "a column without a name", "a name for every column")
    if not isinstance(kind, str) or kind not in _COLUMNS:
        raise _unusable(name, str(kind)[:60], ", ".join(_COLUMNS), _WAYS_OUT.get(str(kind)))
    return TensorSpec(name, _COLUMNS[kind])


def _tensor(entry: Mapping[str, Any], *, is_only: bool) -> TensorSpec:
    name, spec = entry.get("name"), entry.get("tensor-spec")
    if name is None and is_only:
        name = TENSOR_INPUT
    if not isinstance(name, str) or not name or not isinstance(spec, Mapping):
        raise _unusable("inputs", "a tensor without a name", "a name for each of several tensors")
    dtype, shape = spec.get("dtype"), spec.get("shape")
    if not isinstance(dtype, str) or dtype not in _TENSORS:
        way_out = _WAYS_OUT["datetime"] if "datetime" in str(dtype) else None
        raise _unusable(name, str(dtype)[:60], ", ".join(_TENSORS), way_out)
    if not isinstance(shape, list) or not shape or any(type(size) is not int or size < -1 for size in shape):
        raise _unusable(name, f"the shape {shape}", "a shape whose first dimension is for the rows")
    return TensorSpec(name, _TENSORS[dtype], tuple(shape))


def _unusable(name: str, got: str, expected: str, hint: str | None = None) -> InvalidInput:
    return InvalidInput(
        f"The signature in MLmodel has an input that cannot be served: {name}.",
        subject=name,
        expected=expected,
        got=got,
        hint=hint,
    )
