"""Turns the bytes of one tree into nodes, in one pass. Every byte is accounted for: what does not add up is refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.tree_layout import (
    BY_SET,
    MISSING_RIGHT,
    OUTSIDE_RIGHT,
    SET_HEADER,
    SMALL_SET,
)

WHOLE = 0
TRUNCATED = 1
BAD_FLAGS = 2
BAD_MISSING_CODE = 3
BAD_COLUMN = 4
BAD_SET = 5
BAD_LEFT_LENGTH = 6
TRAILING = 7
NESTED_LEAF = 8

_LEAF_TREE = 65535
_NO_LENGTH = -1


@kernel
def _u16(data: NDArray[np.uint8], at: int) -> int:
    return int(data[at]) | int(data[at + 1]) << 8


@kernel
def _i32(data: NDArray[np.uint8], at: int) -> int:
    low = int(data[at]) | int(data[at + 1]) << 8 | int(data[at + 2]) << 16
    top = int(data[at + 3])
    return low | (top if top < 128 else top - 256) << 24


@kernel
def _set_of(
    data: NDArray[np.uint8], at: int, byte_counts: bool, sets: NDArray[np.int32], used: int
) -> tuple[int, int, int]:
    """Copy a larger set. Returns a status, where the bytes go on, and how many words of `sets` are used now."""
    size = len(data)
    header = 4 if byte_counts else 6
    if at + header > size:
        return TRUNCATED, at, used
    first = _u16(data, at)
    bits = _u16(data, at + 2) * 8 if byte_counts else _i32(data, at + 2)
    if bits < 0:
        return BAD_SET, at, used
    count = (bits + 7) // 8
    at += header
    if count > size - at:
        return TRUNCATED, at, used
    sets[used] = first
    sets[used + 1] = bits
    used += SET_HEADER
    word = np.int64(0)
    for index in range(count):
        word |= np.int64(data[at + index]) << np.int64((index & 3) * 8)
        if index & 3 == 3 or index == count - 1:
            sets[used] = np.int32(word)
            used += 1
            word = np.int64(0)
    return WHOLE, at + count, used


@kernel
def _leaf(data: NDArray[np.uint8], at: int, nodes: NDArray[np.int32], count: int) -> None:
    nodes[count, 0] = _i32(data, at)
    nodes[count, 1] = 0
    nodes[count, 2] = 0


@kernel
def decode(  # noqa: PLR0915 - one pass is one loop
    data: NDArray[np.uint8],
    columns: int,
    byte_counts: bool,
    outside_left: bool,
    base: int,
    nodes: NDArray[np.int32],
    sets: NDArray[np.int32],
) -> tuple[int, int, int, int]:
    """Decode a tree.

    Args:
        data: its bytes.
        columns: how many columns a row has.
        byte_counts: larger sets say how many bytes they have, as in versions 1.00 and 1.10, and not how many bits.
        outside_left: codes that a set has no bit for go left, as in version 1.00, and not where missing values go.
        base: words that are used already among the forest's sets.
        nodes: room for len(data) // 4 + 1 nodes, shape (nodes, WORDS).
        sets: room for len(data) // 2 + 4 words.

    Returns:
        A status (one of the constants above), the byte where it was found, and numbers of nodes and of words of sets.
    """
    size = len(data)
    count = 0
    used = 0
    at = 0
    # Inner nodes whose left subtree is being read: their place, where that subtree ends, whether a leaf follows it.
    waiting = 0
    parents = np.empty(len(nodes), dtype=np.int32)
    ends = np.empty(len(nodes), dtype=np.int64)
    then_leaf = np.empty(len(nodes), dtype=np.bool_)
    while True:
        if at + 3 > size:
            return TRUNCATED, at, count, used
        flags = int(data[at])
        column = _u16(data, at + 1)
        if column == _LEAF_TREE:
            if count > 0:
                return NESTED_LEAF, at, count, used
            if at + 7 > size:
                return TRUNCATED, at, count, used
            _leaf(data, at + 3, nodes, 0)
            return (WHOLE if size == at + 7 else TRAILING), at + 7, 1, 0
        if column >= columns:
            return BAD_COLUMN, at + 1, count, used
        kind = flags & 0x0C
        left = flags & 0x33
        right = flags & 0xC0
        if kind == 4 or (left > 3 and left != 0x30) or right not in (0, 0xC0):
            return BAD_FLAGS, at, count, used
        if at + 4 > size:
            return TRUNCATED, at, count, used
        missing = int(data[at + 3])
        if missing > 5 or (missing == 1 and kind != 0):
            return BAD_MISSING_CODE, at + 3, count, used
        # Code 0 is "undefined", and occurs in no trained model; H2O's scorer then goes right.
        missing_right = missing in (0, 1, 3, 5)
        word = column | (MISSING_RIGHT if missing_right else 0)
        value = 0x7FC00000
        at += 4
        if kind == 12:
            word |= BY_SET
            value = base + used
            status, at, used = _set_of(data, at, byte_counts, sets, used)
            if status != WHOLE:
                return status, at, count, used
        elif missing != 1:
            if at + 4 > size:
                return TRUNCATED, at, count, used
            value = _i32(data, at)
            at += 4
            if kind == 8:
                word |= BY_SET | SMALL_SET
        if word & BY_SET and missing_right and not outside_left:
            word |= OUTSIDE_RIGHT
        nodes[count, 0] = value
        nodes[count, 2] = word
        parents[waiting] = count
        then_leaf[waiting] = right != 0
        ends[waiting] = -1
        count += 1
        waiting += 1
        if left != 0x30:
            width = left + 1
            if at + width > size:
                return TRUNCATED, at, count, used
            length = 0
            for index in range(width):
                length |= int(data[at + index]) << (8 * index)
            ends[waiting - 1] = at + width + length
            at += width
            continue
        if at + 4 > size:
            return TRUNCATED, at, count, used
        _leaf(data, at, nodes, count)
        count += 1
        at += 4
        # A left subtree is complete; where a leaf is on its right, so is its parent, and so on upwards.
        while True:
            waiting -= 1
            if ends[waiting] not in (-1, at):
                return BAD_LEFT_LENGTH, at, count, used
            nodes[parents[waiting], 1] = count - parents[waiting]
            if not then_leaf[waiting]:
                break
            if at + 4 > size:
                return TRUNCATED, at, count, used
            _leaf(data, at, nodes, count)
            count += 1
            at += 4
            if waiting == 0:
                return (WHOLE if size == at else TRAILING), at, count, used
