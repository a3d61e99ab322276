"""Reads the arrays of a `Packed` table in compiled code: by their addresses, as flat arrays of a type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.numba_names import carray, intrinsic, types


def pointer_to(kind: Any) -> Any:
    """Return a function of compiled code that makes a pointer to values of a type from an address."""
    pointer: Any = types.CPointer(kind)  # type: ignore[no-untyped-call]

    def typed(_: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    return intrinsic(typed)


_to_float64 = pointer_to(types.float64)
_to_int64 = pointer_to(types.int64)
_to_int32 = pointer_to(types.int32)
_to_uint8 = pointer_to(types.uint8)
_to_uint32 = pointer_to(types.uint32)
_to_float32 = pointer_to(types.float32)


@kernel
def float64s(table: NDArray[np.int64], place: int) -> Any:
    """Return the array at a place of the table, which must be one of float64; the others likewise."""
    return carray(_to_float64(table[place, 0]), table[place, 1])


@kernel
def int64s(table: NDArray[np.int64], place: int) -> Any:
    return carray(_to_int64(table[place, 0]), table[place, 1])


@kernel
def int32s(table: NDArray[np.int64], place: int) -> Any:
    return carray(_to_int32(table[place, 0]), table[place, 1])


@kernel
def uint32s(table: NDArray[np.int64], place: int) -> Any:
    return carray(_to_uint32(table[place, 0]), table[place, 1])


@kernel
def float32s(table: NDArray[np.int64], place: int) -> Any:
    """Return the array at a place of the table, of any type, as one of float32."""
    return carray(_to_float32(table[place, 0]), table[place, 1])


@kernel
def flags(table: NDArray[np.int64], place: int) -> Any:
    """Return an array of bool as one of uint8."""
    return carray(_to_uint8(table[place, 0]), table[place, 1])
