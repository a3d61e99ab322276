"""The kinds of table that a model takes, as columns; and answers in the kind that came.

The libraries of these tables are used only where the caller has imported them already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence, Set
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


def is_row(data: Mapping[Any, Any], names: Collection[str]) -> bool:
    """Say whether a mapping is one row, not columns: none of the values that matter is a list, an array or a series.

    Args:
        names: the columns that matter. Where none of them is there, all do.
    """
    if _SCALARS.issuperset(map(type, data.values())):
        return True
    return not any(map(_is_column, _that_matter(data, names).values()))


def _that_matter(data: Mapping[Any, Any], names: Collection[str]) -> Mapping[Any, Any]:
    return {name: value for name, value in data.items() if name in names} or data


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes)) and getattr(value, "ndim", 1) > 0


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
        return _from_columns(data, names)
    if isinstance(data, np.ndarray) and data.dtype.names and data.ndim == 1:
        found = {name: unmasked(data[name]) for name in data.dtype.names if name in names}
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


def _from_columns(data: Mapping[Any, Any], names: Collection[str]) -> Table:
    sizes, columns = {}, {}
    for name, column in _that_matter(data, names).items():
        if not _is_column(column):
            raise InvalidInput(
                f"The column {name!r} is a single value, and others are columns.",
                subject=str(name),
                expected="values of one row, or a column for each name",
            )
        if isinstance(column, (Mapping, Set)):
            raise InvalidInput(
                f"The column {name!r} is a {type(column).__name__}, whose values are in no order that rows have.",
                subject=str(name),
                expected="a list, an array or a series",
                hint='Of pandas, frame.to_dict("list") gives such columns; or hand over the frame itself.',
            )
        sizes[name] = len(column)
        if name in names:
            columns[name] = _listed(column)
    if len(set(sizes.values())) > 1:
        least, most = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
        raise InvalidInput(
            f"The columns differ in length: {least!r} has {sizes[least]} values, {most!r} has {sizes[most]}.",
            subject=str(most),
        )
    return Table(columns, next(iter(sizes.values()), 0), dict)


def _listed(column: Any) -> Column:
    """Return a column of a dict as an array of one dimension or a list."""
    if isinstance(column, (list, tuple)):
        return column
    if isinstance(column, np.ndarray) and column.ndim == 1:
        return unmasked(column)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(column, pandas.Series):
        return _pandas_column(pandas, column, numeric=False)
    if hasattr(column, "to_pylist"):
        listed: list[Any] = column.to_pylist()
        return listed
    return list(column)


def unmasked(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in which what a mask hides is missing: NaN among numbers, else None."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    is_hidden = np.ma.getmaskarray(array)
    if array.dtype.kind in "fiub":
        return np.where(is_hidden, np.nan, array.data.astype(np.float64))
    values: NDArray[np.object_] = array.data.astype(object)
    values[is_hidden] = None
    return values


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
        return polars.DataFrame(
            {
                # Of no rows, too, these are texts.
                name: polars.Series(column.tolist(), dtype=polars.String) if column.dtype.kind == "O" else column
                for name, column in outputs.items()
            }
        )

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
            name: arrow.array(column.tolist(), arrow.string()) if column.dtype.kind == "O" else arrow.array(column)
            for name, column in outputs.items()
        }
        return type(table).from_arrays(list(arrays.values()), names=list(arrays))

    return Table(columns, table.num_rows, answer)
