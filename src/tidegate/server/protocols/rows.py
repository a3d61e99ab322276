"""Rows of JSON values to the columns that a model takes, strictly and fast.

Rows are objects by the names that the model knows; where it has just one input they may stand without a name. Values
nest as the shape of the input without its first dimension.

The usual request is one row of plain columns, and what it costs is paid by every request. So columns of one datatype
are read together: their kinds are checked once over all values, and one matrix is made whose rows are the columns.
Whatever is not plain and right goes the longer way, column by column, which mends it or says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, Signature, TensorSpec
from tidegate.server.protocols.base import Limits, TooLarge
from tidegate.server.protocols.plain_columns import PlainColumns
from tidegate.server.protocols.values import array_of, shorten, tensor_of

#: How many keys of a request, and how long ones, are compared with a name that is absent: comparing takes its time.
_KEYS_COMPARED = 100
_LONGEST_KEY = 200


class RowReader:
    """Reads rows or columns of JSON values into the inputs of one signature.

    Args:
        forms: what a request may look like, as a sentence's end, for messages.
    """

    def __init__(self, signature: Signature, limits: Limits, forms: str) -> None:
        self.specs = signature.inputs
        self.names = frozenset(spec.name for spec in signature.inputs)
        self._limits = limits
        self._forms = forms
        self._plain = PlainColumns(signature.inputs)

    def from_records(self, records: list[Any]) -> tuple[dict[str, Array], int]:
        """Return the inputs and the number of rows of a list of objects, or of bare values of the one input.

        Raises:
            InvalidInput: a row is no object, lacks an input, or holds a value of the wrong kind.
            TooLarge: there are more rows than allowed.
        """
        rows = self.counted(len(records))
        bare = len(self.specs) == 1 and not isinstance(records[0], dict)
        if bare:
            return {self.specs[0].name: column_of(self.specs[0], records)}, rows
        inputs = self._plain.of_records(records, rows)
        if inputs is not None:
            return inputs, rows
        try:
            values = [[record[spec.name] for record in records] for spec in self.specs]
        except (KeyError, TypeError, IndexError):
            raise self._incomplete(records) from None
        return self._by_column(values), rows

    def from_columns(self, columns: dict[str, Any]) -> tuple[dict[str, Array], int]:
        """Return the inputs and the number of rows of an object with one list per input; errors as `from_records`."""
        absent = [spec.name for spec in self.specs if spec.name not in columns]
        if absent:
            raise self.absent(absent, columns, "the request")
        values = [columns[spec.name] for spec in self.specs]
        for spec, column in zip(self.specs, values, strict=True):
            if not isinstance(column, list):
                raise InvalidInput(
                    f"column {spec.name!r} must be a list",
                    subject=spec.name,
                    expected="a list",
                    got=shorten(column),
                )
            if len(column) != len(values[0]):
                raise InvalidInput(
                    f"column {spec.name!r} has {len(column)} values, {self.specs[0].name!r} has {len(values[0])}",
                    subject=spec.name,
                    expected=str(len(values[0])),
                    got=str(len(column)),
                )
        rows = self.counted(len(values[0]))
        inputs = self._plain.of_columns(columns, rows)
        return self._by_column(values) if inputs is None else inputs, rows

    def counted(self, rows: int) -> int:
        """Return the number of rows when a request may hold so many."""
        if rows == 0:
            raise InvalidInput("the request holds no row", expected=self._forms)
        return checked_rows(rows, self._limits)

    def absent(self, absent: list[str], present: Iterable[str], where: str) -> InvalidInput:
        """Return the error for inputs that are not there, with the unused key that looks most like the first one."""
        others = (key for key in present if key not in self.names and len(key) <= _LONGEST_KEY)
        near = get_close_matches(absent[0], list(islice(others, _KEYS_COMPARED)), n=1, cutoff=0.6)
        named = ", ".join(repr(name) for name in absent[:5]) + (", …" if len(absent) > 5 else "")
        hint = f"did you mean {absent[0]!r} where the request says {near[0]!r}?" if near else None
        if len(absent) == len(self.specs) and (len(absent) > 1 or not near):  # none at all: rather another form
            hint = f"a request is {self._forms}"
        return InvalidInput(
            f"{where} lacks {named}" + (f"; {hint}" if hint else ""),
            subject=absent[0],
            expected="every input of the model; null says that a value is missing",
            hint=hint,
        )

    def _by_column(self, values: list[list[Any]]) -> dict[str, Array]:
        return {spec.name: column_of(spec, column) for spec, column in zip(self.specs, values, strict=True)}

    def _incomplete(self, records: list[Any]) -> InvalidInput:
        for row, record in enumerate(records):
            if not isinstance(record, dict):
                return InvalidInput(
                    f"row {row} must be an object with the model's inputs by name",
                    subject=f"[{row}]",
                    expected=self._forms,
                    got=shorten(record),
                )
            absent = [spec.name for spec in self.specs if spec.name not in record]
            if absent:
                return self.absent(absent, record, f"row {row}")
        raise AssertionError("every record is complete")


def column_of(spec: TensorSpec, values: list[Any]) -> Array:
    """Return one input from its rows' values. Raises InvalidInput as `array_of` does, and for another nesting."""
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


def parse_json(body: bytes) -> Any:
    """Return the parsed body. Raises InvalidInput for what is not JSON, NaN and nesting past 1024 levels included."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        nan = "JSON has no NaN or Infinity: send null" if b"NaN" in body or b"Infinity" in body else None
        raise InvalidInput(f"the body is not JSON: {error}", expected="JSON", hint=nan) from error


def checked_rows(rows: int, limits: Limits) -> int:
    """Return the number of rows. Raises TooLarge when a request may not hold so many."""
    if rows > limits.rows:
        raise TooLarge(
            f"the request holds {rows} rows, more than {limits.rows}", expected=f"at most {limits.rows} rows"
        )
    return rows
