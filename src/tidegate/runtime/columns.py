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

    def code(self, value: Any) -> float:
        """Return the code of one value as Python has it; NaN for None and NaN."""
        return float("nan") if value != value else self._codes.get(value, self._unknown)  # noqa: PLR0124 (NaN)

    def encode(self, column: Array) -> Array:
        """Return float64 codes, shape as given."""
        find, unknown = self._codes.get, self._unknown
        codes = np.array([find(value, unknown) for value in column.tolist()], dtype=np.float64)
        if column.dtype.kind == "f":
            codes[np.isnan(column)] = np.nan
        return codes


class MatrixBuilder:
    """Puts typed columns side by side, shape [rows, columns], C order, text columns as codes.

    Args:
        names: the columns, in the order of the matrix.
        codes: the categories of those columns that have any, by name.
        dtype: float32 or float64; a float64 too large for float32 becomes infinite there.
    """

    def __init__(self, names: Sequence[str], codes: Mapping[str, Codes], dtype: Any) -> None:
        self._names = tuple(names)
        self._coders = [(position, name, codes[name]) for position, name in enumerate(names) if name in codes]
        self._numbers = [(position, name) for position, name in enumerate(names) if name not in codes]
        self._dtype = dtype

    def __call__(self, inputs: Columns) -> Array:
        rows = len(inputs[self._names[0]])
        with np.errstate(over="ignore"):
            if rows == 1:
                # Through Python's numbers: for one row that is half of what an assignment per column costs.
                row = [inputs[name].item() for name in self._names]
                for position, _, coder in self._coders:
                    row[position] = coder.code(row[position])
                return np.array([row], dtype=self._dtype)
            result = np.empty((rows, len(self._names)), dtype=self._dtype)
            for position, name in self._numbers:
                result[:, position] = inputs[name]
            for position, name, coder in self._coders:
                result[:, position] = coder.encode(inputs[name])
            return result
