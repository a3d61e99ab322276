"""How kernels are compiled: one set of options, since each of them can change a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function when it is first called with arguments of its types; the machine code is kept on disk.

    Sums keep their order and products are not fused into them. Division by zero gives an infinity or NaN, as in
    Java, instead of Python's error. The interpreter's lock is released, so that threads score side by side. Indexes
    are not checked: what comes from a file is checked before it gets here.
    """
    return cast(F, numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function))
