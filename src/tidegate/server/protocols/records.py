"""The JSON of `/predict`, the protocol for people: by the names that the model knows.

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

from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import Columns, Signature
from tidegate.server.protocols.base import Call, Encoded, Identity, Limits, Message
from tidegate.server.protocols.row_texts import json_rows
from tidegate.server.protocols.rows import RowReader, parse_json
from tidegate.server.protocols.values import shorten

FORMS = 'a list of records, {"records": […]}, {"columns": {…}} or one record'


class RecordsCodec:
    """Codec of the JSON of `/predict`."""

    protocol = "predict"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        self._outputs = signature.outputs
        self._rows = RowReader(signature, limits, FORMS)
        self._tail = orjson.dumps({"model": identity.model_name, "revision": identity.revision})[1:]

    def decode(self, message: Message) -> Call:
        document = parse_json(message.body)
        columns = self._wrapped(document, "columns", dict)
        if columns is not None:
            inputs, rows = self._rows.from_columns(columns)
            return Call(inputs=inputs, rows=rows, outputs=self._outputs)
        records = self._wrapped(document, "records", list)
        if records is None:
            if not isinstance(document, list | dict):
                raise InvalidInput("the body holds no records", expected=FORMS, got=shorten(document))
            records = document if isinstance(document, list) else [document]
        inputs, rows = self._rows.from_records(records)
        return Call(inputs=inputs, rows=rows, outputs=self._outputs)

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        predictions = json_rows([(spec, outputs[spec.name]) for spec in call.outputs])
        return Encoded(b'{"predictions":%b,%b' % (predictions, self._tail))

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
        if not isinstance(document, dict) or document.keys() != {key} or key in self._rows.names:
            return None
        value = document[key]
        if not isinstance(value, kind):
            what = "an object" if kind is dict else "a list"
            raise InvalidInput(f"{key!r} must be {what}", subject=key, expected=what, got=shorten(value))
        return value
