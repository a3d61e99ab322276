"""Where the machine code of kernels is kept: in the folders that numba tries, and in those that can only be read.

Numba uses a folder that it can write to. An image is often made by one user and run by another, who may read what was
compiled when it was made, and would compile all of it anew in each process. What is read there is run, so it is read
only where nobody could have put it but root, this user, and whoever the code of this package belongs to.
"""

from __future__ import annotations

import contextlib
import glob
from pathlib import Path
from typing import Any

from numba.core import caching

from tidegate.runtime.mojo.trust import is_trusted

#: Those of numba's places that may be filled beforehand: the one of NUMBA_CACHE_DIR, and the one beside the code.
_FILLED = ("UserProvided", "InTree")


def _read_only(place: Any) -> Any:
    """Return numba's place, for a function whose machine code lies there already."""

    class ReadOnly(place):  # type: ignore[misc]
        def ensure_cache_path(self) -> None:
            """Ask for nothing: it is there."""

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            found = super().from_function(py_func, py_file)
            if found is None:
                return None
            folder = Path(found.get_cache_path())
            names = f"{glob.escape(f'{Path(py_file).stem}.{py_func.__qualname__}-')}*.nbi"
            is_there = any(folder.glob(names)) and is_trusted(folder, Path(py_file).stat().st_uid)
            return found if is_there else None

    return ReadOnly


class _Files(caching.CompileResultCacheImpl):
    _locator_classes = [  # noqa: RUF012 (numba's own name for it)
        each
        for place in caching.CompileResultCacheImpl._locator_classes
        for each in ((place, _read_only(place)) if any(name in place.__name__ for name in _FILLED) else (place,))
    ]


def is_read_only(cache: Any) -> bool:
    """Say whether nothing can be added to a kernel's cache."""
    return type(cache._impl.locator).__name__ == "ReadOnly"


class KernelCache(caching.FunctionCache):
    """Machine code of one function. Raises RuntimeError where there is no folder to read it from, or write it to."""

    _impl_class = _Files

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep it; where that cannot be, the process that compiled it has it, and others compile it anew."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
