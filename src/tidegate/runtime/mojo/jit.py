"""Kernels compiled by numba when they are called, with one set of options, since each of them can change a result.

Numba keeps the machine code of a kernel on disk and takes it for fresh as long as the kernel's own file is the same. A
kernel holds the code of those that it calls, though, and constants of other modules. Here it is fresh as long as all
files of this package are the same that its module imports, through other modules as well: without that, a change in
one file would leave others with the old code, and the scores would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

from tidegate.runtime.mojo.machine_code import KernelCache, is_read_only
from tidegate.runtime.mojo.sources import source_stamp

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F, *, nogil: bool) -> F:
    """Return a function that numba compiles when it is first called with arguments of their types."""
    found: Any = numba.njit(nogil=nogil, fastmath=False, error_model="numpy")(function)
    cache = _cache_of(function) if hasattr(found, "_cache") else None
    if cache is not None:
        found._cache = cache
    return cast(F, found)


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
