"""From typed columns to what frameworks take: float matrices, category codes, DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.runtime.base import Array, Columns, Datatype


def sample_values(sample: Sequence[Mapping[str, Any]] | None, name: str) -> list[Any]:
    """Return the values of a column in the user's sample rows that are not missing."""
    values = [row.get(name) for row in sample or ()]
    return [value for value in values if value is not None and value != ""]


def datatype_from_sample(values: Sequence[Any]) -> Datatype | None:
    """Return BYTES for text, FP64 for numbers (so that they may be missing), BOOL for true and false; None for none."""
    if not values:
        return None
    if any(isinstance(value, str) for value in values):
        return "BYTES"
    if all(isinstance(value, bool) for value in values):
        return "BOOL"
    return "FP64" if all(isinstance(value, (int, float)) for value in values) else None


class Codes:
    """Values of one category to the codes 0, 1, 2, … of the model, missing ones to NaN.

    Args:
        values: the categories in the model's order, all text or all numbers.
        unknown: the code of a value that is not among them.
    """

    def __init__(self, values: Sequence[Any], unknown: float) -> None:
        self.values = tuple(values)
        self.is_text = all(isinstance(value, str) for value in self.values)
        self._codes: dict[Any, float] = {value: float(code) for code, value in enumerate(self.values)}
        self._codes[None] = float("nan")
        self._unknown = unknown

    def encode(self, column: Array) -> Array:
        """Return float64 codes, shape as given."""
        find, unknown = self._codes.get, self._unknown
        codes = np.array([find(value, unknown) for value in column.tolist()], dtype=np.float64)
        if column.dtype.kind == "f":
            codes[np.isnan(column)] = np.nan
        return codes


def matrix(inputs: Columns, names: Sequence[str], codes: Mapping[str, Codes]) -> Array:
    """Return the columns side by side, shape [rows, columns], float64, text columns as codes."""
    rows = len(inputs[names[0]])
    result = np.empty((rows, len(names)), dtype=np.float64)
    for position, name in enumerate(names):
        column = inputs[name]
        coder = codes.get(name)
        result[:, position] = column if coder is None else coder.encode(column)
    return result
