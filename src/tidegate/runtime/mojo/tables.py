"""The kinds of table that a model takes, as columns; and answers in the kind that came.

The libraries of these tables are used only where the caller has imported them already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.mojo.rows import Column, Dictionary
from tidegate.runtime.mojo.values import ABSENT

Answers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """What came.

    Attributes:
        columns: those that were asked for and are there.
        rows: how many.
        answer: makes of the outputs a table of the kind that came.
    """

    columns: Mapping[str, Column]
    rows: int
    answer: Callable[[Answers], Any]


_SCALARS = frozenset({str, float, int, bool, type(None)})


def is_row(data: Mapping[Any, Any]) -> bool:
    """Say whether a dict is one row, not columns: no value is a list, an array or a series."""
    if _SCALARS.issuperset(map(type, data.values())):
        return True
    return not any(hasattr(value, "__len__") and not isinstance(value, (str, bytes)) for value in data.values())


def read_table(data: Any, names: Collection[str], numeric: Collection[str]) -> Table:
    """Take a table.

    Args:
        data: a DataFrame of pandas or Polars, a table or record batch of Arrow, a structured array of NumPy, a dict of
            columns, or a list of dicts.
        names: the columns that matter.
        numeric: those of them that are numbers to the model.

    Raises:
        InvalidInput: it is none of these, or its columns differ in length.
    """
    pandas, polars, arrow = (sys.modules.get(name) for name in ("pandas", "polars", "pyarrow"))
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _from_pandas(pandas, data, names, numeric)
    if polars is not None and isinstance(data, polars.DataFrame):
        return _from_polars(polars, data, names, numeric)
    if arrow is not None and isinstance(data, (arrow.Table, arrow.RecordBatch)):
        return _from_arrow(arrow, data, names, numeric)
    if isinstance(data, Mapping):
        return _from_columns({name: data[name] for name in data if name in names}, data)
    if isinstance(data, np.ndarray) and data.dtype.names:
        found = {name: data[name] for name in data.dtype.names if name in names}
        return Table(found, len(data), dict)
    if isinstance(data, (list, tuple)) and all(isinstance(row, Mapping) for row in data):
        return _from_rows(data, names)
    raise InvalidInput(
        f"A {type(data).__module__}.{type(data).__qualname__} is no table that a MOJO takes.",
        expected="a DataFrame of pandas or Polars, an Arrow table, a dict of columns, a list of dicts, or one dict",
    )


def _from_rows(rows: Sequence[Mapping[Any, Any]], names: Collection[str]) -> Table:
    columns = {name: [row.get(name, ABSENT) for row in rows] for name in names}

    def answer(outputs: Answers) -> list[dict[str, Any]]:
        listed = [column.tolist() for column in outputs.values()]
        return [dict(zip(outputs, values, strict=True)) for values in zip(*listed, strict=True)]

    return Table(columns, len(rows), answer)


def _from_columns(found: Mapping[str, Any], data: Mapping[Any, Any]) -> Table:
    sizes = {}
    for name, column in data.items():
        if isinstance(column, (str, bytes)) or not hasattr(column, "__len__"):
            raise InvalidInput(
                f"The column {name!r} is a single value, and others are columns.",
                subject=str(name),
                expected="values of one row, or a column for each name",
            )
        sizes[name] = len(column)
    if len(set(sizes.values())) > 1:
        least, most = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
        raise InvalidInput(
            f"The columns differ in length: {least!r} has {sizes[least]} values, {most!r} has {sizes[most]}.",
            subject=str(most),
        )
    return Table({name: _listed(column) for name, column in found.items()}, next(iter(sizes.values()), 0), dict)


def _listed(column: Any) -> Column:
    """Return a column of a dict as an array of one dimension or a list."""
    if isinstance(column, (list, tuple)):
        return column
    if isinstance(column, np.ndarray) and column.ndim == 1:
        return column
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(column, pandas.Series):
        return _pandas_column(pandas, column, numeric=False)
    if hasattr(column, "to_pylist"):
        listed: list[Any] = column.to_pylist()
        return listed
    return list(column)


def _from_pandas(pandas: Any, frame: Any, names: Collection[str], numeric: Collection[str]) -> Table:
    columns = {}
    for label in frame.columns:
        name = str(label)
        if name not in names:
            continue
        series = frame[label]
        if series.ndim != 1:
            raise InvalidInput(f"The frame has several columns called {name!r}.", subject=name)
        columns[name] = _pandas_column(pandas, series, numeric=name in numeric)
    return Table(columns, len(frame), lambda outputs: pandas.DataFrame(dict(outputs), index=frame.index))


def _pandas_column(pandas: Any, series: Any, *, numeric: bool) -> Column:
    dtype = series.dtype
    if isinstance(dtype, pandas.CategoricalDtype):
        return Dictionary(series.cat.codes.to_numpy(np.int64), series.cat.categories.tolist())
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        own: NDArray[Any] = series.to_numpy()
        return own
    if numeric and pandas.api.types.is_numeric_dtype(dtype):
        filled: NDArray[Any] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return filled
    texts: list[Any] = series.to_numpy(dtype=object).tolist()
    return texts


def _from_polars(polars: Any, frame: Any, names: Collection[str], numeric: Collection[str]) -> Table:
    columns: dict[str, Column] = {}
    for name in frame.columns:
        if name not in names:
            continue
        series = frame.get_column(name)
        if series.dtype in (polars.Categorical, polars.Enum):
            columns[name] = _polars_categories(polars, series)
        elif name in numeric and (series.dtype.is_numeric() or series.dtype == polars.Boolean):
            columns[name] = series.cast(polars.Float64).to_numpy()
        else:
            columns[name] = series.to_list()

    def answer(outputs: Answers) -> Any:
        made = {name: column.tolist() if column.dtype.kind == "O" else column for name, column in outputs.items()}
        return polars.DataFrame(made)

    return Table(columns, frame.height, answer)


def _polars_categories(polars: Any, series: Any) -> Dictionary:
    # The codes may be those of a registry that all frames share, so only the values that occur are looked at.
    distinct = series.drop_nulls().unique()
    known = distinct.to_physical().cast(polars.Int64).to_numpy()
    order = np.argsort(known)
    own = series.to_physical().cast(polars.Int64).fill_null(-1).to_numpy()
    texts = distinct.cast(polars.String).to_list()
    return Dictionary(
        np.where(own < 0, -1, np.searchsorted(known[order], own)), [texts[place] for place in order.tolist()]
    )


def _from_arrow(arrow: Any, table: Any, names: Collection[str], numeric: Collection[str]) -> Table:
    columns: dict[str, Column] = {}
    for name in table.schema.names:
        if name not in names:
            continue
        if table.schema.names.count(name) > 1:
            raise InvalidInput(f"The table has several columns called {name!r}.", subject=name)
        array = table.column(name)
        if isinstance(array, arrow.ChunkedArray):
            array = arrow.concat_arrays(array.chunks) if array.num_chunks else arrow.array([], array.type)
        kinds = arrow.types
        if name in numeric and (kinds.is_integer(array.type) or kinds.is_floating(array.type)):
            columns[name] = array.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False)
            continue
        if kinds.is_string(array.type) or kinds.is_large_string(array.type):
            array = array.dictionary_encode()
        if kinds.is_dictionary(array.type):
            codes = array.indices.cast(arrow.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
            columns[name] = Dictionary(codes, array.dictionary.to_pylist())
        else:
            columns[name] = array.to_pylist()

    def answer(outputs: Answers) -> Any:
        arrays = {
            name: arrow.array(column.tolist()) if column.dtype.kind == "O" else arrow.array(column)
            for name, column in outputs.items()
        }
        return type(table).from_arrays(list(arrays.values()), names=list(arrays))

    return Table(columns, table.num_rows, answer)
