"""Importing code of an artifact so that it finds its neighbours and leaves nothing behind.

While it is being loaded, the artifact's folder comes first on `sys.path`, so `import features` finds `features.py`
beside it, and a pickle that names a class of such a module finds that class. When it has loaded, its modules are taken
out of `sys.modules` again and live on in the model that refers to them: two revisions that are loaded one after the
other, each with a `features.py` of its own, never see each other's. What is imported later than that, inside
`predict`, therefore finds installed packages and none of the folder.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")

#: `sys.path` and `sys.modules` belong to the whole process.
_one_at_a_time = threading.Lock()


def import_from(folder: Path, module: str, use: Callable[[ModuleType], T]) -> T:
    """Import a module of a folder and return what `use` makes of it, with the folder on `sys.path` all the while.

    No bytecode is written: the folder may be read-only, or a bundle, whose content is fixed.

    Raises:
        BaseException: whatever the code raises.
    """
    with _one_at_a_time, _visible(folder.resolve()):
        return use(importlib.import_module(module))


@contextmanager
def _visible(folder: Path) -> Iterator[None]:
    aside = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in _names_in(folder)}
    for name in aside:
        del sys.modules[name]
    writes_nothing, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_nothing
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        for name in [name for name, module in sys.modules.items() if _is_from(module, folder)]:
            del sys.modules[name]
        sys.modules.update(aside)


def _names_in(folder: Path) -> set[str]:
    """Return the names of the folder's modules, without those that belong to the standard library or to us."""
    modules = {entry.stem for entry in folder.glob("*.py")} | {
        entry.parent.name for entry in folder.glob("*/__init__.py")
    }
    return modules - sys.stdlib_module_names - {"tidegate"}


def _is_from(module: ModuleType | None, folder: Path) -> bool:
    places = [getattr(module, "__file__", None), *_paths_of(module)]
    return any(isinstance(place, str) and _inside(place, folder) for place in places)


def _paths_of(module: ModuleType | None) -> list[str]:
    try:
        return list(getattr(module, "__path__", ()))
    except Exception:  # noqa: BLE001 (a module may be any object)
        return []


def _inside(place: str, folder: Path) -> bool:
    return os.path.realpath(place).startswith(str(folder) + os.sep)


def line_of(error: BaseException, folder: Path) -> str | None:
    """Return where in the folder's code an error arose, e.g. "model.py, line 12, in predict"; None when elsewhere."""
    root = folder.resolve()
    if isinstance(error, SyntaxError) and error.filename and _inside(error.filename, root):
        return f"{_relative(error.filename, root)}, line {error.lineno}"
    where = None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if _inside(code.co_filename, root):
            where = f"{_relative(code.co_filename, root)}, line {trace.tb_lineno}, in {code.co_name}"
        trace = trace.tb_next
    return where


def _relative(place: str, root: Path) -> str:
    return Path(os.path.realpath(place)).relative_to(root).as_posix()
