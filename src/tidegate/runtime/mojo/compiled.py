"""How kernels are compiled: one set of options, since each of them can change a result.

Numba keeps the machine code of a kernel on disk and takes it for fresh as long as the kernel's own file is the same. A
kernel holds the code of those that it calls, though, and constants of other modules. Here it is fresh as long as all
files of this package are the same that its module imports, through other modules as well: without that, a change in
one file would leave others with the old code, and the scores would be wrong.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

from tidegate.runtime.mojo.machine_code import KernelCache, is_read_only

F = TypeVar("F", bound=Callable[..., Any])

_FOLDER = Path(__file__).resolve().parent
_IMPORTED = re.compile(r"^\s*(?:from|import)\s+tidegate\.runtime\.mojo\.(\w+)", re.MULTILINE)
_NAMED = re.compile(r"^\s*from\s+tidegate\.runtime\.mojo\s+import\s+(\([^)]*\)|[^\n]*)", re.MULTILINE)


def kernel(function: F) -> F:
    """Compile a function when it is first called with arguments of its types; the machine code is kept on disk.

    Sums keep their order and products are not fused into them. Division by zero gives an infinity or NaN, as in
    Java, instead of Python's error. The interpreter's lock is released, so that threads score side by side. Indexes
    are not checked: what comes from a file is checked before it gets here. Where nothing can be written to disk, it is
    compiled anew in each process.
    """
    return _compiled(function, nogil=True)


def kernel_of_objects(function: F) -> F:
    """Do as `kernel` does, for what looks at objects of the interpreter: its lock is held."""
    return _compiled(function, nogil=False)


def _compiled(function: F, *, nogil: bool) -> F:
    compiled: Any = numba.njit(nogil=nogil, fastmath=False, error_model="numpy")(function)
    cache = _cache_of(function) if hasattr(compiled, "_cache") else None
    if cache is not None:
        compiled._cache = cache
    return cast(F, compiled)


def _cache_of(function: Callable[..., Any]) -> Any:
    """Return what `cache=True` makes, but for the stamp.

    None where there is no folder that can be used, and where a release of numba keeps its stamp elsewhere: no
    machine code is better than that of another source.
    """
    cache = _stamped(KernelCache, function)
    if cache is None or not is_read_only(cache) or cache._cache_file._load_index():
        return cache
    # What can only be read there is of another release: numba's own places are left.
    return _stamped(FunctionCache, function)


def _stamped(kind: Callable[[Any], Any], function: Callable[..., Any]) -> Any:
    try:
        cache: Any = kind(function)
    except RuntimeError:
        return None
    kept: Any = getattr(cache, "_cache_file", None)
    if kept is None or not hasattr(kept, "_source_stamp"):
        return None
    stamp = source_stamp(function.__module__.rpartition(".")[2])
    kept._source_stamp = stamp
    # Numba writes the index first: where it cannot write the code then, no fresh index is to name the code of before.
    if hasattr(kept, "_data_name_pattern"):
        kept._data_name_pattern = f"{stamp[:16]}.{kept._data_name_pattern}"
    return cache


def cache_folder() -> Path | None:
    """Return where machine code is written to; None where there is no such place: each process compiles anew then."""
    cache = _cache_of(source_stamp)
    return None if cache is None else Path(cache.cache_path)


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
        source = _source(waiting.pop())
        imported = set(_IMPORTED.findall(source)).union(
            *(re.findall(r"\w+", names) for names in _NAMED.findall(source))
        )
        waiting.extend(imported - reached)
        reached |= imported
    return reached
