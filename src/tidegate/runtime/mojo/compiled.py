"""How kernels are compiled: one set of options, since each of them can change a result.

Numba keeps the machine code of a kernel on disk and takes it for fresh as long as the kernel's own file is the same. A
kernel holds the code of those that it calls, though, and constants of other modules. Here it is fresh as long as all
files of this package are the same that its module imports, through other modules as well: without that, a change in
one file would leave others with the old code, and the scores would be wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

F = TypeVar("F", bound=Callable[..., Any])

_FOLDER = Path(__file__).resolve().parent
_IMPORTED = re.compile(r"^\s*(?:from|import)\s+tidegate\.runtime\.mojo\.(\w+)", re.MULTILINE)


def kernel(function: F) -> F:
    """Compile a function when it is first called with arguments of its types; the machine code is kept on disk.

    Sums keep their order and products are not fused into them. Division by zero gives an infinity or NaN, as in
    Java, instead of Python's error. The interpreter's lock is released, so that threads score side by side. Indexes
    are not checked: what comes from a file is checked before it gets here. Where nothing can be written to disk, it is
    compiled anew in each process.
    """
    compiled: Any = numba.njit(nogil=True, fastmath=False, error_model="numpy")(function)
    with contextlib.suppress(RuntimeError):  # there is no folder that can be written to
        # What `cache=True` does, but for the stamp.
        compiled._cache = _Cache(function)
    return cast(F, compiled)


class _Cache(FunctionCache):  # type: ignore[misc]  # numba has no types
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = source_stamp(function.__module__.rpartition(".")[2])


def source_stamp(module: str) -> str:
    """Return a digest of a module of this package and of all those that it imports."""
    found = hashlib.sha256()
    for name in sorted(_reached(module)):
        found.update(f"{name}\0{_source(name)}\0".encode())
    return found.hexdigest()


@lru_cache(maxsize=512)
def _source(module: str) -> str:
    path = _FOLDER / f"{module}.py"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _reached(module: str) -> set[str]:
    reached, waiting = {module}, [module]
    while waiting:
        imported = set(_IMPORTED.findall(_source(waiting.pop())))
        waiting.extend(imported - reached)
        reached |= imported
    return reached
