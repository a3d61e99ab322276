"""Rows as people write them (JSON records) to typed inputs, and a made-up row where nobody gave one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Array, Signature, TensorSpec

Row = Mapping[str, Any]

#: Stands for a number that nobody gave: unlike 0 it has a logarithm and can be divided by.
_SOME_NUMBER = 1.0


def made_up_value(spec: TensorSpec) -> Any:
    """Return a JSON value for one row of an input: the first known category, an empty text, or ones."""
    shape = [size if size > 0 else 1 for size in spec.shape[1:]]
    if spec.datatype == "BYTES":
        value: Any = spec.categories[0] if spec.categories else ""
    elif spec.datatype == "BOOL":
        value = False
    else:
        value = _SOME_NUMBER if spec.datatype.startswith("FP") else 1
    for size in reversed(shape):
        value = [value] * size
    return value


def made_up_row(specs: Sequence[TensorSpec], example: Row | None = None) -> dict[str, Any]:
    """Return one row for these inputs; what `example` says of a column goes first."""
    known = example or {}
    return {spec.name: known.get(spec.name, made_up_value(spec)) for spec in specs}


def inputs_from_rows(specs: Sequence[TensorSpec], rows: Sequence[Row]) -> dict[str, Array]:
    """Return one array per input, in the order of `specs`, shape [len(rows), …].

    A column that a row leaves out is missing there; that is an error for a tensor and for types that know no missing
    value.

    Raises:
        InvalidInput: a value does not fit its input; row and column are named.
    """
    return {spec.name: _array(spec, [row.get(spec.name) for row in rows]) for spec in specs}


def _array(spec: TensorSpec, values: list[Any]) -> Array:
    if len(spec.shape) <= 1:
        converted = [_scalar(spec, value, index) for index, value in enumerate(values)]
        return np.array(converted, dtype=NUMPY_DTYPES[spec.datatype])
    if any(value is None for value in values):
        raise _misfit(spec, values.index(None), None)
    dtype = NUMPY_DTYPES[spec.datatype]
    arrays = []
    for index, value in enumerate(values):
        try:
            array = np.array(value, dtype=dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise _misfit(spec, index, value) from error
        if array.ndim == 0 and all(size in (-1, 1) for size in spec.shape[1:]):
            array = array.reshape([1] * (len(spec.shape) - 1))
        wanted = spec.shape[1:]
        if array.ndim != len(wanted) or any(w not in (-1, g) for w, g in zip(wanted, array.shape, strict=True)):
            raise _misfit(spec, index, value)
        arrays.append(array)
    try:
        return np.stack(arrays)
    except ValueError as error:
        raise InvalidInput(
            f"The rows of {spec.name!r} differ in shape.", subject=spec.name, expected="equal shapes in one batch"
        ) from error


def _scalar(spec: TensorSpec, value: Any, index: int) -> Any:
    if spec.datatype == "BYTES":
        return None if value is None else (value if isinstance(value, str) else _text(value))
    if value is None or value == "":
        if spec.datatype.startswith("FP"):
            return float("nan")
        raise _misfit(spec, index, value)
    if spec.datatype == "BOOL":
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
        raise _misfit(spec, index, value)
    if not isinstance(value, (int, float)):
        raise _misfit(spec, index, value)
    if spec.datatype.startswith("FP"):
        return value
    limits = np.iinfo(NUMPY_DTYPES[spec.datatype])
    if not limits.min <= value <= limits.max or (isinstance(value, float) and not value.is_integer()):
        raise _misfit(spec, index, value)
    return int(value)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _misfit(spec: TensorSpec, index: int, value: Any) -> InvalidInput:
    got = "nothing" if value is None else f"{str(value)[:60]!r}"
    shape = f" of shape {list(spec.shape[1:])}" if len(spec.shape) > 1 else ""
    return InvalidInput(
        f"Row {index + 1} has a value for {spec.name!r} that does not fit.",
        subject=spec.name,
        expected=f"{spec.datatype}{shape}",
        got=got,
    )


def rows_from_inputs(signature: Signature, inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Return typed inputs as JSON records, None where a value is missing."""
    listed = {spec.name: inputs[spec.name].tolist() for spec in signature.inputs}
    count = len(next(iter(listed.values())))
    return [{name: _json_value(values[index]) for name, values in listed.items()} for index in range(count)]


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 (NaN)
