"""From named values to the numeric rows that a model scores.

A row begins as all NaN, and each input that was given fills its slots. An input that was not given at all leaves NaN in
all of them; with one-hot and binary encodings that is another row than the one of a missing value, unless the field
says that it is the same. Names that are no input are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.encodings import Field
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.row_plan import plan_of
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.values import ABSENT, NAN, is_missing, number, numbers, shown, spellings

#: What `_Lookup` says of a value that is no level.
_ABSENT, _MISSING, _UNSEEN = object(), object(), object()


@dataclass(frozen=True)
class Dictionary:
    """A column in which each value is a number into a list of values; -1 is a missing one."""

    codes: NDArray[np.integer[Any]]
    values: Sequence[Any]


#: A column: numbers (float, integer or truth values), texts or anything else in an object array or a list.
Column = NDArray[Any] | Sequence[Any] | Dictionary


@dataclass(frozen=True)
class Policy:
    """What is made of values that the model does not know.

    Attributes:
        strict: a level that the training did not have is an error, not a missing value.
        invalid_as_missing: a text that is no number, in a numeric column, is a missing value, not an error.
    """

    strict: bool = False
    invalid_as_missing: bool = False


LENIENT = Policy()


class RowBuilder:
    """Builds the rows of one model. It holds no state: several threads may use it.

    Args:
        fields: the inputs.
        width: slots of a row.
    """

    def __init__(self, fields: Iterable[Field], width: int) -> None:
        self.fields = tuple(fields)
        self.width = width
        self._lookups = {field.name: _Lookup(field) for field in self.fields}
        self._blank = [NAN] * width
        #: Reads the usual row; None where no row can be read so.
        self.plan = plan_of(tuple(lookup.field for lookup in self._lookups.values()), width)
        for field in self.fields:
            if field.marks_absence and field.kind in ("one_hot", "binary"):
                self._lookups[field.name].spread(self._blank, NAN)
        self._blank_row = np.array(self._blank)

    def matrix(
        self,
        columns: Mapping[str, Column],
        rows: int,
        policy: Policy = LENIENT,
        unseen: MutableMapping[str, int] | None = None,
    ) -> Rows:
        """Return the rows of columns.

        Args:
            columns: each of `rows` values.
            unseen: the values that are no level of the training are added to it, by column.

        Raises:
            MojoRowError: a value is none that its column can have.
        """
        result = np.empty((rows, self.width))
        result[:] = self._blank_row
        for name, column in columns.items():
            lookup = self._lookups.get(name)
            if lookup is None:
                continue
            field = lookup.field
            if field.kind == "number":
                result[:, field.first] = _numbers(column, name, policy)
                continue
            values, absent, count = _encoded(lookup, column, policy)
            if count and unseen is not None:
                unseen[name] = unseen.get(name, 0) + count
            _spread(result, field, values, absent)
        return result

    def one(
        self, row: Mapping[str, Any], policy: Policy = LENIENT, unseen: MutableMapping[str, int] | None = None
    ) -> Rows:
        """Return one row, shape (1, slots). Much cheaper than `matrix`, and equal to it; see there."""
        quick = None if self.plan is None else self.plan(row)
        return self._slowly(row, policy, unseen) if quick is None else quick[0]

    def quick(self, row: Mapping[str, Any]) -> Rows | None:
        """Return one row as `one` does; None where that takes longer, or anything but inputs is in it."""
        found = None if self.plan is None else self.plan(row)
        return found[0] if found is not None and found[1] == len(row) > 0 else None

    def _slowly(self, row: Mapping[str, Any], policy: Policy, unseen: MutableMapping[str, int] | None) -> Rows:
        slots = self._blank.copy()
        find = self._lookups.get
        for name, value in row.items():
            lookup = find(name)
            if lookup is None:
                continue
            if lookup.is_number:
                slots[lookup.first] = (
                    value if type(value) is float else number(value, name, invalid_as_missing=policy.invalid_as_missing)
                )
                continue
            code = lookup.values.get(value) if type(value) is str else None
            if code is None:
                found = lookup.find(value, policy)
                if found is _ABSENT:
                    continue
                if found is _UNSEEN and unseen is not None:
                    unseen[name] = unseen.get(name, 0) + 1
                code = found if isinstance(found, float) else NAN
            if lookup.is_value:
                slots[lookup.first] = code
            else:
                lookup.spread(slots, code)
        return np.array([slots])


class _Lookup:
    """Finds what stands for the values of a categorical input."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.values = field.values
        #: The same, and what is missing in most kinds of table.
        self.quick: dict[Any, float] = {**field.values, None: NAN}
        self.first, self.end = field.first, field.first + field.width
        self._zeros = [0.0] * (0 if field.kind in ("number", "value") else field.width)
        self.is_number, self.is_value = field.kind == "number", field.kind == "value"

    def find(self, value: Any, policy: Policy) -> float | object:
        """Return the number of a value, or what it is instead. Raises MojoRowError, see `spellings`."""
        if type(value) is str:  # the usual case, and the values to be found are texts
            code = self.values.get(value)
            if code is not None:
                return code
        elif value is ABSENT:
            return _ABSENT
        elif is_missing(value):
            return _MISSING
        else:
            for text in spellings(value, self.field.name):
                code = self.values.get(text)
                if code is not None:
                    return code
        if policy.strict:
            levels = self.field.levels or ()
            raise MojoRowError(
                f"column {self.field.name!r}: the training had no level {shown(value)}",
                subject=self.field.name,
                expected=f"one of {', '.join(map(repr, levels[:10]))}{' …' if len(levels) > 10 else ''}",
                got=shown(value),
            )
        return _UNSEEN

    def spread(self, slots: list[float], code: float) -> None:
        """Write a code, NaN for a missing value, into the slots of an encoding that takes several."""
        slots[self.first : self.end] = self._zeros
        is_missing_code = code != code  # noqa: PLR0124 (NaN)
        if self.field.kind == "one_hot":
            slots[self.end - 1 if is_missing_code else self.first + int(code)] = 1.0
            return
        bits, place = 0 if is_missing_code else int(code) + 1, self.first
        while bits:
            slots[place] = float(bits & 1)
            bits >>= 1
            place += 1


