"""Finds arrays by their addresses in compiled code."""

from __future__ import annotations

from typing import Any

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.numba_names import carray, types
from tidegate.runtime.mojo.packed_kernel import pointer_to

_to_int64 = pointer_to(types.int64)


@kernel
def words_at(address: int, count: int) -> Any:
    """Return the array of int64 at an address."""
    return carray(_to_int64(address), count)


@kernel
def table_at(address: int, length: int) -> Any:
    """Return the table of a `Packed` at an address."""
    return carray(_to_int64(address), (length, 2))
