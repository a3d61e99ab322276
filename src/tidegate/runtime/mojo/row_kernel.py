"""Reads the usual kind of row, a dict of floats, whole numbers and texts, without a step of the interpreter per value.

It calls Python's own C functions, and so holds the interpreter's lock. Objects are borrowed: each is looked at before
anything else can run. Keys and levels are exact texts, whose comparison runs no code of others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel_of_objects

#: Where the plan has, of each input, its name's address; that of the dict of its levels, 0 for a number; its slot.
NAME, LEVELS, SLOT = range(3)
#: Where the table of known addresses has the types of Python and its None.
FLOAT, TEXT, WHOLE, NONE = range(4)
#: The answer for a row with a value of another kind.
OTHER = -1
#: How many inputs in a row may be left out before rows are no longer read in their order.
_AHEAD = 4

_get_item: Any = types.ExternalFunction("PyDict_GetItem", types.intp(types.intp, types.intp))
_float_of_whole: Any = types.ExternalFunction("PyLong_AsDouble", types.float64(types.intp))
clear_error: Any = types.ExternalFunction("PyErr_Clear", types.void())
_next_item: Any = types.ExternalFunction("PyDict_Next", types.intc(types.intp, types.intp, types.intp, types.intp))
_compare: Any = types.ExternalFunction("PyUnicode_Compare", types.intc(types.intp, types.intp))


def _word_at_typed(_: Any, address: Any) -> Any:
    """Return the word in memory at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        return builder.load(builder.inttoptr(arguments[0], word.as_pointer()))

    return types.intp(types.intp), generate


_word_at: Any = intrinsic(_word_at_typed)


def _float_at_typed(_: Any, address: Any) -> Any:
    """Return the double in memory at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.DoubleType().as_pointer()))

    return types.float64(types.intp), generate


_float_at: Any = intrinsic(_float_at_typed)


@kernel_of_objects
def read_row(
    row: int, plan: NDArray[np.int64], known: NDArray[np.int64], type_at: int, out: NDArray[np.float64]
) -> int:
    """Write a row's numbers and codes, NaN where there is none, and return how many of the inputs it has.

    Args:
        row: the address of a dict.
        plan: shape (inputs, 3), see above.
        known: addresses, see above.
        type_at: where an object has the address of its type; a float has its number after that.
        out: shape (1, slots).

    Returns:
        `OTHER`, with anything in `out`, where a value is of another kind, a text in the column of a number, or no
        level of its column.
    """
    out[:] = np.nan
    found = _read_in_order(row, plan, known, type_at, out)
    if found >= 0:
        return found
    out[:] = np.nan
    found = 0
    for i in range(plan.shape[0]):
        value = _get_item(row, plan[i, NAME])
        if value == 0:
            continue
        found += 1
        if not _read_value(value, plan, i, known, type_at, out):
            return OTHER
    return found


@kernel_of_objects
def _read_in_order(
    row: int, plan: NDArray[np.int64], known: NDArray[np.int64], type_at: int, out: NDArray[np.float64]
) -> int:
    """Do as `read_row` does for a row with its inputs in the plan's order, without a look into the dict's index.

    Returns:
        `OTHER` also where they are in another order, where one is no input, or too many in a row are left out.
    """
    cursor = np.zeros(3, dtype=np.int64)  # the position in the dict, and the key and the value there
    at = cursor.ctypes.data
    found, i, inputs = 0, 0, plan.shape[0]
    while _next_item(row, at, at + 8, at + 16) != 0:
        key, value = cursor[1], cursor[2]
        place, end = i, min(inputs, i + _AHEAD)
        while place < end and plan[place, NAME] != key:
            place += 1
        if place == end:
            # The same name may be another object.
            if i == inputs or _word_at(key + type_at) != known[TEXT] or _compare(key, plan[i, NAME]) != 0:
                return OTHER
            place = i
        if not _read_value(value, plan, place, known, type_at, out):
            return OTHER
        found += 1
        i = place + 1
    return found


@kernel_of_objects
def _read_value(
    value: int,
    plan: NDArray[np.int64],
    i: int,
    known: NDArray[np.int64],
    type_at: int,
    out: NDArray[np.float64],
) -> bool:
    """Write the number of an input's value; False where it is of another kind."""
    if value == known[NONE]:
        return True
    kind = _word_at(value + type_at)
    levels = plan[i, LEVELS]
    if levels != 0:
        code = _get_item(levels, value) if kind == known[TEXT] else 0
        if code == 0:
            return False
        out[0, plan[i, SLOT]] = _float_at(code + type_at + 8)
    elif kind == known[FLOAT]:
        out[0, plan[i, SLOT]] = _float_at(value + type_at + 8)
    elif kind == known[WHOLE]:
        number = _float_of_whole(value)
        if number == -1.0:  # perhaps too large, of which there is an error then
            clear_error()
            return False
        out[0, plan[i, SLOT]] = number
    else:
        return False
    return True
