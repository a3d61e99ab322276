"""Reads the usual kind of row, a dict of floats, whole numbers and texts, without a step of the interpreter per value.

It calls Python's own C functions, and so holds the interpreter's lock. Objects are borrowed: each is looked at before
anything else can run. Keys and levels are exact texts, whose comparison runs no code of others.

Per value there are only addresses: to hand arrays over counts their references, which takes longer than all the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel_of_objects
from tidegate.runtime.mojo.numba_names import cgutils, intrinsic, ir, types

#: Where the plan has, of each input, its name's address; that of the dict of its levels, 0 for a number; its slot.
NAME, LEVELS, SLOT = range(3)
#: Where the table of known addresses has the types of Python and its None.
FLOAT, TEXT, WHOLE, NONE = range(4)
#: The answer for a row with a value of another kind.
OTHER = -1
#: How many inputs in a row may be left out before rows are no longer read in their order.
_AHEAD = 4
_WORD = 8
_FIELDS = 3

_cgutils: Any = cgutils
_get_item: Any = types.ExternalFunction("PyDict_GetItem", types.intp(types.intp, types.intp))
# Of a dict whose keys are all exact texts, which compare without errors.
_get_level: Any = types.ExternalFunction("PyDict_GetItemWithError", types.intp(types.intp, types.intp))
_float_of_whole: Any = types.ExternalFunction("PyLong_AsDouble", types.float64(types.intp))
clear_error: Any = types.ExternalFunction("PyErr_Clear", types.void())
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


def _write_typed(_: Any, address: Any, number: Any) -> Any:
    """Write a double to memory at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], ir.DoubleType().as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.float64), generate


_write: Any = intrinsic(_write_typed)


def _next_item_typed(_: Any, row: Any, position: Any) -> Any:
    """Return of the next item of a dict whether there is one, the position after it, and the addresses of its key and
    its value; the first position is 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        places = [_cgutils.alloca_once(builder, word) for _ in range(3)]
        builder.store(arguments[1], places[0])
        asked = ir.FunctionType(ir.IntType(32), [word, *(place.type for place in places)])
        function = _cgutils.get_or_insert_function(builder.module, asked, "PyDict_Next")
        found = builder.zext(builder.call(function, [arguments[0], *places]), word)
        return context.make_tuple(builder, signature.return_type, [found, *map(builder.load, places)])

    found: Any = types.UniTuple(types.intp, 4)  # type: ignore[no-untyped-call]
    return found(types.intp, types.intp), generate


_next_item: Any = intrinsic(_next_item_typed)


@kernel_of_objects
def read_row(
    row: int, plan: NDArray[np.int64], known: NDArray[np.int64], type_at: int, out: NDArray[np.float64]
) -> int:
    """Write a row's numbers and codes, NaN where there is none, and return how many of the inputs it has.

    Args:
        row: the address of a dict.
        plan: shape (inputs, 3), see above; C-contiguous, as the others.
        known: addresses, see above.
        type_at: where an object has the address of its type; a float has its number after that.
        out: shape (1, slots).

    Returns:
        `OTHER`, with anything in `out`, where a value is of another kind, a text in the column of a number, or no
        level of its column.
    """
    inputs, fields, kinds, slots = plan.shape[0], plan.ctypes.data, known.ctypes.data, out.ctypes.data
    out[:] = np.nan
    found = _read_in_order(row, inputs, fields, kinds, type_at, slots)
    if found >= 0:
        return found
    out[:] = np.nan
    found = 0
    for i in range(inputs):
        field = fields + i * _FIELDS * _WORD
        value = _get_item(row, _word_at(field))
        if value == 0:
            continue
        found += 1
        if not _read_value(value, field, kinds, type_at, slots):
            return OTHER
    return found


@kernel_of_objects
def _read_in_order(row: int, inputs: int, fields: int, kinds: int, type_at: int, slots: int) -> int:
    """Do as `read_row` does for a row with its inputs in the plan's order, without a look into the dict's index.

    Args:
        fields, kinds, slots: the addresses of the plan, of the known addresses, and of what is written.

    Returns:
        `OTHER` also where they are in another order, where one is no input, or too many in a row are left out.
    """
    found, i = 0, 0
    more, position, key, value = _next_item(row, 0)
    while more:
        place, end = i, min(inputs, i + _AHEAD)
        while place < end and _word_at(fields + place * _FIELDS * _WORD) != key:
            place += 1
        if place == end:
            # The same name may be another object.
            if (
                i == inputs
                or _word_at(key + type_at) != _word_at(kinds + TEXT * _WORD)
                or _compare(key, _word_at(fields + i * _FIELDS * _WORD)) != 0
            ):
                return OTHER
            place = i
        if not _read_value(value, fields + place * _FIELDS * _WORD, kinds, type_at, slots):
            return OTHER
        found += 1
        i = place + 1
        more, position, key, value = _next_item(row, position)
    return found


@kernel_of_objects
def _read_value(value: int, field: int, kinds: int, type_at: int, slots: int) -> bool:
    """Write the number of an input's value; False where it is of another kind.

    Args:
        field: the address of the input's words of the plan.
    """
    if value == _word_at(kinds + NONE * _WORD):
        return True
    kind = _word_at(value + type_at)
    levels = _word_at(field + LEVELS * _WORD)
    slot = slots + _word_at(field + SLOT * _WORD) * _WORD
    if levels != 0:
        code = _get_level(levels, value) if kind == _word_at(kinds + TEXT * _WORD) else 0
        if code == 0:
            return False
        _write(slot, _float_at(code + type_at + _WORD))
    elif kind == _word_at(kinds + FLOAT * _WORD):
        _write(slot, _float_at(value + type_at + _WORD))
    elif kind == _word_at(kinds + WHOLE * _WORD):
        number = _float_of_whole(value)
        if number == -1.0:  # perhaps too large, of which there is an error then
            clear_error()
            return False
        _write(slot, number)
    else:
        return False
    return True
