"""`/predict`: one path, and the forms that people have their data in.

The body is JSON unless `Content-Type` says CSV, Arrow IPC or Parquet; the answer is JSON unless `Accept` asks for one
of those. The JSON is `records`, the others are tables by the names that the model knows, see `tables`; `media` has the
content types. An error is JSON whatever the client asked for.
"""

from __future__ import annotations

from dataclasses import replace
from json import JSONDecodeError

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import Columns, Signature
from tidegate.server.protocols.arrow_table import check_available, read_arrow, write_arrow
from tidegate.server.protocols.base import Call, Encoded, Identity, Limits, Message, NotAcceptable
from tidegate.server.protocols.csv_table import read_csv, write_csv
from tidegate.server.protocols.media import (
    COMMON_ACCEPTS,
    COMMON_CONTENT_TYPES,
    Form,
    answer_form,
    body_form,
    hint_for_json,
)
from tidegate.server.protocols.records import RecordsCodec
from tidegate.server.protocols.tables import TableReader, check_flat, table_of


class PredictCodec:
    """Codec of `/predict`."""

    protocol = "predict"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        self._records = RecordsCodec(signature, identity, limits)
        self._table = TableReader(signature, limits)
        self._outputs = signature.outputs
        self._identity = identity
        self._limits = limits

    def decode(self, message: Message) -> Call:
        if message.content_type in COMMON_CONTENT_TYPES and message.accept in COMMON_ACCEPTS:
            return self._records.decode(message)
        body, answer = body_form(message.content_type), answer_form(message.accept)
        if answer is not Form.JSON:
            self._check_answer(answer)
        call = self._decode(body, message)
        return call if answer is Form.JSON else replace(call, form=answer)

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        form: Form | None = call.form
        if form is None:
            return self._records.encode(call, outputs)
        table = table_of(call.outputs, outputs)
        body = write_csv(table) if form is Form.CSV else write_arrow(table, form, self._identity)
        return Encoded(body, form.value)

    def encode_error(self, error: TidegateError) -> bytes:
        return self._records.encode_error(error)

    def _decode(self, form: Form, message: Message) -> Call:
        if form is Form.JSON:
            try:
                return self._records.decode(message)
            except InvalidInput as error:
                if isinstance(error.__cause__, JSONDecodeError):
                    hint_for_json(error, message.content_type)
                raise
        if form is Form.CSV:
            columns, rows = read_csv(message.body, self._table)
        else:
            columns, rows = read_arrow(message.body, form, self._table, self._limits.body_bytes)
        return Call(inputs=self._table.inputs(columns), rows=rows, outputs=self._outputs)

    def _check_answer(self, form: Form) -> None:
        check_flat(self._outputs)
        if form is not Form.CSV:
            try:
                check_available()
            except InvalidInput as error:
                raise NotAcceptable(error.message, subject="Accept", expected=error.expected, hint=error.hint) from None
