"""JSON values to arrays, strictly: a value of the wrong kind is named, never bent into shape.

What JSON cannot tell apart is taken as the signature says: `3.0` is an integer where one is wanted and `3` a float.
`null` is a missing value in a float column (NaN) and in a BYTES column (None); INT and BOOL columns hold none. A number
that does not fit the datatype (300 in UINT8, 1e300 in FP32) is an error.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Array, TensorSpec
from tidegate.server.protocols.flat_arrays import are_of, flat_array

#: From here on a float may stand for an integer beside the one that was written (2**53 for 2**53 + 1).
_FIRST_INEXACT_FLOAT = 2**53

#: Python types of the values that each kind of column takes as they are.
ACCEPTED_KINDS: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str, type(None)}),
    "FLOAT": frozenset({int, float, type(None)}),
    "INT": frozenset({int}),
}
_EXPECTED = {
    "BOOL": "true or false",
    "BYTES": "a string or null",
    "FLOAT": "a number or null",
    "INT": "an integer",
}


def family(datatype: str) -> str:
    """Return FLOAT, INT, BOOL or BYTES: what the values of a datatype look like in JSON."""
    if datatype.startswith("FP"):
        return "FLOAT"
    if datatype.startswith(("INT", "UINT")):
        return "INT"
    return datatype


def shorten(value: Any) -> str:
    """Return a value as JSON shows it, short enough for a message."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 60 else f"{text[:56]}…{text[-1]}"


def array_of(spec: TensorSpec, values: list[Any], row_size: int = 1) -> Array:
    """Return a flat array of the spec's dtype; each row of the batch is `row_size` consecutive values.

    Raises:
        InvalidInput: a value has the wrong kind or does not fit; the error names its row.
    """
    kind = family(spec.datatype)
    if not are_of(ACCEPTED_KINDS[kind], values):
        values = _mended(spec, kind, values, row_size)
    array = flat_array(NUMPY_DTYPES[spec.datatype], values)
    if array is None:
        raise _does_not_fit(spec, values, row_size)
    return array


def _mended(spec: TensorSpec, kind: str, values: list[Any], row_size: int) -> list[Any]:
    """Return the values with whole floats as integers where integers are wanted; else name the first wrong one."""
    accepted = ACCEPTED_KINDS[kind]
    mended = []
    for position, value in enumerate(values):
        if type(value) in accepted:
            mended.append(value)
        elif kind == "INT" and type(value) is float and value.is_integer() and abs(value) < _FIRST_INEXACT_FLOAT:
            mended.append(int(value))
        else:
            raise wrong_value(spec, position // row_size, value, _EXPECTED[kind])
    return mended


def _does_not_fit(spec: TensorSpec, values: list[Any], row_size: int) -> InvalidInput:
    dtype = NUMPY_DTYPES[spec.datatype]
    low, high = (
        (float(np.finfo(dtype).min), float(np.finfo(dtype).max))
        if dtype.kind == "f"
        else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    )
    for position, value in enumerate(values):
        if value is not None and not low <= value <= high:
            return wrong_value(spec, position // row_size, value, f"a number that fits {spec.datatype}")
    return InvalidInput(f"a value of {spec.name!r} does not fit {spec.datatype}", subject=spec.name)


def wrong_value(spec: TensorSpec, row: int, value: Any, expected: str) -> InvalidInput:
    """Return the error that names field, row, what was expected and what was there."""
    return InvalidInput(
        f"field {spec.name!r}, row {row}: expected {expected}, got {shorten(value)}",
        subject=f"{spec.name}[{row}]",
        expected=expected,
        got=shorten(value),
    )


def tensor_of(spec: TensorSpec, data: Any, shape: tuple[int, ...]) -> Array:
    """Return an array of the given shape from data that is flat (row-major) or nested exactly as the shape says.

    Raises:
        InvalidInput: another nesting, another number of values, or a wrong value.
    """
    if not isinstance(data, list):
        raise InvalidInput(
            f"data of {spec.name!r} must be a list, got {shorten(data)}", subject=spec.name, expected="a list"
        )
    flat = data
    if len(shape) > 1 and data and type(data[0]) is list:
        for size in shape[1:]:
            if not all(type(item) is list and len(item) == size for item in flat):
                raise InvalidInput(
                    f"data of {spec.name!r} is not nested as its shape {list(shape)} says",
                    subject=spec.name,
                    expected=f"lists of {size} at that depth, or one flat list",
                )
            flat = list(chain.from_iterable(flat))
    if len(flat) != _count(shape):
        raise InvalidInput(
            f"data of {spec.name!r} holds {len(flat)} values where shape {list(shape)} asks for {_count(shape)}",
            subject=spec.name,
            expected=str(_count(shape)),
            got=str(len(flat)),
        )
    return array_of(spec, flat, max(1, _count(shape[1:]))).reshape(shape)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    """Say whether a concrete shape is one that the spec allows.

    A first dimension of a fixed size is a batch that the model was exported for: it takes so many rows or a multiple.
    """
    if len(shape) != len(spec.shape) or (shape and spec.shape[0] > 0 and shape[0] % spec.shape[0]):
        return False
    return all(wanted in (-1, size) for wanted, size in zip(spec.shape[1:], shape[1:], strict=True))


def json_ready(array: Array) -> Any:
    """Return what orjson serialises as the array's values: the array itself where it can, else a list.

    NaN and infinity become null; orjson writes the shortest digits that give the same FP32 or FP16 back.
    """
    if array.dtype.kind in "OU":
        return array.tolist()
    return np.ascontiguousarray(array)
