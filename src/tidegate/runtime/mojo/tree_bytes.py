"""Reads the trees of a forest into flat arrays (`tree_layout`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import tree_decode_kernel as kernel
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.tree_layout import CONSTANT, KINDS, WORDS

#: Groups of trees, and trees of all groups and classes: H2O's largest models have some ten thousand.
MAX_GROUPS = 200_000
MAX_TREES = 2_000_000
#: Places of sets are 32-bit numbers.
_MAX_SET_WORDS = 2**31 - 1
#: What a tree of version 1.00 may have beyond its size: its sets begin with the first level, whatever they cover.
_EXTRA_SET_WORDS = 1 << 24
#: A forest of less is read and decoded in less time than it takes to share the work.
_AHEAD_BYTES = 4 << 20

_PROBLEMS = {
    kernel.TRUNCATED: "the tree ends within a node",
    kernel.BAD_FLAGS: "a node with flags that no tree has",
    kernel.BAD_MISSING_CODE: "a node that says in no known way where missing values go",
    kernel.BAD_COLUMN: "a split by a column that the model does not have",
    kernel.BAD_SET: "a set of levels with less than none",
    kernel.BAD_LEFT_LENGTH: "a left subtree of another length than its node says",
    kernel.TRAILING: "bytes after the tree",
    kernel.NESTED_LEAF: "a tree of one leaf within a tree",
    kernel.NO_ROOM: "sets of levels that are larger than the file justifies",
}


@dataclass(frozen=True)
class Forest:
    """Trees as flat arrays that cannot be written to.

    Attributes:
        nodes: int32, WORDS per node, tree after tree.
        sets: int32, the sets of levels, after that of nodes without one.
        roots: int64 of shape (trees,): where each tree begins, ordered by group, then by class.
        classes: int64 of shape (trees,): to which class a tree's leaves are added.
        groups: int64 of shape (trees,): the group of each tree.
        columns: int64 of shape (slots,): the column of each slot; 0 for the one that has none.
        kinds: uint8 of shape (slots,): the kind of each slot.
        n_groups: groups of trees, those without a tree included.
        n_classes: trees that a group has when it is complete.
    """

    nodes: NDArray[np.int32]
    sets: NDArray[np.int32]
    roots: NDArray[np.int64]
    classes: NDArray[np.int64]
    groups: NDArray[np.int64]
    columns: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    n_groups: int
    n_classes: int


def read_forest(container: Container, header: Header) -> Forest:
    """Read all trees of a model.

    Raises:
        MojoFormatError: one is damaged, or there is none although the model should have some.
        MojoUnsupportedError: the version is one that no release of H2O wrote.
    """
    if header.version < 1.0:
        raise MojoUnsupportedError(f"trees of version {header.version:g}, which no release of H2O wrote")
    groups = header.keys.integer("n_trees", most=MAX_GROUPS)
    classes = trees_per_group(header)
    if groups * classes > MAX_TREES:
        raise MojoFormatError(MODEL_INI, f"{groups:,} groups of {classes:,} trees are more than any model has")
    slots = np.full(KINDS * header.n_features + 1, -1, dtype=np.int32)
    slots[-1] = 1
    decode = partial(_decoded, header=header, slots=slots)
    nodes: list[NDArray[np.int32]] = []
    sets: list[NDArray[np.int32]] = [np.zeros(2, dtype=np.int32)]
    places: list[tuple[int, int, int]] = []
    node_count, set_words = 0, 2
    every = ((group, index) for group in range(groups) for index in range(classes))
    found = [place for place in every if container.has(tree_name(*place))]
    names = [tree_name(*place) for place in found]
    for (group, index), name, content in zip(found, names, _contents(container, names), strict=True):
        tree, tree_sets = decode(name, content, base=set_words)
        places.append((node_count, index, group))
        nodes.append(tree)
        sets.append(tree_sets)
        node_count += len(tree) // WORDS
        set_words += len(tree_sets)
        if set_words > _MAX_SET_WORDS:
            raise MojoFormatError(name, "the sets of levels of all trees together are too large")
    if groups and not places:
        raise MojoFormatError(tree_name(0, 0), f"is missing, as are all of {groups:,} trees")
    roots, of_class, of_group = zip(*places, strict=True) if places else ((), (), ())
    used = np.argsort(slots[:-1], kind="stable")[len(slots) - slots[-1] :]
    forest = Forest(
        np.concatenate(nodes) if nodes else np.empty(0, dtype=np.int32),
        np.concatenate(sets),
        np.array(roots, dtype=np.int64),
        np.array(of_class, dtype=np.int64),
        np.array(of_group, dtype=np.int64),
        np.append(0, used // KINDS),
        np.append(CONSTANT, used % KINDS).astype(np.uint8),
        groups,
        classes,
    )
    for array in vars(forest).values():
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return forest


def _contents(container: Container, names: Sequence[str]) -> Iterator[bytes]:
    """Yield what each entry holds. Of large forests a thread reads the next while the caller decodes one."""
    if sum(map(container.size, names)) < _AHEAD_BYTES:
        yield from map(container.read, names)
        return
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(container.read, names[0])
        for after in names[1:]:
            content = coming.result()
            coming = pool.submit(container.read, after)
            yield content
        yield coming.result()


def trees_per_group(header: Header) -> int:
    """Return how many trees a group has; the first files do not say it themselves. Raises MojoFormatError for none."""
    keys = header.keys
    single = header.n_classes == 2 and not keys.flag("binomial_double_trees", default=False)
    return keys.integer("n_trees_per_class", 1 if single else max(header.n_classes, 1), least=1, most=MAX_TREES)


def tree_name(group: int, index: int) -> str:
    return f"trees/t{index:02d}_{group:03d}.bin"


def _decoded(
    name: str, data: bytes, *, header: Header, slots: NDArray[np.int32], base: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the nodes and the sets of one tree; `slots` gets those of columns that are new."""
    outside_left = header.version < 1.1
    nodes = np.empty((len(data) // 4 + 1) * WORDS, dtype=np.int32)
    sets = np.empty(len(data) // 2 + 4 + (_EXTRA_SET_WORDS if outside_left else 0), dtype=np.int32)
    status, at, count, used = kernel.decode(
        np.frombuffer(data, dtype=np.uint8),
        header.n_features,
        header.version < 1.2,
        outside_left,
        base,
        slots,
        nodes,
        sets,
    )
    if status != kernel.WHOLE:
        raise MojoFormatError(name, _PROBLEMS[status], offset=at)
    return nodes[: count * WORDS].copy(), sets[:used].copy()
