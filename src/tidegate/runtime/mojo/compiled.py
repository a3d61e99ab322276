"""What turns a function into a kernel: the library of kernels where there is one, else numba."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from tidegate.runtime.mojo import kernel_library
from tidegate.runtime.mojo.errors import MojoUnsupportedError

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function when it is first called with arguments of its types; the machine code is kept on disk.

    Sums keep their order and products are not fused into them. Division by zero gives an infinity or NaN, as in
    Java, instead of Python's error. The interpreter's lock is released, so that threads score side by side. Indexes
    are not checked: what comes from a file is checked before it gets here. Where nothing can be written to disk, it is
    compiled anew in each process.

    With a library of kernels nothing is compiled: its code is called, and numba is not even imported.
    """
    return _kernel(function, nogil=True)


def kernel_of_objects(function: F) -> F:
    """Do as `kernel` does, for what looks at objects of the interpreter: its lock is held."""
    return _kernel(function, nogil=False)


def entry_of(function: F) -> F:
    """Return the machine code of a kernel that was called with arguments of one set of types and will be with no other.

    A call of it goes to the code at once; a call of the kernel looks first which code its arguments need.
    """
    given: Any = function
    if kernel_library.used() is not None:
        (code,) = given.functions
        return cast(F, code)
    (result,) = given.overloads.values()
    return cast(F, result.entry_point)


def can_run() -> bool:
    """Say whether there is anything that kernels run with, without importing it."""
    return kernel_library.used() is not None or kernel_library.has_numba()


def cache_folder() -> Path | None:
    """Return where machine code is written to; None where there is no such place: each process compiles anew then."""
    return None if kernel_library.used() is not None else _jit().cache_folder()


def _kernel(function: F, *, nogil: bool) -> F:
    library = kernel_library.used()
    if library is not None:
        return cast(F, library.kernel(function))
    return cast(F, _jit().compiled(function, nogil=nogil))


def _jit() -> Any:
    """Return the module that has numba compile kernels."""
    if not kernel_library.has_numba():
        raise MojoUnsupportedError(
            "H2O models need the package numba, which is not installed here, or a library of kernels.",
            hint=f"pip install 'tidegate[mojo]', or name the folder of a library with {kernel_library.VARIABLE}",
        )
    from tidegate.runtime.mojo import jit

    return jit
