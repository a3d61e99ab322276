"""Kernels compiled before they are needed: when an image is built, say."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from os import PathLike
from pathlib import Path

from tidegate.contract.errors import Unavailable
from tidegate.runtime.mojo import kernel_library
from tidegate.runtime.mojo.compiled import cache_folder
from tidegate.runtime.mojo.library_build import build_library
from tidegate.runtime.mojo.load import load, read
from tidegate.runtime.mojo.samples import samples


def compile_kernels(models: Iterable[str | PathLike[str]] = ()) -> Iterator[tuple[str, float]]:
    """Compile what models run, and yield which one it was and how many seconds it took, one after the other.

    Args:
        models: MOJO files; none for tiny ones of the common kinds (forests, XGBoost's trees, GLM, deep learning,
            K-means).

    Raises:
        Unavailable: machine code can be kept nowhere, or a library of kernels is used.
        InvalidInput: as `load`.
    """
    library = kernel_library.used()
    if library is not None:
        raise Unavailable(
            "Nothing is compiled here: models are scored by a library of kernels.",
            got=f"{kernel_library.VARIABLE} names the folder of {library.path}",
            hint=f"Unset {kernel_library.VARIABLE}, or make another library: tidegate mojo compile --library FOLDER",
        )
    if not kernel_library.has_numba():
        raise Unavailable("numba, which compiles kernels, is not installed here.", hint="pip install 'tidegate[mojo]'")
    if cache_folder() is None:
        raise Unavailable(
            "There is no folder in which machine code can be kept.",
            hint="Set NUMBA_CACHE_DIR to one that can be written to.",
        )
    named = [(str(path), partial(load, path)) for path in models]
    for name, compiling in named or [(name, partial(read, file)) for name, file in samples()]:
        begun = time.perf_counter()
        compiling()
        yield name, time.perf_counter() - begun


def compile_library(
    folder: str | PathLike[str], models: Iterable[str | PathLike[str]] = ()
) -> Iterator[tuple[str, float]]:
    """Compile kernels into one library, with which no process that scores models takes numba or LLVM; yield each
    kernel, by its module and name, and how many seconds it took.

    A process uses it whose environment variable TIDEGATE_MOJO_LIBRARY names the folder. It takes a C compiler and
    minutes, and the library fits the very code, Python and architecture that made it.

    Args:
        models: MOJO files whose kernels it is to have; none for those of all models.

    Raises:
        Unavailable: numba or a C compiler is not there, or this is not Linux.
        InvalidInput: a model cannot be read, or the folder cannot be written to.
    """
    begun, before = time.perf_counter(), ""
    for kernel in build_library(Path(folder), [str(path) for path in models]):
        if before:
            yield before, time.perf_counter() - begun
        begun, before = time.perf_counter(), kernel
    if before:
        yield before, time.perf_counter() - begun
