"""Answers a row with one call of compiled code: reads the dict, scores it, and writes the outputs into another dict.

There is a function for each kind of program, since to compile one takes seconds. All hold the interpreter's lock while
they look at objects, and let it go while they score where that takes long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.address_kernel import table_at, words_at
from tidegate.runtime.mojo.compiled import kernel_of_objects
from tidegate.runtime.mojo.forest_kernel import score_packed_drf, score_packed_gbm
from tidegate.runtime.mojo.linear_kernel import score_packed_one
from tidegate.runtime.mojo.numba_names import types
from tidegate.runtime.mojo.packed import BOOSTER, DRF, GBM, LINEAR, STACK
from tidegate.runtime.mojo.row_kernel import clear_error, read_row
from tidegate.runtime.mojo.stack_kernel import score_stack
from tidegate.runtime.mojo.xgboost_kernel import score_packed_trees

#: What the words of a model are, see `RowAnswers`.
TYPE_AT, KNOWN, INPUTS, PLAN, WIDTH, TABLE, LENGTH, OFFSET, OUTPUTS, NAMES, LABELS, N_LABELS, LONG, WORDS = range(14)

_size_of: Any = types.ExternalFunction("PyDict_Size", types.intp(types.intp))
_set_item: Any = types.ExternalFunction("PyDict_SetItem", types.intc(types.intp, types.intp, types.intp))
_new_float: Any = types.ExternalFunction("PyFloat_FromDouble", types.intp(types.float64))
_release: Any = types.ExternalFunction("Py_DecRef", types.void(types.intp))
_let_go: Any = types.ExternalFunction("PyEval_SaveThread", types.intp())
_take_back: Any = types.ExternalFunction("PyEval_RestoreThread", types.void(types.intp))


@kernel_of_objects
def _room(words: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the slots of a row and, all zeros, its scores: one piece of memory, since each takes as long to get."""
    width, outputs = words[WIDTH], words[OUTPUTS]
    room = np.empty(width + outputs)
    room[width:] = 0.0
    return room[:width].reshape((1, width)), room[width:].reshape((1, outputs))


@kernel_of_objects
def _read(row: int, words: NDArray[np.int64], slots: NDArray[np.float64]) -> bool:
    """Read a row; False where it takes more than `read_row` does, or has anything but inputs in it."""
    plan = words_at(words[PLAN], 3 * words[INPUTS]).reshape((words[INPUTS], 3))
    found = read_row(row, plan, words_at(words[KNOWN], 4), words[TYPE_AT], slots)
    return found > 0 and found == _size_of(row)


@kernel_of_objects
def _write(answer: int, words: NDArray[np.int64], scores: NDArray[np.float64]) -> bool:
    """Write the outputs by name; False where there is no memory for them."""
    names = words_at(words[NAMES], words[OUTPUTS])
    first = 0
    if words[N_LABELS]:
        label = int(scores[0, 0])
        if label < 0 or label >= words[N_LABELS]:
            return False
        first = 1
        if _set_item(answer, names[0], words_at(words[LABELS], words[N_LABELS])[label]) != 0:
            clear_error()
            return False
    for i in range(first, words[OUTPUTS]):
        number = _new_float(scores[0, i])
        if number == 0:
            clear_error()
            return False
        failed = _set_item(answer, names[i], number)
        _release(number)
        if failed != 0:
            clear_error()
            return False
    return True


@kernel_of_objects
def answer_gbm(row: int, answer: int, model: int) -> bool:
    """Answer a row; the other functions likewise.

    Args:
        row, answer: addresses of dicts; the second is empty.
        model: the address of the words above.

    Returns:
        False, with anything in the answer, where this row takes more than that, or cannot be scored.
    """
    words = words_at(model, WORDS)
    slots, scores = _room(words)
    if not _read(row, words, slots):
        return False
    state = _let_go() if words[LONG] else 0
    score_packed_gbm(table_at(words[TABLE], words[LENGTH]), slots, slots[0, :0], scores)
    if state:
        _take_back(state)
    return _write(answer, words, scores)


@kernel_of_objects
def answer_drf(row: int, answer: int, model: int) -> bool:
    words = words_at(model, WORDS)
    slots, scores = _room(words)
    if not _read(row, words, slots):
        return False
    state = _let_go() if words[LONG] else 0
    score_packed_drf(table_at(words[TABLE], words[LENGTH]), slots, scores)
    if state:
        _take_back(state)
    return _write(answer, words, scores)


@kernel_of_objects
def answer_booster(row: int, answer: int, model: int) -> bool:
    words = words_at(model, WORDS)
    slots, scores = _room(words)
    if not _read(row, words, slots):
        return False
    state = _let_go() if words[LONG] else 0
    score_packed_trees(table_at(words[TABLE], words[LENGTH]), slots, np.zeros(1 if words[OFFSET] else 0), scores)
    if state:
        _take_back(state)
    return _write(answer, words, scores)


@kernel_of_objects
def answer_linear(row: int, answer: int, model: int) -> bool:
    words = words_at(model, WORDS)
    slots, scores = _room(words)
    if not _read(row, words, slots):
        return False
    if score_packed_one(table_at(words[TABLE], words[LENGTH]), slots, slots[0, :0], scores) >= 0:
        return False
    return _write(answer, words, scores)


@kernel_of_objects
def answer_stack(row: int, answer: int, model: int) -> bool:
    words = words_at(model, WORDS)
    slots, scores = _room(words)
    if not _read(row, words, slots):
        return False
    state = _let_go() if words[LONG] else 0
    scored = score_stack(table_at(words[TABLE], words[LENGTH]), slots, scores)
    if state:
        _take_back(state)
    return scored and _write(answer, words, scores)


#: By kind of program.
ANSWERS = {
    GBM: answer_gbm, DRF: answer_drf, BOOSTER: answer_booster, LINEAR: answer_linear, STACK: answer_stack,
}  # fmt: skip
