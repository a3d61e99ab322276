"""Answers as JSON with one object per row, written column by column.

Python's own objects for every row of a large answer take longer to make than most models take to compute it. So the
numbers of a column are written by one call, cut apart at their commas, and joined with the names between them. Small
answers, and columns of a kind that this does not know, go the plain way; both write the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from tidegate.runtime.base import Array, TensorSpec

#: Up to so many rows the objects are cheaper than the cutting.
_FEW = 4
#: What orjson writes as it lies in memory.
_NUMBERS = frozenset("?bBhHiIlLqQefd")


def json_rows(outputs: Sequence[tuple[TensorSpec, Array]]) -> bytes:
    """Return a JSON list with an object for each row: from the outputs' names to what they say of that row.

    Each output is a value, nested lists, or an object from label to value where its spec has labels. NaN and infinity
    become null.

    Raises:
        TypeError, ValueError: a value cannot be written, or the outputs differ in their rows or from their labels.
    """
    rows = len(outputs[0][1]) if outputs else 0
    if rows > _FEW and all(len(array) == rows for _, array in outputs):
        written = _by_column(outputs, rows)
        if written is not None:
            return written
    names = [spec.name for spec, _ in outputs]
    values = zip(*(_listed(spec, array) for spec, array in outputs), strict=True)
    return orjson.dumps([dict(zip(names, row, strict=True)) for row in values], option=orjson.OPT_SERIALIZE_NUMPY)


def _listed(spec: TensorSpec, array: Array) -> list[Any]:
    """Return what each row answers: a value, an object from label to value, or nested lists."""
    narrow_float = array.dtype.kind == "f" and array.dtype.itemsize < 8
    # As Python floats, FP32 values would show digits that they do not have (0.7099999785423279).
    rows: list[Any] = list(np.ascontiguousarray(array)) if narrow_float else array.tolist()
    if spec.labels is not None and array.ndim == 2:
        return [dict(zip(spec.labels, row, strict=True)) for row in rows]
    return rows


def _by_column(outputs: Sequence[tuple[TensorSpec, Array]], rows: int) -> bytes | None:
    """Return the list of objects; None when one of the outputs is not of a kind that can be cut."""
    if len({spec.name for spec, _ in outputs}) != len(outputs):
        return None
    if len(outputs) == 1 and outputs[0][1].ndim == 1 and _is_numbers(outputs[0][1]):
        spec, array = outputs[0]
        name = orjson.dumps(spec.name)
        return b"[{%b:%b}]" % (name, _numbers(array).replace(b",", b"},{" + name + b":"))
    heads: list[bytes] = []
    cells: list[list[bytes]] = []
    closing = b""
    for spec, array in outputs:
        parts = _parts(spec, array)
        if parts is None:
            return None
        opening, named, closed = parts
        for position, (label, values) in enumerate(named):
            before = b"" if position else closing + b"," + orjson.dumps(spec.name) + b":" + opening
            heads.append(before + label)
            cells.append(values)
        closing = closed
    start = heads[0][1:]  # no comma before the first name
    stride = 2 * len(heads)
    texts = [b""] * (stride * rows)
    for position, (head, values) in enumerate(zip(heads, cells, strict=True)):
        texts[2 * position :: stride] = [head] * rows
        texts[2 * position + 1 :: stride] = values
    texts[::stride] = [b"[{" + start, *[closing + b"},{" + start] * (rows - 1)]
    texts.append(closing + b"}]")
    return b"".join(texts)


def _parts(spec: TensorSpec, array: Array) -> tuple[bytes, list[tuple[bytes, list[bytes]]], bytes] | None:
    """Return what opens a row's value, its parts (what comes before, and a text for each row), and what closes it."""
    if array.ndim == 1:
        values = _numbers(array).split(b",") if _is_numbers(array) else _texts(array)
        return None if values is None else (b"", [(b"", values)], b"")
    if array.ndim != 2 or not _is_numbers(array) or array.shape[1] == 0:
        return None
    width = array.shape[1]
    if spec.labels is None:
        names = [b""] * width
    elif len(spec.labels) == width == len(set(spec.labels)):
        names = [orjson.dumps(label) + b":" for label in spec.labels]
    else:
        return None
    values = _numbers(array.reshape(-1)).split(b",")
    own = [(b"," + name if column else name, values[column::width]) for column, name in enumerate(names)]
    return (b"[", own, b"]") if spec.labels is None else (b"{", own, b"}")


def _is_numbers(array: Array) -> bool:
    return array.dtype.char in _NUMBERS and array.dtype.isnative


def _numbers(array: Array) -> bytes:
    """Return a flat array as JSON writes it, without the brackets."""
    return orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def _texts(array: Array) -> list[bytes] | None:
    values = array.tolist()
    if not set(map(type, values)) <= {str, type(None)}:
        return None
    written = {value: orjson.dumps(value) for value in set(values)}  # labels repeat
    return [written[value] for value in values]
