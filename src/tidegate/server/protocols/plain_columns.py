"""Columns of one datatype read together: for a request of one row NumPy is called once and not twenty times.

A table of twenty columns becomes one matrix for each of its datatypes, whose rows are the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from tidegate.runtime.base import NUMPY_DTYPES, Array, TensorSpec
from tidegate.server.protocols.flat_arrays import are_of, flat_array
from tidegate.server.protocols.values import ACCEPTED_KINDS, family


class _Group(NamedTuple):
    """Columns that are read together: all of shape `(-1,)` and of one datatype.

    Attributes:
        values_of: picks the group's values out of a mapping by the inputs' names.
        kinds: types of the values that the columns take as they are.
    """

    names: tuple[str, ...]
    values_of: Callable[[Any], tuple[Any, ...]]
    kinds: frozenset[type]
    dtype: np.dtype[Any]


class PlainColumns:
    """Makes the inputs of a signature whose inputs are all columns, of values that are plainly right."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._groups = _groups(specs)
        self._order = tuple(spec.name for spec in specs)

    def of_columns(self, columns: dict[str, list[Any]], rows: int) -> dict[str, Array] | None:
        """Return the inputs; None when a value is not of a kind that its column takes as it is, or does not fit.

        Args:
            columns: at least one list per input, each of `rows` values.
        """
        inputs: dict[str, Array] = {}
        for group in self._groups:
            matrix = _matrix(group, list(chain.from_iterable(group.values_of(columns))), (-1, rows))
            if matrix is None:
                return None
            inputs.update(zip(group.names, matrix, strict=True))
        return self._in_order(inputs)

    def of_records(self, records: list[Any], rows: int) -> dict[str, Array] | None:
        """Return the inputs; None when a row is no object or lacks an input, or for a value as in `of_columns`."""
        inputs: dict[str, Array] = {}
        for group in self._groups:
            try:
                if rows == 1:
                    matrix = _matrix(group, group.values_of(records[0]), (-1, 1))
                else:
                    values = list(chain.from_iterable(map(group.values_of, records)))
                    matrix = _matrix(group, values, (rows, -1))
            except (KeyError, TypeError, IndexError):
                return None
            if matrix is None:
                return None
            columns = matrix if rows == 1 else np.ascontiguousarray(matrix.T)
            inputs.update(zip(group.names, columns, strict=True))
        return self._in_order(inputs)

    def _in_order(self, inputs: dict[str, Array]) -> dict[str, Array] | None:
        """Return the inputs in the signature's order, whatever the order of the groups; None when there is no group."""
        if len(self._groups) == 1:
            return inputs
        return {name: inputs[name] for name in self._order} if inputs else None


def _matrix(group: _Group, values: Sequence[Any], shape: tuple[int, int]) -> Array | None:
    if not are_of(group.kinds, values):
        return None
    array = flat_array(group.dtype, values)
    return None if array is None else array.reshape(shape)


def _groups(specs: Sequence[TensorSpec]) -> tuple[_Group, ...]:
    """Return the groups that hold every input; none when an input is not a plain column."""
    if any(spec.shape != (-1,) for spec in specs):
        return ()
    by_datatype: dict[str, list[str]] = {}
    for spec in specs:
        by_datatype.setdefault(spec.datatype, []).append(spec.name)
    return tuple(
        _Group(tuple(names), _getter(names), ACCEPTED_KINDS[family(datatype)], NUMPY_DTYPES[datatype])
        for datatype, names in by_datatype.items()
    )


def _getter(names: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    wanted = tuple(names)
    get = itemgetter(*wanted)
    if len(wanted) == 1:  # then an itemgetter returns the value itself
        return lambda holder: (get(holder),)
    return get
