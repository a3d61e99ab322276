"""Flat tables: how the inputs and outputs of a signature look as columns of single values.

A column of the signature is a column of the table by the same name. A tensor of shape [-1, k] is k columns, `name.0` to
`name.k-1`; an output with class labels is one column per class, `probabilities.late`. Tensors of more dimensions, or
of sizes that are not known before, have no form as a table: JSON carries those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Array, Columns, Signature, TensorSpec
from tidegate.server.protocols.base import Limits, NotAcceptable, UnsupportedMediaType
from tidegate.server.protocols.rows import checked_rows
from tidegate.server.protocols.values import wrong_value

#: The most columns of a table that comes in; those that the model does not take count too.
MOST_COLUMNS = 10_000

_NAMES_COMPARED = 100
_LONGEST_NAME = 200


class Table(NamedTuple):
    """Columns of single values, side by side; `specs` are of shape `(-1,)`, with the names in the table."""

    specs: tuple[TensorSpec, ...]
    columns: Sequence[Array]


class TableReader:
    """What the tables of requests for one signature must hold."""

    def __init__(self, signature: Signature, limits: Limits) -> None:
        self._inputs = signature.inputs
        self._limits = limits
        self._unflat = next((spec for spec in signature.inputs if _width(spec) is None), None)
        flat = [] if self._unflat is not None else [_flat_specs(spec, _width(spec)) for spec in signature.inputs]
        #: The columns that a table must have, as columns of single values.
        self.specs = tuple(column for columns in flat for column in columns)
        self._names = frozenset(spec.name for spec in self.specs)

    def check_columns(self, names: Sequence[str]) -> None:
        """Raise InvalidInput unless a table with these columns has each that the model takes, and just once."""
        if self._unflat is not None:
            shape = list(self._unflat.shape)
            raise UnsupportedMediaType(
                f"the model takes a tensor {self._unflat.name!r} of shape {shape}, which is no table; send JSON",
                subject="Content-Type",
                expected="application/json",
            )
        if len(names) > MOST_COLUMNS:
            raise InvalidInput(f"the table has {len(names)} columns", expected=f"at most {MOST_COLUMNS} columns")
        present = set(names)
        absent = [spec.name for spec in self.specs if spec.name not in present]
        if absent:
            raise self._absent(absent, names)
        if len(present) != len(names):
            seen: set[str] = set()
            for name in names:
                if name in seen and name in self._names:
                    raise InvalidInput(f"the table has the column {name!r} twice", subject=name)
                seen.add(name)

    def counted(self, rows: int) -> int:
        """Return the number of rows when a request may hold so many. Raises InvalidInput and TooLarge."""
        if rows == 0:
            raise InvalidInput("the table holds no row", expected="at least one row")
        return checked_rows(rows, self._limits)

    def inputs(self, columns: Sequence[Array]) -> Columns:
        """Return the model's inputs from the table's columns, which are in the order of `specs`."""
        if len(self.specs) == len(self._inputs):
            return {
                spec.name: column.reshape(-1, *spec.shape[1:])
                for spec, column in zip(self._inputs, columns, strict=True)
            }
        inputs, rest = {}, iter(columns)
        for spec in self._inputs:
            width = _width(spec) or 1
            parts = list(islice(rest, width))
            inputs[spec.name] = parts[0] if len(spec.shape) == 1 else np.stack(parts, axis=1)
        return inputs

    def _absent(self, absent: list[str], present: Iterable[str]) -> InvalidInput:
        others = (name for name in present if name not in self._names and len(name) <= _LONGEST_NAME)
        near = get_close_matches(absent[0], list(islice(others, _NAMES_COMPARED)), n=1, cutoff=0.6)
        named = ", ".join(repr(name) for name in absent[:5]) + (", …" if len(absent) > 5 else "")
        hint = f"did you mean {absent[0]!r} where the table says {near[0]!r}?" if near else None
        return InvalidInput(
            f"the table lacks the column {named}" + (f"; {hint}" if hint else ""),
            subject=absent[0],
            expected=", ".join(spec.name for spec in self.specs[:50]) + (", …" if len(self.specs) > 50 else ""),
            hint=hint,
        )


def check_flat(outputs: Iterable[TensorSpec]) -> None:
    """Raise NotAcceptable unless these outputs have a form as a table."""
    for spec in outputs:
        if len(spec.shape) > 2:
            raise NotAcceptable(
                f"the output {spec.name!r} has shape {list(spec.shape)}, which is no table; ask for JSON",
                subject="Accept",
                expected="application/json",
            )


def table_of(specs: Iterable[TensorSpec], outputs: Columns) -> Table:
    """Return the outputs as one table."""
    names: list[TensorSpec] = []
    columns: list[Array] = []
    for spec in specs:
        array = outputs[spec.name]
        if array.ndim == 1:
            names.append(spec)
            columns.append(np.ascontiguousarray(array))
        else:
            names.extend(_flat_specs(spec, array.shape[1]))
            columns.extend(np.ascontiguousarray(array.T))
    return Table(tuple(names), columns)


def narrowed(spec: TensorSpec, numbers: Array) -> Array:
    """Return numbers as the spec's dtype.

    Args:
        numbers: float64 for a FLOAT spec, NaN where a value is missing; any integers for an INT spec.

    Raises:
        InvalidInput: a number is infinite or does not fit; the error names its row.
    """
    dtype = NUMPY_DTYPES[spec.datatype]
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = numbers.astype(dtype)
        bad = np.isinf(array)
    else:
        array = numbers.astype(dtype)
        # Compared as numbers and not as bits: int64's -1 and uint64's largest are not the same.
        bad = (array != numbers) | ((array < 0) != (numbers < 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise wrong_value(spec, row, numbers[row].item(), f"a number that fits {spec.datatype}")
    return array


def _width(spec: TensorSpec) -> int | None:
    """Return how many columns of a table one tensor is; None when it is no table."""
    match spec.shape:
        case (_,):
            return 1
        case (_, size) if 0 < size <= MOST_COLUMNS:
            return size
    return None


def _flat_specs(spec: TensorSpec, width: int | None) -> list[TensorSpec]:
    if len(spec.shape) == 1 or (width == 1 and spec.labels is None):
        return [TensorSpec(spec.name, spec.datatype)]
    parts = spec.labels if spec.labels is not None and len(spec.labels) == width else range(width or 0)
    return [TensorSpec(f"{spec.name}.{part}", spec.datatype) for part in parts]
