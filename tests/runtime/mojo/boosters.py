"""Boosters made up for tests: written in XGBoost's old format, and scored slowly by the rules."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

F32 = np.float32


@dataclass(frozen=True)
class Leaf:
    value: float


@dataclass(frozen=True)
class Split:
    feature: int
    threshold: float
    default_left: bool
    left: Tree
    right: Tree


Tree = Leaf | Split


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def nodes_of(tree: Tree) -> list[tuple[int, int, int, int, float]]:
    """Return nodes as (parent, left, right, feature with the default's bit, value), the root first."""
    nodes: list[tuple[int, int, int, int, float]] = [(-1, -1, -1, 0, 0.0)]
    waiting: list[tuple[int, Tree]] = [(0, tree)]
    while waiting:
        at, node = waiting.pop()
        parent = nodes[at][0]
        if isinstance(node, Leaf):
            nodes[at] = (parent, -1, -1, 0, node.value)
            continue
        left = len(nodes)
        nodes += [(at, -1, -1, 0, 0.0)] * 2
        nodes[at] = (parent, left, left + 1, node.feature | (0x80000000 if node.default_left else 0), node.threshold)
        waiting += [(left, node.left), (left + 1, node.right)]
    return nodes


def tree_bytes(nodes: list[tuple[int, int, int, int, float]], *, roots: int = 1, leaf_vector: int = 0) -> bytes:
    head = struct.pack("<6i", roots, len(nodes), 0, 0, 0, leaf_vector) + bytes(31 * 4)
    return head + b"".join(struct.pack("<iiiIf", *node) for node in nodes) + bytes(16 * len(nodes))


def booster_bytes(
    trees: list[tuple[int, Tree]],
    *,
    features: int,
    classes: int = 0,
    objective: str = "reg:squarederror",
    base: float = 0.5,
    version: tuple[int, int] = (1, 6),
    drops: list[float] | None = None,
) -> bytes:
    """Return the bytes of a booster.

    Args:
        trees: the group of each, and the tree.
    """
    head = b"binf" + struct.pack("<fIiiiII", base, features, classes, 0, 0, *version) + bytes(27 * 4)
    body = text(objective) + text("gbtree" if drops is None else "dart")
    body += struct.pack("<iiiiqii", len(trees), 1, features, 0, 0, max(classes, 1), 0) + bytes(32 * 4)
    body += b"".join(tree_bytes(nodes_of(tree)) for _, tree in trees)
    body += b"".join(struct.pack("<i", group) for group, _ in trees)
    if drops is not None:
        body += struct.pack("<Q", len(drops)) + np.array(drops, dtype="<f4").tobytes()
    return head + body


def leaf_of(tree: Tree, values: list[float]) -> float:
    """Return the leaf that a whole one-hot input (float32 numbers, NaN for missing) leads to."""
    while isinstance(tree, Split):
        value = F32(values[tree.feature])
        goes_left = tree.default_left if math.isnan(value) else bool(value < F32(tree.threshold))
        tree = tree.left if goes_left else tree.right
    return tree.value


def inputs_of(row: list[float], offsets: list[int], *, first_level: int, sparse: bool) -> list[float]:
    """Return the whole one-hot input of a row, by the rules."""
    cats = len(offsets) - 1
    values = [math.nan if sparse else 0.0] * offsets[-1]
    for index in range(cats):
        if math.isnan(row[index]):
            slot = offsets[index + 1] - 1
        else:
            slot = offsets[index] + int(row[index]) - first_level
            slot = slot if slot < offsets[index + 1] else offsets[index + 1] - 1
        if slot >= offsets[index]:
            values[slot] = 1.0
    with np.errstate(over="ignore"):
        numbers = [float(F32(value)) for value in row[cats:]]
    return values + [math.nan if sparse and number == 0.0 else number for number in numbers]
