"""Lists of Python values to flat arrays, quickly: the part of reading JSON that takes as long as parsing it."""

from __future__ import annotations

from collections.abc import Sequence
from struct import error as StructError  # noqa: N812
from struct import pack_into
from typing import Any

import numpy as np

from tidegate.runtime.base import Array

#: Letters of the module `struct` by kind and size of a dtype; it knows no objects.
_LETTERS = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
#: Up to so many values the plain ways are quicker: NumPy for numbers, and a set of types. Beyond, it is `struct`, which
#: does not ask of each value what it is, and counting.
_FEW = 64


def are_of(kinds: frozenset[type], values: Sequence[Any]) -> bool:
    """Say whether each value is of one of these types exactly: True is no `int` here."""
    if len(values) <= _FEW:
        return set(map(type, values)) <= kinds
    found = list(map(type, values))
    # The usual list holds one type, and counting that is much quicker than making a set.
    return (found[0] in kinds and found.count(found[0]) == len(found)) or set(found) <= kinds


def flat_array(dtype: np.dtype[Any], values: Sequence[Any]) -> Array | None:
    """Return the values as a flat array, None when a number does not fit the dtype.

    Args:
        values: numbers for a dtype of numbers, None among them for NaN where it is one of floats; bools; objects.
    """
    letter = _LETTERS.get(dtype.str[1:])
    is_narrow = dtype.kind == "f" and dtype.itemsize < 8
    if letter is None or (len(values) <= _FEW and not is_narrow):
        return _by_numpy(dtype, values)
    numbers = bytearray(len(values) * dtype.itemsize)
    try:
        pack_into(f"={len(values)}{letter}", numbers, 0, *values)
    except OverflowError:  # a float too large for a narrow one
        return None
    except StructError:
        if dtype.kind != "f":
            return None
        return _narrow(dtype, values) if is_narrow else _by_numpy(dtype, values)  # None among them is NaN
    return np.frombuffer(numbers, dtype)


def _by_numpy(dtype: np.dtype[Any], values: Sequence[Any]) -> Array | None:
    try:
        return np.array(values, dtype=dtype)
    except OverflowError:
        return None


def _narrow(dtype: np.dtype[Any], values: Sequence[Any]) -> Array | None:
    """Return the values as narrow floats; JSON has no infinity, hence one among them is a number that does not fit."""
    with np.errstate(over="ignore"):
        array = _by_numpy(dtype, values)
    return None if array is None or np.isinf(array).any() else array
