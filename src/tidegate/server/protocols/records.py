"""`/predict`: the protocol for people. JSON in, JSON out, by the names that the model knows.

A request takes one of these forms (a list of records is the usual one):

- `[{"a": 1, "b": "x"}, …]` or `{"records": [{…}, …]}`: one object per row;
- `{"a": 1, "b": "x"}`: one row;
- `{"columns": {"a": [1, …], "b": ["x", …]}}`: one list per column, all of one length.

When the model takes tensors, each value is nested as the tensor's shape without its first dimension, and where there
is just one input its rows may stand without a name: `[[5.1, 3.5], …]`.

Every input must be there: an absent one is an error, and the error names the key that looks most like it; `null` says
that a value is missing. Keys that the model does not take are ignored. Categories that it has not seen reach it.

The answer: `{"predictions": [{"prediction": …, "probabilities": {"late": 0.71, …}}, …], "model": …, "revision": n}`,
one object per row in the order of the request, with the model's own output names as keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np
import orjson

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import Array, Columns, Signature, TensorSpec
from tidegate.server.protocols.base import Call, Encoded, Identity, Limits, Message, TooLarge
from tidegate.server.protocols.values import array_of, shorten, tensor_of

_FORMS = 'a list of records, {"records": […]}, {"columns": {…}} or one record'


class RecordsCodec:
    """Codec of `/predict`."""

    protocol = "predict"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        self._signature = signature
        self._specs = signature.inputs
        self._names = frozenset(spec.name for spec in signature.inputs)
        self._limits = limits
        self._tail = {"model": identity.model_name, "revision": identity.revision}

    def decode(self, message: Message) -> Call:
        document = parse_json(message.body)
        columns = self._wrapped(document, "columns", dict)
        if columns is not None:
            return self._from_columns(columns)
        records = self._wrapped(document, "records", list)
        if records is None:
            if not isinstance(document, list | dict):
                raise InvalidInput("the body holds no records", expected=_FORMS, got=shorten(document))
            records = document if isinstance(document, list) else [document]
        return self._from_records(records)

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        names = [spec.name for spec in call.outputs]
        per_output = [_rows_of(spec, outputs[spec.name]) for spec in call.outputs]
        predictions = [dict(zip(names, row, strict=True)) for row in zip(*per_output, strict=True)]
        return Encoded(orjson.dumps({"predictions": predictions, **self._tail}, option=orjson.OPT_SERIALIZE_NUMPY))

    def encode_error(self, error: TidegateError) -> bytes:
        """Return `{"error": one sentence}` with the error's field, expected and got beside it where it has them."""
        fields = {
            "error": error.message,
            "field": error.subject,
            "expected": error.expected,
            "got": error.got,
            "hint": error.hint,
        }
        return orjson.dumps({key: value for key, value in fields.items() if value is not None})

    def _wrapped(self, document: Any, key: str, kind: type) -> Any:
        """Return what stands under `key` when that is all the document holds and no input bears this name."""
        if not isinstance(document, dict) or document.keys() != {key} or key in self._names:
            return None
        value = document[key]
        if not isinstance(value, kind):
            what = "an object" if kind is dict else "a list"
            raise InvalidInput(f"{key!r} must be {what}", subject=key, expected=what, got=shorten(value))
        return value

    def _from_records(self, records: list[Any]) -> Call:
        rows = self._checked_rows(len(records))
        if len(self._specs) == 1 and not isinstance(records[0], dict):
            values = [records]
        else:
            try:
                values = [[record[spec.name] for record in records] for spec in self._specs]
            except (KeyError, TypeError):
                raise self._incomplete(records) from None
        return self._call(values, rows)

    def _from_columns(self, columns: dict[str, Any]) -> Call:
        absent = [spec.name for spec in self._specs if spec.name not in columns]
        if absent:
            raise self._absent(absent, columns, "the request")
        values = [columns[spec.name] for spec in self._specs]
        for spec, column in zip(self._specs, values, strict=True):
            if not isinstance(column, list):
                raise InvalidInput(
                    f"column {spec.name!r} must be a list",
                    subject=spec.name,
                    expected="a list",
                    got=shorten(column),
                )
            if len(column) != len(values[0]):
                raise InvalidInput(
                    f"column {spec.name!r} has {len(column)} values, {self._specs[0].name!r} has {len(values[0])}",
                    subject=spec.name,
                    expected=str(len(values[0])),
                    got=str(len(column)),
                )
        return self._call(values, self._checked_rows(len(values[0])))

    def _call(self, values: list[list[Any]], rows: int) -> Call:
        inputs = {spec.name: _column(spec, column) for spec, column in zip(self._specs, values, strict=True)}
        return Call(inputs=inputs, rows=rows, outputs=self._signature.outputs)

    def _checked_rows(self, rows: int) -> int:
        if rows == 0:
            raise InvalidInput("the request holds no row", expected=_FORMS)
        return checked_rows(rows, self._limits)

    def _incomplete(self, records: list[Any]) -> InvalidInput:
        for row, record in enumerate(records):
            if not isinstance(record, dict):
                return InvalidInput(
                    f"row {row} must be an object with the model's inputs by name",
                    subject=f"[{row}]",
                    expected=_FORMS,
                    got=shorten(record),
                )
            absent = [spec.name for spec in self._specs if spec.name not in record]
            if absent:
                return self._absent(absent, record, f"row {row}")
        raise AssertionError("every record is complete")

    def _absent(self, absent: list[str], present: Iterable[str], where: str) -> InvalidInput:
        """Return the error for inputs that are not there, with the unused key that looks most like the first one."""
        near = get_close_matches(absent[0], [key for key in present if key not in self._names], n=1, cutoff=0.6)
        named = ", ".join(repr(name) for name in absent[:5]) + (", …" if len(absent) > 5 else "")
        hint = f"did you mean {absent[0]!r} where the request says {near[0]!r}?" if near else None
        if len(absent) == len(self._specs) and (len(absent) > 1 or not near):  # none at all: rather another form
            hint = f"a request is {_FORMS}"
        return InvalidInput(
            f"{where} lacks {named}" + (f"; {hint}" if hint else ""),
            subject=absent[0],
            expected="every input of the model; null says that a value is missing",
            hint=hint,
        )


