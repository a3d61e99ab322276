"""A `ColumnTransformer` boiled down to tables and a little arithmetic, read off from its own fitted steps.

Encoders of text look at each column by itself, so what they make of a value can be asked of them once, while the model
loads, for every value that they know and for one that they do not. At serving time a value is looked up. Steps that
fill gaps in numbers and scale them are four operations, which are done here in the same order. Whatever is not known to
be of that kind is left to the other ways.

Only attributes are read here, by the name of the class; scikit-learn is not imported.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tidegate.runtime.array_path import NotApplicableError, is_splitter
from tidegate.runtime.base import Array, Columns, TensorSpec
from tidegate.runtime.introspect import ColumnFacts, picked_columns
from tidegate.runtime.sklearn_answers import RefusedError

_ENCODERS = {
    "sklearn.impute._base.SimpleImputer",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._encoders.OrdinalEncoder",
    "sklearn.preprocessing._target_encoder.TargetEncoder",
}
#: Numbers in all tables of one model.
_MAX_TABLE = 4_000_000
#: Above this width a row is no longer put together as a list.
_MAX_LISTED = 512
_UNKNOWN = "\u2014 a value that nobody was trained on \u2014"


@dataclass(frozen=True)
class _Text:
    """One column of text: `codes` gives the row of `table` for a value, `table` what goes to columns `places`.

    The last two rows of the table stand for a missing and for an unknown value; `refused` are rows that scikit-learn
    raises an error for.
    """

    name: str
    codes: Mapping[Any, int]
    table: Array
    listed: Sequence[Sequence[float]]
    places: slice
    refused: frozenset[int]

    @property
    def unknown(self) -> int:
        return len(self.table) - 1


@dataclass(frozen=True)
class _Number:
    """One column of numbers: gaps become `fill`, then each operation is done with its number."""

    name: str
    place: int
    fill: float
    operations: Sequence[tuple[str, float]]


class ColumnPlan:
    """Makes the matrix that a fitted `ColumnTransformer` makes, dense, float64, from typed columns.

    Args:
        splitter: the fitted transformer.
        specs: the input columns.
        facts: of all columns that it was fitted on, in their order, which positions count.
        order: of the matrix in memory.

    Raises:
        NotApplicableError: a part of it is not of the kinds known here.
    """

    def __init__(
        self,
        splitter: Any,
        specs: Sequence[TensorSpec],
        facts: Mapping[str, ColumnFacts],
        *,
        order: Literal["C", "F"] = "C",
    ) -> None:
        self._order = order
        output = getattr(splitter, "_sklearn_output_config", {}).get("transform", "default")
        if not is_splitter(splitter) or splitter.transformer_weights or output != "default":
            raise NotApplicableError
        datatypes = {spec.name: spec.datatype for spec in specs}
        names = list(facts)
        self.first = specs[0].name
        self.width = max((place.stop for place in splitter.output_indices_.values()), default=0)
        self._constants = np.zeros(self.width)
        self._texts: list[_Text] = []
        self._numbers: list[_Number] = []
        with warnings.catch_warnings():
            # The steps were fitted on columns with names and are asked about arrays.
            warnings.simplefilter("ignore")
            for label, transformer, chosen in splitter.transformers_:
                if isinstance(transformer, str) and transformer == "drop":
                    continue
                if isinstance(transformer, str) or isinstance(chosen, str):
                    raise NotApplicableError
                columns = picked_columns(chosen, names)
                if columns:
                    kinds: set[str] = {datatypes[name] for name in columns}
                    steps = list(_steps([transformer]))
                    self._add(steps, columns, kinds, facts, splitter.output_indices_[label])
        if sum(text.table.size for text in self._texts) > _MAX_TABLE:
            raise NotApplicableError
        self._listed = self._constants.tolist() if self.width <= _MAX_LISTED else None

    def _add(
        self, steps: Sequence[Any], columns: Sequence[str], kinds: set[str], facts: Mapping[str, ColumnFacts],
        places: slice,
    ) -> None:  # fmt: skip
        if kinds == {"BYTES"}:
            texts, constants = _tabulated(steps, columns, facts, places)
            self._texts += texts
            self._constants[places] = constants
        elif kinds == {"FP64"} and not any(facts[name].category_values for name in columns):
            if places.stop - places.start != len(columns):
                raise NotApplicableError
            programs = _arithmetic(steps, len(columns))
            self._numbers += [
                _Number(name, places.start + index, *programs[index]) for index, name in enumerate(columns)
            ]
        else:
            raise NotApplicableError

    def __call__(self, inputs: Columns) -> Array:
        """Return the matrix, shape [rows, width].

        Raises:
            RefusedError: scikit-learn raises an error for one of the values.
        """
        rows = len(inputs[self.first])
        if rows == 1 and self._listed is not None:
            return self._one_row(inputs, self._listed[:])
        matrix = np.empty((rows, self.width), order=self._order)
        matrix[:] = self._constants
        for number in self._numbers:
            matrix[:, number.place] = _computed(number, inputs[number.name])
        for text in self._texts:
            find, unknown = text.codes.get, text.unknown
            codes = [find(value, unknown) for value in inputs[text.name].tolist()]
            if text.refused and not text.refused.isdisjoint(codes):
                raise RefusedError
            matrix[:, text.places] = text.table.take(codes, axis=0)
        return matrix

    def _one_row(self, inputs: Columns, row: list[float]) -> Array:
        # With Python's numbers, which compute the same: each call of NumPy would cost as much as all of a column here.
        for number in self._numbers:
            value = inputs[number.name].item()
            if value != value:  # noqa: PLR0124 (NaN)
                value = number.fill
            elif math.isinf(value):
                raise RefusedError
            for operation, operand in number.operations:
                if operation == "-":
                    value -= operand
                elif operation == "/":
                    value /= operand
                elif operation == "*":
                    value *= operand
                else:
                    value += operand
            row[number.place] = value
        for text in self._texts:
            code = text.codes.get(inputs[text.name].item(), text.unknown)
            if code in text.refused:
                raise RefusedError
            row[text.places] = text.listed[code]
        return np.array([row])


def _steps(steps: Iterable[Any]) -> Iterable[Any]:
    for step in steps:
        output = getattr(step, "_sklearn_output_config", {}).get("transform", "default")
        if not type(step).__module__.startswith("sklearn.") or output != "default":
            raise NotApplicableError
        if _kind(step) == "sklearn.pipeline.Pipeline":
            yield from _steps([inner for _, inner in step.steps if inner not in (None, "passthrough")])
        else:
            yield step


def _kind(step: Any) -> str:
    return f"{type(step).__module__}.{type(step).__name__}"


# --- numbers -------------------------------------------------------------------------------------------------------


def _computed(number: _Number, column: Array) -> Array:
    if np.isinf(column).any():
        raise RefusedError
    values = np.where(np.isnan(column), number.fill, column)
    for operation, operand in number.operations:
        _IN_PLACE[operation](values, operand, out=values)
    return values


_IN_PLACE: Mapping[str, Any] = {"-": np.subtract, "/": np.divide, "*": np.multiply, "+": np.add}


def _arithmetic(steps: Sequence[Any], width: int) -> list[tuple[float, list[tuple[str, float]]]]:
    """Return for each column what fills its gaps (NaN: nothing) and the operations that follow."""
    fills = np.full(width, np.nan)
    operations: list[list[tuple[str, float]]] = [[] for _ in range(width)]
    for step in steps:
        if _kind(step) == "sklearn.impute._base.SimpleImputer":
            # Only ahead of the scaling: what is filled in is scaled with the rest.
            fills = _fills(step, width, is_first=not any(operations) and bool(np.isnan(fills).all()))
            continue
        for operation, operands in _operations_of(step):
            if operands is None:
                continue
            if np.shape(operands) != (width,):
                raise NotApplicableError
            for own, operand in zip(operations, np.asarray(operands, dtype=np.float64).tolist(), strict=True):
                own.append((operation, operand))
    return list(zip(fills.tolist(), operations, strict=True))


def _fills(imputer: Any, width: int, *, is_first: bool) -> Array:
    marker = imputer.missing_values
    is_nan = isinstance(marker, float) and math.isnan(marker)
    fills = np.asarray(imputer.statistics_)
    if not is_first or not is_nan or imputer.add_indicator or fills.shape != (width,) or fills.dtype.kind not in "fiu":
        raise NotApplicableError
    if np.isnan(fills.astype(np.float64)).any():  # such a column is left out of the answer
        raise NotApplicableError
    return fills.astype(np.float64)


def _operations_of(step: Any) -> list[tuple[str, Any]]:
    kind = _kind(step)
    if kind == "sklearn.preprocessing._data.StandardScaler":
        return [("-", step.mean_ if step.with_mean else None), ("/", step.scale_ if step.with_std else None)]
    if kind == "sklearn.preprocessing._data.RobustScaler":
        return [("-", step.center_ if step.with_centering else None), ("/", step.scale_ if step.with_scaling else None)]
    if kind == "sklearn.preprocessing._data.MinMaxScaler" and not step.clip:
        return [("*", step.scale_), ("+", step.min_)]
    if kind == "sklearn.preprocessing._data.MaxAbsScaler":
        return [("/", step.scale_)]
    if kind == "sklearn.preprocessing._function_transformer.FunctionTransformer" and _only_checks(step.func):
        return []
    raise NotApplicableError


def _only_checks(function: Any) -> bool:
    """Whether a function gives numbers back as they are: none, or the check that histogram boosting has there."""
    checked = function.func if isinstance(function, functools.partial) else function
    return checked is None or f"{checked.__module__}.{checked.__qualname__}" == "sklearn.utils.validation.check_array"


# --- text ----------------------------------------------------------------------------------------------------------


def _tabulated(
    steps: Sequence[Any], columns: Sequence[str], facts: Mapping[str, ColumnFacts], places: slice
) -> tuple[list[_Text], Array]:
    """Ask the steps about every value of every column; return the tables, and the outputs that never change."""
    if any(_kind(step) not in _ENCODERS or getattr(step, "add_indicator", False) for step in steps):
        raise NotApplicableError
    known = [_known_values(steps, position, len(columns)) for position in range(len(columns))]
    if sum(map(len, known)) * (places.stop - places.start) > _MAX_TABLE:
        raise NotApplicableError
    base = [values[0] for values in known]
    texts, taken = [], np.zeros(places.stop - places.start, dtype=bool)
    constants = _asked(steps, [base])[0]
    for position, (name, values) in enumerate(zip(columns, known, strict=True)):
        marker = facts[name].missing
        # A pandas categorical knows no other values than its own: they arrive as missing.
        other = marker if facts[name].category_values else _UNKNOWN
        rows = [_with(base, position, value) for value in values]
        try:
            answers = [_asked(steps, rows)]
        except ValueError as error:
            raise NotApplicableError from error
        refused = set()
        for offset, value in enumerate((marker, other)):
            try:
                answers.append(_asked(steps, [_with(base, position, value)]))
            except ValueError:
                refused.add(len(values) + offset)
                answers.append(constants.reshape(1, -1))
        table = np.concatenate(answers)
        # NaN is unlike itself: a column of nothing else never changes.
        changing = np.flatnonzero((table != table[0]).any(axis=0) & ~np.isnan(table).all(axis=0))
        first, last = (int(changing[0]), int(changing[-1]) + 1) if len(changing) else (0, 0)
        if taken[first:last].any():
            raise NotApplicableError
        taken[first:last] = True
        codes: dict[Any, int] = {value: code for code, value in enumerate(values)}
        codes[None] = len(values)
        table, own = np.ascontiguousarray(table[:, first:last]), slice(places.start + first, places.start + last)
        texts.append(_Text(name, codes, table, table.tolist(), own, frozenset(refused)))
    return texts, constants


def _with(base: Sequence[Any], position: int, value: Any) -> list[Any]:
    return [*base[:position], value, *base[position + 1 :]]


def _known_values(steps: Sequence[Any], position: int, width: int) -> list[str]:
    """Return the text values of a column that any of its steps treats in a way of its own."""
    values: dict[str, None] = {}
    for step in steps:
        found = getattr(step, "categories_", None)
        if found is not None and len(found) == width:
            values |= dict.fromkeys(value for value in found[position].tolist() if isinstance(value, str))
        elif hasattr(step, "statistics_") and len(step.statistics_) == width:
            told = (step.statistics_[position], step.missing_values)
            values |= dict.fromkeys(value for value in told if isinstance(value, str))
        else:
            raise NotApplicableError
    if not any(hasattr(step, "categories_") for step in steps) or not values:
        raise NotApplicableError
    return sorted(values, key=lambda value: (not _is_category(steps, position, value), value))


def _is_category(steps: Sequence[Any], position: int, value: str) -> bool:
    return all(value in step.categories_[position].tolist() for step in steps if hasattr(step, "categories_"))


def _asked(steps: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Array:
    data: Any = np.array([list(row) for row in rows], dtype=object).reshape(len(rows), -1)
    for step in steps:
        data = step.transform(data)
    if hasattr(data, "toarray"):
        data = data.toarray()
    return np.asarray(data, dtype=np.float64)
