"""Large arrays of models beside the artifact, which every worker of a server maps into its memory: one copy for all.

They are written once, when a bundle is made (`runtime.MojoRuntime.derive`), and the bundle's digest covers them.
Kernels follow what is in them without looking, so their own digests are compared before they are used, and they serve
the very code that wrote them alone: with another they are made anew from the artifact.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.arrays import fixed
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.sources import source_stamp

#: Arrays with less in all are made as fast as their files would be opened.
LEAST_BYTES = 1 << 18
_INDEX = "arrays.json"

Arrays = Mapping[str, NDArray[Any]]

log = logging.getLogger("tidegate.runtime.mojo")


@dataclass(frozen=True)
class Kind:
    """What is kept of one kind of model.

    Attributes:
        module: the module of this package that makes the arrays; with another source of it they are of no use.
        dtypes: the type of each array, by its name.
    """

    module: str
    dtypes: Mapping[str, np.dtype[Any]]


class Shelf:
    """A folder with the large arrays of one artifact. While it is written nothing is read from it."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self._folder = folder
        self._writes = writes
        self._index: dict[str, dict[str, Any]] = {} if writes else self._read_index()

    @property
    def is_empty(self) -> bool:
        return not self._index

    def arrays(self, kind: Kind, key: str, make: Callable[[], Arrays]) -> Arrays:
        """Return arrays that cannot be written to, mapped where they are kept, else made. Raises as `make` does.

        Args:
            key: what tells them apart from others of the artifact, in letters and digits.
        """
        if not self._writes:
            return self._mapped(kind, key) or make()
        arrays = make()
        if sum(array.nbytes for array in arrays.values()) >= LEAST_BYTES:
            self._keep(kind, key, arrays)
        return arrays

    def close(self) -> None:
        """Write what the files are; without it they are of no use."""
        if self._writes and self._index:
            (self._folder / _INDEX).write_text(json.dumps(self._index, sort_keys=True), encoding="utf-8")

    def _keep(self, kind: Kind, key: str, arrays: Arrays) -> None:
        kept = {}
        for name, dtype in kind.dtypes.items():
            array = np.ascontiguousarray(arrays[name], dtype=dtype)
            array.tofile(self._path(key, name))
            kept[name] = {"shape": list(array.shape), "digest": _digest(array)}
        self._index[key] = {"stamp": source_stamp(kind.module), "arrays": kept}

    def _mapped(self, kind: Kind, key: str) -> Arrays | None:
        """Return arrays of the folder; None where it has none that are whole, and made by this code."""
        kept = self._index.get(key)
        if kept is None:
            return None
        arrays: dict[str, NDArray[Any]] = {}
        try:
            if kept["stamp"] != source_stamp(kind.module):
                log.info("arrays beside the model were written by another version: they are made once more")
                return None
            for name, dtype in kind.dtypes.items():
                told = kept["arrays"][name]
                array = _map(self._path(key, name), dtype).reshape(told["shape"])
                if _digest(array) != told["digest"]:
                    log.warning("%s.%s beside the model is not what was written: it is made once more", key, name)
                    return None
                arrays[name] = array
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("arrays beside the model cannot be used: %s; they are made once more", str(error))
            return None
        return arrays

    def _path(self, key: str, name: str) -> Path:
        return self._folder / f"{key}.{name}.bin"

    def _read_index(self) -> dict[str, dict[str, Any]]:
        try:
            return dict(json.loads((self._folder / _INDEX).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, RecursionError) as error:
            log.warning("arrays beside the model cannot be used: %s; they are made once more", str(error))
            return {}


_shelf: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def shelf_in(folder: Path, *, writes: bool = False) -> Iterator[Shelf]:
    """Have the models that are read meanwhile take their large arrays from a folder, or put them there."""
    shelf = Shelf(folder, writes=writes)
    token = _shelf.set(shelf)
    try:
        yield shelf
        shelf.close()
    finally:
        _shelf.reset(token)


def shelved(kind: Kind, container: Container, make: Callable[[], Arrays], entries: Iterable[str] = ()) -> Arrays:
    """Return the arrays of a model: from the shelf where there is one, else made. Raises as `make` does.

    Args:
        entries: what the arrays are made of, beside `model.ini`. They are only counted where there is a shelf.
    """
    shelf = _shelf.get()
    return make() if shelf is None else shelf.arrays(kind, _key(kind, container, entries), make)


def _key(kind: Kind, container: Container, entries: Iterable[str]) -> str:
    """Return what tells the models of one artifact apart: where they lie in it; and one artifact from another: what
    their files say, and the sizes of their entries."""
    found = hashlib.sha256(f"{kind.module}\0{container.place}\0".encode() + container.read(MODEL_INI))
    for name in entries:
        if container.has(name):
            found.update(f"{name}\0{container.size(name)}\0".encode())
    return found.hexdigest()[:32]


def _map(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a file as an array that cannot be written to. Raises ValueError where its size is that of no array."""
    if not path.stat().st_size:
        return fixed(np.empty(0, dtype=dtype))
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _digest(array: NDArray[Any]) -> str:
    found = hashlib.sha256(f"{array.dtype.descr} {array.shape} ".encode())
    found.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return found.hexdigest()