def parse_json(body: bytes) -> Any:
    """Return the parsed body. Raises InvalidInput for what is not JSON, NaN and nesting past 1024 levels included."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        nan = "JSON has no NaN or Infinity: send null" if b"NaN" in body or b"Infinity" in body else None
        raise InvalidInput(f"the body is not JSON: {error}", expected="JSON", hint=nan) from error


def checked_rows(rows: int, limits: Limits) -> int:
    if rows > limits.rows:
        raise TooLarge(
            f"the request holds {rows} rows, more than {limits.rows}", expected=f"at most {limits.rows} rows"
        )
    return rows


def _column(spec: TensorSpec, values: list[Any]) -> Array:
    if len(spec.shape) == 1:
        return array_of(spec, values)
    if spec.shape == (-1, 1) and not isinstance(values[0], list):  # a column in all but its shape
        return array_of(spec, values).reshape(-1, 1)
    return tensor_of(spec, values, _concrete_shape(spec, values))


def _concrete_shape(spec: TensorSpec, values: list[Any]) -> tuple[int, ...]:
    """Return the shape of one batch: sizes that the spec leaves open are those of the first row."""
    shape = [len(values)]
    level: Any = values
    for wanted in spec.shape[1:]:
        level = level[0] if isinstance(level, list) and level else None
        if not isinstance(level, list) or wanted not in (-1, len(level)):
            raise InvalidInput(
                f"each row of {spec.name!r} must be nested lists of shape {list(spec.shape[1:])}",
                subject=spec.name,
                expected=f"shape {list(spec.shape[1:])}",
                got=shorten(level),
            )
        shape.append(len(level))
    return tuple(shape)


def _rows_of(spec: TensorSpec, array: Array) -> list[Any]:
    """Return what each row answers: a value, an object from label to value, or nested lists."""
    narrow_float = array.dtype.kind == "f" and array.dtype.itemsize < 8
    # As Python floats, FP32 values would show digits that they do not have (0.7099999785423279).
    rows: list[Any] = list(np.ascontiguousarray(array)) if narrow_float else array.tolist()
    if spec.labels is not None and array.ndim == 2:
        return [dict(zip(spec.labels, row, strict=True)) for row in rows]
    return rows
