"""Where the compiled reader of rows finds what it asks for: names, levels and types, by their addresses."""

from __future__ import annotations

import ctypes
import struct
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import can_run, entry_of
from tidegate.runtime.mojo.encodings import Field
from tidegate.runtime.mojo.packed import HoldsAddresses, Program
from tidegate.runtime.mojo.scorer import Rows

_WORD = struct.calcsize("P")
#: An object's head ends in the address of its type.
_TYPE_AT = object.__basicsize__ - _WORD
#: From as many nodes of trees on that a row goes through, others may use the interpreter while it is scored, which then
#: takes about 0.1 ms. Of what takes 25 µs two threads answered no more than one, or less: they wait to get it back.
_MANY_STEPS = 10_000.0


class RowPlan(HoldsAddresses):
    """Reads rows of one model. It is compiled when this is made; several threads may use it.

    Args:
        fields: the inputs: numbers and codes of levels, each in one slot.
        width: slots of a row.
    """

    def __init__(self, fields: Iterable[Field], width: int) -> None:
        from tidegate.runtime.mojo.row_kernel import OTHER, read_row

        self._read, self._other = read_row, OTHER
        #: What the addresses below belong to, so that it stays where it is.
        self._kept = [(field.name, dict(field.values)) for field in fields]
        addresses = [
            (id(name), 0 if field.kind == "number" else id(values), field.first)
            for field, (name, values) in zip(fields, self._kept, strict=True)
        ]
        self._plan: NDArray[np.int64] = np.array(addresses, dtype=np.int64).reshape(-1, 3)
        self._known: NDArray[np.int64] = np.array([id(float), id(str), id(int), id(None)], dtype=np.int64)
        self._shape = (1, width)
        self({})

    def words(self) -> tuple[int, int, int, int]:
        """Return what `RowAnswers` needs of the plan, good while it lives: where types stand, and where the known
        objects are; how many inputs there are, and where the plan is."""
        return _TYPE_AT, self._known.ctypes.data, len(self._plan), self._plan.ctypes.data

    def __call__(self, row: Mapping[str, Any]) -> tuple[Rows, int] | None:
        """Return a row's slots, shape (1, width), and how many inputs it gives.

        None where a value needs more than a look: one that is no float, whole number or text, a text in the column of a
        number, or one that is no level of its column.
        """
        if type(row) is not dict:
            return None
        rows = np.empty(self._shape)
        found = self._read(id(row), self._plan, self._known, _TYPE_AT, rows)
        return None if found == self._other else (rows, found)


class RowAnswers(HoldsAddresses):
    """Answers rows of one model with one call of compiled code each. It is compiled when this is made; several threads
    may use it.

    Args:
        names: of the outputs.
        labels: what the first output is an index of; None where it is a number like the others.
    """

    def __init__(self, plan: RowPlan, program: Program, names: tuple[str, ...], labels: tuple[str, ...] | None) -> None:
        from tidegate.runtime.mojo.answer_kernel import ANSWERS

        self._run = ANSWERS[program.kind]
        self._names: NDArray[np.int64] = np.array([id(name) for name in names], dtype=np.int64)
        self._labels: NDArray[np.int64] = np.array([id(label) for label in labels or ()], dtype=np.int64)
        table = program.packed.table
        self._words: NDArray[np.int64] = np.array(
            [
                *plan.words(), program.width, table.ctypes.data, len(table), program.needs_offset,
                program.outputs, self._names.ctypes.data, self._labels.ctypes.data, len(self._labels),
                program.steps >= _MANY_STEPS,
            ],
            dtype=np.int64,
        )  # fmt: skip
        self._address = self._words.ctypes.data
        #: What the addresses belong to.
        self._kept = (plan, program, names, labels)
        self({})
        self._run = entry_of(self._run)

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the outputs of a row by name; None where the row takes more than `RowPlan` does, has anything but
        inputs in it, or cannot be scored."""
        if type(row) is not dict:
            return None
        answer: dict[str, Any] = {}
        return answer if self._run(id(row), id(answer), self._address) else None


def plan_of(fields: tuple[Field, ...], width: int) -> RowPlan | None:
    """Return a plan; None where an input takes several slots, or this is another Python than it is made for."""
    if not _is_known_python() or any(field.kind not in ("number", "value") for field in fields):
        return None
    if any(type(field.name) is not str or type(field.values) is not dict for field in fields):
        return None
    if any(type(code) is not float for field in fields for code in field.values.values()):
        return None  # compiled code reads the codes as they lie in memory
    return RowPlan(fields, width)


def _is_known_python() -> bool:
    """Say whether objects lie in memory as expected, the interpreter has its lock, and kernels can run."""
    return (
        sys.implementation.name == "cpython"
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and _WORD == 8
        and ctypes.c_ssize_t.from_address(id(0.5) + _TYPE_AT).value == id(float)
        and ctypes.c_double.from_address(id(0.5) + _TYPE_AT + _WORD).value == 0.5
        and can_run()
    )
