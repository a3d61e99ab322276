"""Typed columns to the pandas DataFrame that an estimator was fitted on. pandas is imported here alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.runtime.base import Array, Columns, TensorSpec
from tidegate.runtime.frameworks import import_framework
from tidegate.runtime.introspect import ColumnFacts


class FrameBuilder:
    """Builds DataFrames with the columns of a signature, in its order.

    Numbers are float64. Text is an object column with the model's own marker where a value is missing, or a pandas
    categorical where the model asks for one.
    """

    def __init__(self, specs: Sequence[TensorSpec], facts: Mapping[str, ColumnFacts]) -> None:
        self._pandas = import_framework("pandas", extra="sklearn", what="A model with named columns")
        self._names = [spec.name for spec in specs]
        self._index = self._pandas.Index(self._names)
        self._all_float = all(spec.datatype == "FP64" and not _category(facts, spec.name) for spec in specs)
        self._missing = {spec.name: facts[spec.name].missing for spec in specs if spec.datatype == "BYTES"}
        self._categories = {
            spec.name: self._pandas.CategoricalDtype(list(values))
            for spec in specs
            if (values := _category(facts, spec.name)) is not None
        }

    def __call__(self, inputs: Columns) -> Any:
        if self._all_float:
            rows = len(inputs[self._names[0]])
            # One block in Fortran order is what pandas would make of the columns: nothing is copied a second time.
            block = np.empty((rows, len(self._names)), dtype=np.float64, order="F")
            for position, name in enumerate(self._names):
                block[:, position] = inputs[name]
            return self._pandas.DataFrame(block, columns=self._index, copy=False)
        columns = {name: self._column(name, inputs[name]) for name in self._names}
        return self._pandas.DataFrame(columns, columns=self._index, copy=False)

    def _column(self, name: str, column: Array) -> Any:
        if name in self._categories:
            return self._pandas.Categorical(column, dtype=self._categories[name])
        if name not in self._missing:
            return column
        missing = self._missing[name]
        if missing is None:
            return self._pandas.Series(column, dtype=object)
        filled = np.array([missing if value is None else value for value in column.tolist()], dtype=object)
        # A Series of dtype object: pandas 3 would turn a bare array of texts into its own `str` type.
        return self._pandas.Series(filled, dtype=object)


def _category(facts: Mapping[str, ColumnFacts], name: str) -> Sequence[Any] | None:
    return facts[name].category_values