def _numbers(column: Column, name: str, policy: Policy) -> NDArray[np.float64]:
    if isinstance(column, Dictionary):
        # Values that no row has may be anything, as categories are that a filter left behind.
        used = np.unique(column.codes[column.codes >= 0])
        own = np.full(len(column.values) + 1, NAN)
        listed = [column.values[code] for code in used.tolist()]
        own[used] = numbers(listed, name, invalid_as_missing=policy.invalid_as_missing)
        taken: NDArray[np.float64] = own[column.codes]
        return taken
    if isinstance(column, np.ndarray):
        if column.dtype.kind in "fiub":
            return column.astype(np.float64, copy=False)
        column = column.tolist() if column.dtype.kind in "OUS" else list(column)
    return numbers(column, name, invalid_as_missing=policy.invalid_as_missing)


def _encoded(
    lookup: _Lookup, column: Column, policy: Policy
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, int]:
    """Return the numbers of a column's values, NaN for none; where it is absent, if it is anywhere; the unseen ones."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiub" and len(column) > 1:
        values, codes = np.unique(column, return_inverse=True)
        column = Dictionary(codes, list(values))
    if isinstance(column, Dictionary):
        used = np.bincount(column.codes + 1, minlength=len(column.values) + 1)[1:]
        found = [lookup.find(value, policy) if used[i] else NAN for i, value in enumerate(column.values)]
        table, absent, _ = _split(found)
        unseen = sum(int(used[i]) for i, one in enumerate(found) if one is _UNSEEN)
        blanks = None if absent is None else np.append(absent, False)[column.codes]
        return np.append(table, NAN)[column.codes], blanks, unseen
    listed = column.tolist() if isinstance(column, np.ndarray) and column.dtype.kind in "OU" else list(column)
    try:
        quick: list[float | None] = list(map(lookup.quick.get, listed))
    except TypeError:  # a value that cannot be looked up, such as a list
        return _split([lookup.find(value, policy) for value in listed])
    if None not in quick:
        return np.array(quick, dtype=np.float64), None, 0
    return _split(
        [code if code is not None else lookup.find(value, policy) for code, value in zip(quick, listed, strict=True)]
    )


def _split(found: Sequence[float | object]) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, int]:
    codes = np.array([one if isinstance(one, float) else NAN for one in found], dtype=np.float64)
    absent = np.array([one is _ABSENT for one in found], dtype=np.bool_)
    return codes, absent if absent.any() else None, sum(one is _UNSEEN for one in found)


def _spread(result: Rows, field: Field, values: NDArray[np.float64], absent: NDArray[np.bool_] | None) -> None:
    """Write the numbers of a categorical input into its slots."""
    if field.kind == "value":
        result[:, field.first] = values
        return
    given = np.arange(len(values)) if absent is None else np.flatnonzero(~absent)
    codes = values[given]
    if field.kind == "binary":
        bits = np.where(np.isnan(codes), -1.0, codes).astype(np.int64) + 1
        for place in range(field.width):
            result[given, field.first + place] = bits >> place & 1
        return
    hot = np.where(np.isnan(codes), field.width - 1, codes).astype(np.int64)
    result[given, field.first : field.first + field.width] = 0.0
    result[given, field.first + hot] = 1.0
