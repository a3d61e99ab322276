"""Tensors as bytes: little-endian, row-major, without gaps; BYTES as the length in four bytes, then the text, for each.

Source: docs/protocol/extension_binary_data.md of github.com/triton-inference-server/server; the raw contents of gRPC
have the same form. Where it leaves room:

- numbers are read where they lie in the request, hence into arrays that cannot be written to;
- a BOOL is a byte 0 or 1, nothing else;
- BYTES are text, so what is not UTF-8 is an error. Bytes know no missing text: None is written as an empty one;
- NaN is a missing value, as `null` is in JSON; infinity, which JSON cannot say, is an error here, too.
"""

from __future__ import annotations

from math import isinf, prod
from struct import unpack_from
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Array, TensorSpec
from tidegate.server.protocols.values import wrong_value

#: How each datatype but BYTES lies in a request.
_WIRE = {name: dtype.newbyteorder("<") for name, dtype in NUMPY_DTYPES.items() if dtype.kind != "O"}
_LENGTH_BYTES = 4


def item_size(datatype: str) -> int | None:
    """Return the bytes of one value; None for BYTES, whose values have lengths of their own."""
    wire = _WIRE.get(datatype)
    return None if wire is None else wire.itemsize


def array_from_bytes(spec: TensorSpec, datatype: str, sizes: tuple[int, ...], data: memoryview) -> Array:
    """Return an array of the spec's dtype, shape `sizes` (none of them 0), from values declared as `datatype`.

    Raises:
        InvalidInput: the length is not exactly what the shape asks for, or a value is wrong; the error names its row.
    """
    count = prod(sizes)  # of Python's integers, which do not overflow
    row_size = count // sizes[0]
    if datatype == "BYTES":
        return _texts(spec, data, count, row_size).reshape(sizes)
    wire = _WIRE[datatype]
    if len(data) != count * wire.itemsize:
        raise InvalidInput(
            f"data of {spec.name!r} holds {len(data)} bytes where shape {list(sizes)} of {datatype} asks for "
            f"{count * wire.itemsize}",
            subject=spec.name,
            expected=str(count * wire.itemsize),
            got=str(len(data)),
        )
    array = np.frombuffer(data, wire)
    if datatype == "BOOL":
        _check_bools(spec, array.view(np.uint8), row_size)
    if not array.flags.aligned:  # it lies wherever the JSON before it ended; native code asks for aligned numbers
        array = array.copy()
    array = converted(spec, array, row_size)
    return array if len(sizes) == 1 else array.reshape(sizes)


def converted(spec: TensorSpec, array: Array, row_size: int) -> Array:
    """Return a flat array of numbers or bools as one of the spec's dtype; the caller knows that the kinds go together.

    Raises:
        InvalidInput: a number is infinite or does not fit; the error names its row.
    """
    dtype = NUMPY_DTYPES[spec.datatype]
    if dtype.kind == "f":
        result = array
        if array.dtype != dtype:
            with np.errstate(over="ignore"):
                result = array.astype(dtype)
        # One value is what a column of a single-row request holds, and two calls into NumPy cost more than the rest.
        if isinf(result.item()) if result.size == 1 else np.isinf(result).any():
            raise _wrong_number(spec, array, np.isinf(result), row_size)
        return result
    if array.dtype == dtype:
        return array
    if not np.can_cast(array.dtype, dtype, "safe"):
        bounds = np.iinfo(dtype)
        outside = (array < int(bounds.min)) | (array > int(bounds.max))
        if outside.any():
            raise _wrong_number(spec, array, outside, row_size)
    return array.astype(dtype)


def bytes_of(spec: TensorSpec, array: Array) -> bytes:
    """Return an output's values as bytes of the spec's datatype.

    Raises:
        TypeError, ValueError: a value is not of that datatype.
    """
    if spec.datatype != "BYTES":
        return np.ascontiguousarray(array, dtype=_WIRE[spec.datatype]).tobytes()
    values: list[Any] = array.reshape(-1).tolist()
    framed = {value: _framed(value) for value in set(values)}  # labels repeat
    return b"".join([framed[value] for value in values])


def text_bytes(value: Any) -> bytes:
    """Return one value of a BYTES output in UTF-8; b"" for None. Raises TypeError for what is no text."""
    if value is None:
        return b""
    if not isinstance(value, str):
        raise TypeError(f"a BYTES output holds {type(value).__name__} where text belongs")
    return value.encode()


def text_of(spec: TensorSpec, data: bytes | memoryview, row: int) -> str:
    """Return one value of a BYTES input. Raises InvalidInput, naming the row, when it is not UTF-8."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"field {spec.name!r}, row {row}: expected text in UTF-8, got byte {data[error.start]:#04x} at position "
            f"{error.start}",
            subject=f"{spec.name}[{row}]",
            expected="text in UTF-8",
        ) from error


def _framed(value: Any) -> bytes:
    text = text_bytes(value)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _texts(spec: TensorSpec, data: memoryview, count: int, row_size: int) -> Array:
    size, position = len(data), 0
    if count * _LENGTH_BYTES > size:
        raise _cut_short(spec, f"{count} values need {count * _LENGTH_BYTES} bytes for their lengths alone", size)
    texts: list[str] = []
    for index in range(count):
        start = position + _LENGTH_BYTES
        if start > size:
            raise _cut_short(spec, f"the length in row {index // row_size} reaches beyond its end", size)
        position = start + unpack_from("<I", data, position)[0]
        if position > size:
            raise _cut_short(spec, f"the text in row {index // row_size} reaches beyond its end", size)
        texts.append(text_of(spec, data[start:position], index // row_size))
    if position != size:
        raise _cut_short(spec, f"its {count} values end after {position}", size)
    return np.array(texts, dtype=object)


def _cut_short(spec: TensorSpec, what: str, size: int) -> InvalidInput:
    return InvalidInput(
        f"data of {spec.name!r} holds {size} bytes: {what}",
        subject=spec.name,
        expected="for each value its length in 4 bytes, little-endian, and as many bytes of text",
    )


def _check_bools(spec: TensorSpec, values: Array, row_size: int) -> None:
    wrong = values > 1
    if wrong.any():
        position = int(wrong.argmax())
        raise wrong_value(spec, position // row_size, int(values[position]), "a byte 0 or 1")


def _wrong_number(spec: TensorSpec, array: Array, wrong: Array, row_size: int) -> InvalidInput:
    position = int(wrong.argmax())
    value = array[position].item()
    finite = value not in (float("inf"), float("-inf"))
    expected = f"a number that fits {spec.datatype}" if finite else "a finite number, or NaN where it is missing"
    return wrong_value(spec, position // row_size, value, expected)
