"""Kernels compiled before they are needed: when an image is built, say."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from os import PathLike

from tidegate.contract.errors import Unavailable
from tidegate.runtime.mojo.compiled import cache_folder
from tidegate.runtime.mojo.load import load, read
from tidegate.runtime.mojo.samples import samples


def compile_kernels(models: Iterable[str | PathLike[str]] = ()) -> Iterator[tuple[str, float]]:
    """Compile what models run, and yield which one it was and how many seconds it took, one after the other.

    Args:
        models: MOJO files; none for tiny ones of the common kinds (forests, XGBoost's trees, GLM, deep learning,
            K-means).

    Raises:
        Unavailable: machine code can be kept nowhere.
        InvalidInput: as `load`.
    """
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
