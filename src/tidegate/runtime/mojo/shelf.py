"""Decoded trees beside the artifact, which every worker of a server maps into its memory: one copy for all of them.

They are written once, when a bundle is made (`runtime.MojoRuntime.derive`), and the bundle's digest covers them.
Kernels follow what is in them without looking, so their own digests are compared before they are used, and they serve
the very code that wrote them alone: with another the trees are decoded anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import source_stamp
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.tree_bytes import (
    MAX_GROUPS,
    MAX_TREES,
    Forest,
    read_forest,
    tree_name,
    trees_per_group,
)

#: A forest with less is decoded as fast as its file would be opened.
LEAST_BYTES = 1 << 20
_INDEX = "forests.json"
_ARRAYS = ("nodes", "sets", "roots", "classes", "groups", "columns", "places")
_DTYPES = {"nodes": "<i4", "sets": "<i4", "places": "|b1"}

log = logging.getLogger("tidegate.runtime.mojo")


class Shelf:
    """A folder with the large forests of one artifact. While it is written nothing is read from it."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self._folder = folder
        self._writes = writes
        self._index: dict[str, dict[str, Any]] = {} if writes else self._read_index()

    @property
    def is_empty(self) -> bool:
        return not self._index

    def forest(self, container: Container, header: Header) -> Forest:
        """Return a model's trees, mapped where they are kept, else decoded. Raises as `read_forest` does."""
        key = _key(container, header)
        if not self._writes:
            return self._mapped(key) or read_forest(container, header)
        forest = read_forest(container, header)
        if forest.nbytes >= LEAST_BYTES:
            self._keep(key, forest)
        return forest

    def close(self) -> None:
        """Write what the files are; without it they are of no use."""
        if self._writes and self._index:
            document = {"stamp": _stamp(), "forests": self._index}
            (self._folder / _INDEX).write_text(json.dumps(document, sort_keys=True), encoding="utf-8")

    def _keep(self, key: str, forest: Forest) -> None:
        digests = {}
        for name in _ARRAYS:
            array = getattr(forest, name)
            array.tofile(self._folder / f"{key}.{name}.bin")
            digests[name] = _digest(array)
        self._index[key] = {"digests": digests, "groups": forest.n_groups, "classes": forest.n_classes}

    def _mapped(self, key: str) -> Forest | None:
        """Return a forest of the folder; None where it has none that is whole."""
        kept = self._index.get(key)
        if kept is None:
            return None
        arrays: dict[str, NDArray[Any]] = {}
        try:
            for name in _ARRAYS:
                path = self._folder / f"{key}.{name}.bin"
                array = _map(path, _DTYPES.get(name, "<i8"))
                if _digest(array) != kept["digests"][name]:
                    log.warning("%s beside the model is not what was written: trees are decoded once more", path.name)
                    return None
                arrays[name] = array
            return Forest(**arrays, n_groups=int(kept["groups"]), n_classes=int(kept["classes"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("decoded trees beside the model cannot be used: %s; they are decoded once more", error)
            return None

    def _read_index(self) -> dict[str, dict[str, Any]]:
        try:
            document = json.loads((self._folder / _INDEX).read_text(encoding="utf-8"))
            if document["stamp"] != _stamp():
                log.info("decoded trees beside the model were written by another version: they are decoded once more")
                return {}
            return dict(document["forests"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("decoded trees beside the model cannot be used: %s; they are decoded once more", error)
            return {}


_shelf: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def shelf_in(folder: Path, *, writes: bool = False) -> Iterator[Shelf]:
    """Have the models that are read meanwhile take their forests from a folder, or put them there."""
    shelf = Shelf(folder, writes=writes)
    token = _shelf.set(shelf)
    try:
        yield shelf
        shelf.close()
    finally:
        _shelf.reset(token)


def forest_of(container: Container, header: Header) -> Forest:
    """Return a model's trees. Raises as `read_forest` does."""
    shelf = _shelf.get()
    return read_forest(container, header) if shelf is None else shelf.forest(container, header)


def _key(container: Container, header: Header) -> str:
    """Return what tells the forests of one artifact apart: what their files say, and the sizes of their trees."""
    found = hashlib.sha256(container.read(MODEL_INI))
    groups, classes = header.keys.integer("n_trees"), trees_per_group(header)
    if groups <= MAX_GROUPS and groups * classes <= MAX_TREES:  # else reading them will refuse the file
        for name in (tree_name(group, index) for group in range(groups) for index in range(classes)):
            if container.has(name):
                found.update(f"{name}\0{container.size(name)}\0".encode())
    return found.hexdigest()[:32]


def _map(path: Path, dtype: str) -> NDArray[Any]:
    """Return a file as an array that cannot be written to. Raises ValueError where its size is that of no array."""
    if not path.stat().st_size:
        return np.empty(0, dtype=dtype)
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(array.data if array.size else b"").hexdigest()


def _stamp() -> str:
    return source_stamp("tree_bytes")
