"""What kernels name of numba and LLVM where they are made, for all of them.

With a library of kernels nothing is compiled, and neither is imported: the names stand for nothing then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidegate.runtime.mojo import kernel_library


class _Nothing:
    """What takes any use that a module makes of a name when it is imported."""

    def __getattr__(self, name: str) -> _Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **options: Any) -> _Nothing:
        return self


if TYPE_CHECKING or kernel_library.used() is None:
    import numba
    from llvmlite import ir
    from numba import from_dtype, types
    from numba.core import cgutils
    from numba.extending import intrinsic

    carray: Any = numba.carray  # type: ignore[attr-defined]
else:
    carray = cgutils = from_dtype = intrinsic = ir = types = _Nothing()

__all__ = ["carray", "cgutils", "from_dtype", "intrinsic", "ir", "types"]
