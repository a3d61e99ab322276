"""Keeps numba and LLVM from being imported. A plug-in of pytest as well: `-p tests.runtime.mojo.without_numba`."""

from __future__ import annotations

import sys
from typing import Any

BLOCKED = ("numba", "llvmlite")


class _Blocker:
    """A finder of modules that says that there are none of these names."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


assert not [name for name in BLOCKED if name in sys.modules], "it was imported before"
sys.meta_path.insert(0, _Blocker())
