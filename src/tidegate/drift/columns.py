"""What data is made of: one column of numbers or of levels, as NumPy holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput

Numbers = NDArray[np.float64]
Levels = NDArray[np.object_]
#: One-dimensional: float64 with NaN for what is missing, or objects, texts with None for what is missing.
Column = Numbers | Levels
#: What programs that write tables put where a number is missing. Among texts each is like any other: Namibia is NA.
NO_NUMBER = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-"})


def columns_of(data: Any) -> dict[str, Column]:
    """Return the columns of some rows.

    Args:
        data: a mapping of names to sequences, or a frame of pandas or Polars, or an Arrow table. Numbers, booleans (as
            0 and 1) and times (as seconds since 1970) become numbers; texts, and whatever else there is, levels.

    Raises:
        InvalidInput: columns are of different lengths, have more than one dimension, or there are none.
    """
    named = data if isinstance(data, Mapping) else _of_frame(data)
    columns = {str(name): column_of(values, str(name)) for name, values in named.items()}
    if not columns:
        raise InvalidInput("there are no columns", expected="at least one named column")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        first, *_ = lengths
        other = next(name for name, length in lengths.items() if length != lengths[first])
        raise InvalidInput(
            f"columns {first!r} and {other!r} are of different lengths",
            subject=other,
            expected=f"{lengths[first]:,} values",
            got=f"{lengths[other]:,}",
        )
    return columns


def column_of(values: Any, name: str) -> Column:
    """Return one column; see `columns_of`."""
    array = np.asarray(values, dtype=object if _has_texts(values) else None)
    if array.ndim != 1:
        raise InvalidInput(
            f"column {name!r} has {array.ndim} dimensions", subject=name, expected="one value for each row"
        )
    if array.dtype.kind in "fiub":
        return np.ascontiguousarray(array, dtype=np.float64)
    if array.dtype.kind in "mM":
        return _seconds(array)
    return _of_objects(array.astype(object))


def _has_texts(values: Any) -> bool:
    """Say whether these are Python's own texts, of which NumPy would make an array as wide as the longest of them."""
    return isinstance(values, list | tuple) and any(issubclass(kind, str) for kind in set(map(type, values)))


def numbers_in(column: Column) -> Numbers | None:
    """Return the column when it is one of numbers."""
    return None if column.dtype == object else column.astype(np.float64, copy=False)


def as_numbers(column: Column) -> Numbers:
    """Return the column as numbers, texts by what they say.

    One that stands for a missing number is missing; another that says no number is infinite, which none is like.
    """
    numbers = numbers_in(column)
    return np.array([_said(value) for value in column.tolist()], dtype=np.float64) if numbers is None else numbers


def as_levels(column: Column) -> Levels:
    """Return the column as levels. A number is the level of its shortest text, a whole one without a point."""
    numbers = numbers_in(column)
    levels: Levels = np.empty(len(column), dtype=object)
    levels[:] = column if numbers is None else [_text_of(value) for value in numbers.tolist()]
    return levels


def _said(value: str | None) -> float:
    if value is None or value in NO_NUMBER:
        return np.nan
    try:
        return float(value)
    except ValueError:
        return np.inf


def _text_of(value: float) -> str | None:
    if value != value:  # noqa: PLR0124
        return None
    return str(int(value)) if value.is_integer() else repr(value)


def _of_frame(data: Any) -> dict[str, Any]:
    if not hasattr(data, "columns"):
        raise InvalidInput(
            "these are no columns",
            expected="a mapping of names to sequences, a frame of pandas or Polars, or an Arrow table",
            got=type(data).__name__,
        )
    names = getattr(data, "column_names", None) or list(data.columns)
    return {str(name): data[name] for name in names}


def _seconds(array: NDArray[Any]) -> Numbers:
    seconds = array.astype("datetime64[us]" if array.dtype.kind == "M" else "timedelta64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(array), np.nan, seconds)


def _of_objects(array: Levels) -> Column:
    """Return objects as numbers where all that are there are numbers, else as texts."""
    values = array.tolist()
    # The types of all values are found in no time; mostly they say that each is a text, or missing.
    kinds = set(map(type, values))
    if kinds <= {str, type(None)} and str in kinds:
        return array
    if kinds <= {str, type(None), float} and str in kinds and all(v != v for v in values if type(v) is float):  # noqa: PLR0124
        return _objects([value if type(value) is str else None for value in values])
    there = [value for value in values if not _is_missing(value)]
    if there and all(isinstance(value, int | float | np.number) for value in there):
        return np.array([np.nan if _is_missing(value) else float(value) for value in values])
    return _objects([None if _is_missing(value) else value if type(value) is str else str(value) for value in values])


def _objects(values: list[str | None]) -> Levels:
    found: Levels = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _is_missing(value: Any) -> bool:
    # NaN of whatever kind, NaT and pandas' NA among them: what is not equal to itself, or cannot say.
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124
    except (TypeError, ValueError):
        return True
