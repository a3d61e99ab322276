"""How kernels are compiled: one set of options for all of them, and types that mypy can follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile a function at its first call, and keep the machine code beside its module.

    Sums keep their order (no `fastmath`), and other threads run meanwhile. A kernel checks no index: its caller has.
    """
    return cast(Function, numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function))
