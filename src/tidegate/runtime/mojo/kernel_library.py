"""Kernels that were compiled beforehand into one library: with it neither numba nor LLVM is imported.

`tidegate mojo compile --library FOLDER` makes it (`library_build`), and the environment variable below names the
folder. What is loaded from there is run, so it is loaded only where nobody could have put it but root, this user, and
whoever the code of this package belongs to; and only what this very source was compiled to.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.signatures import Argument, described, parsed
from tidegate.runtime.mojo.sources import FOLDER, package_stamp
from tidegate.runtime.mojo.trust import is_trusted

#: Names the folder of the library.
VARIABLE = "TIDEGATE_MOJO_LIBRARY"
#: The name of the module that a library is.
MODULE = "tidegate_kernels"

log = logging.getLogger("tidegate.runtime.mojo")


class _UnusableError(Exception):
    """Why a library is not used, in words that end a sentence."""


class KernelLibrary:
    """A library that is loaded.

    Attributes:
        path: its file.
    """

    def __init__(self, path: Path, module: ModuleType) -> None:
        self.path = path
        self._make: Callable[..., Any] = module.Kernel
        self._code: dict[str, list[tuple[Any, tuple[Argument, ...]]]] = defaultdict(list)
        for code, (name, words) in zip(module.functions, json.loads(module.table), strict=True):
            self._code[name].append((code, tuple(parsed(word) for word in words)))

    @property
    def names(self) -> frozenset[str]:
        """The kernels that it has, each with its module, which is one of this package."""
        return frozenset(self._code)

    def kernel(self, function: Callable[..., Any]) -> Any:
        """Return what a function was compiled to.

        A call takes the first code that the arguments fit, and raises MojoUnsupportedError where they fit none: what
        only other kernels call has none by itself.
        """
        name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        return self._make(name, tuple(self._code.get(name, ())), _refuse)


@cache
def used() -> KernelLibrary | None:
    """Return the library that kernels are taken from; None where none is named.

    None as well, with a line in the log, where the one that is named is of no use and numba is installed.

    Raises:
        MojoUnsupportedError: it is of no use, and numba is not installed.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    try:
        return _opened(Path(folder))
    except _UnusableError as reason:
        problem = f"The kernels in {folder} (named by {VARIABLE}) are not used: {reason}"
    if has_numba():
        log.warning("%s; they are compiled by numba instead", problem)
        return None
    raise MojoUnsupportedError(
        f"{problem}, and numba, which would compile them here, is not installed.",
        hint=f"Make it with the Tidegate that is to use it: tidegate mojo compile --library {folder}",
    )


def has_numba() -> bool:
    """Say whether numba is installed, without importing it."""
    try:
        return importlib.util.find_spec("numba") is not None
    except (ImportError, ValueError):  # it is kept from being imported
        return False


def file_name() -> str:
    """Return how the library of this source is named, for this Python."""
    return f"kernels-{package_stamp()[:16]}{sysconfig.get_config_var('EXT_SUFFIX')}"


def _opened(folder: Path) -> KernelLibrary:
    path = folder / file_name()
    if not path.is_file():
        others = sorted(one.name for one in folder.glob("kernels-*")) if folder.is_dir() else []
        found = f"only {', '.join(others)}, of another Tidegate or Python" if others else "no library"
        raise _UnusableError(f"it has {found}, and {path.name} is looked for")
    if not is_trusted(folder, FOLDER.stat().st_uid):
        raise _UnusableError("others than root, you and the owner of Tidegate's own code may write there")
    try:
        loader = ExtensionFileLoader(MODULE, str(path))
        module = importlib.util.module_from_spec(ModuleSpec(MODULE, loader, origin=str(path)))
        loader.exec_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        raise _UnusableError(f"it cannot be loaded ({error})") from error
    return KernelLibrary(path, module)


def _refuse(name: str, arguments: Sequence[Any]) -> NoReturn:
    given = ", ".join(described(one) for one in arguments)
    library = used()
    place = "" if library is None else f" {library.path.name}"
    raise MojoUnsupportedError(
        f"The library of kernels{place} has no code of {name} for ({given}).",
        hint=f"Where numba is installed, it is compiled: unset {VARIABLE}.",
    )
