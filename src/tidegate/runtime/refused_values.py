"""Which value of a request a model refuses, found by asking it again once it has failed.

Encoders that were fitted without `handle_unknown` raise an error for a category that they never saw, and many steps do
for a missing value or infinity. They name a column by its position or not at all, and never the row. Asking again costs
nothing while requests are good, and knows of every kind of step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.contract.errors import ValueRefused
from tidegate.runtime.base import Array, Columns, TensorSpec

#: What steps raise for a value: the checks of scikit-learn the first, arithmetic and text methods on None the others.
REFUSALS = (ValueError, TypeError, AttributeError)

#: Trees of scikit-learn compute in FP32.
_MOST = float(np.finfo(np.float32).max)
#: What scikit-learn says of a value that it was given, also of a number that is none of its categories.
_SAID_OF_INPUT = ("Found unknown categories", "contains NaN", "contains infinity")
_SHOWN_CATEGORIES = 20
_SHOWN_CHARACTERS = 60


def refused_value(
    run: Callable[[Columns], Any],
    specs: Sequence[TensorSpec],
    inputs: Columns,
    example: Mapping[str, Any],
) -> ValueRefused | None:
    """Return the error that names the first value that makes the model fail.

    Only missing values, numbers beyond FP32 and text that is none of the known categories are looked at. The model must
    answer the same row with these replaced; a model that fails on ordinary values is at fault itself.

    Args:
        run: asks the model; raises one of `REFUSALS` where it refuses.
        specs: the inputs.
        inputs: what the model failed for.
        example: for some of the inputs, a value of one row that the model accepts.

    Returns:
        None when no such value is what it fails for.
    """
    unusual = {spec.name: _unusual(spec, inputs[spec.name]) for spec in specs}
    rows = np.flatnonzero(np.any([mask.reshape(len(mask), -1).any(axis=1) for mask in unusual.values()], axis=0))
    if not len(rows):
        return None

    def fails(chosen: Mapping[str, Array]) -> bool:
        try:
            run(chosen)
        except REFUSALS:
            return True
        return False

    suspects = {name: column[rows] for name, column in inputs.items()}
    first = _first_failing(len(rows), lambda count: fails({name: suspects[name][:count] for name in suspects}))
    if first is None:
        return None
    row = int(rows[first])
    given = {name: column[row : row + 1] for name, column in inputs.items()}
    places = [(spec, place) for spec in specs for place in np.argwhere(unusual[spec.name][row : row + 1]).tolist()]

    def with_the_first(count: int) -> dict[str, Array]:
        mended = {name: column.copy() for name, column in given.items()}
        for spec, place in places[count:]:
            mended[spec.name][tuple(place)] = _usual(spec, example)
        return mended

    if fails(with_the_first(0)):
        return None
    culprit = _first_failing(len(places), lambda count: fails(with_the_first(count)))
    if culprit is None:
        return None
    spec, place = places[culprit]
    return _error(spec, row, given[spec.name][tuple(place)])


def refused_otherwise(error: Exception, run: Callable[[Columns], Any], trial: Columns) -> ValueRefused | None:
    """Return the error for a value that `refused_value` does not know of, when scikit-learn says that it is one.

    Args:
        error: what the model failed with.
        run: as for `refused_value`.
        trial: inputs that a sound model answers; one that fails on them as well is at fault itself.
    """
    if not isinstance(error, ValueError) or not any(said in str(error) for said in _SAID_OF_INPUT):
        return None
    try:
        run(trial)
    except REFUSALS:
        return None
    said = " ".join(str(error).split(". ")[0].split())[:400]
    return ValueRefused(f"the model does not take a value of this request: {said}", expected="values like its sample's")


def _first_failing(count: int, fails: Callable[[int], bool]) -> int | None:
    """Return the position of the first of `count` things with which `fails(how many)`; None when all of them pass."""
    if not fails(count):
        return None
    passes, failing = 0, count
    while failing - passes > 1:
        middle = (passes + failing) // 2
        if fails(middle):
            failing = middle
        else:
            passes = middle
    return failing - 1


def _unusual(spec: TensorSpec, values: Array) -> Array:
    if values.dtype.kind == "f":
        return ~(np.abs(values) <= _MOST)
    if values.dtype.kind != "O":
        return np.zeros(values.shape, dtype=bool)
    known = None if spec.categories is None else set(spec.categories)
    found = [value is None or (known is not None and value not in known) for value in values.ravel().tolist()]
    return np.array(found, dtype=bool).reshape(values.shape)


def _usual(spec: TensorSpec, example: Mapping[str, Any]) -> Any:
    known = example.get(spec.name)
    if spec.datatype != "BYTES":
        return known if isinstance(known, (int, float)) else 1.0
    if isinstance(known, str):
        return known
    return spec.categories[0] if spec.categories else ""


def _error(spec: TensorSpec, row: int, value: Any) -> ValueRefused:
    is_number = spec.datatype != "BYTES"
    expected = "a number that fits FP32" if is_number else _accepted(spec)
    if value is None or value != value:  # noqa: PLR0124 (NaN)
        got, wrong = "null", "the model takes no missing value here"
    elif is_number:
        got, wrong = f"{value:.6g}", f"{value:.6g} is more than the model can compute with"
    else:
        got = repr(value if len(value) <= _SHOWN_CHARACTERS else value[: _SHOWN_CHARACTERS - 1] + "\u2026")
        wrong = f"{got} is none of the categories that the model knows"
    return ValueRefused(
        f"field {spec.name!r}, row {row}: {wrong}",
        subject=f"{spec.name}[{row}]",
        expected=expected,
        got=got,
    )


def _accepted(spec: TensorSpec) -> str:
    if not spec.categories:
        return "text"
    shown = ", ".join(
        repr(name if len(name) <= _SHOWN_CHARACTERS else name[: _SHOWN_CHARACTERS - 1] + "\u2026")
        for name in spec.categories[:_SHOWN_CATEGORIES]
    )
    more = len(spec.categories) - _SHOWN_CATEGORIES
    return f"one of {shown}" + (f" and {more} more" if more > 0 else "")
