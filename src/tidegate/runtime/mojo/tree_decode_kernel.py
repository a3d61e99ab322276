"""Turns the bytes of one tree into nodes, in one pass. Every byte is accounted for: what does not add up is refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.tree_layout import (
    FIRST_BITS,
    KINDS,
    MAX_SET_BITS,
    MISSING_LEFT,
    MISSING_RIGHT,
    MOST,
    PLACE,
    WORDS,
)
from tidegate.runtime.mojo.tree_slots_kernel import key_of

WHOLE = 0
TRUNCATED = 1
BAD_FLAGS = 2
BAD_MISSING_CODE = 3
BAD_COLUMN = 4
BAD_SET = 5
BAD_LEFT_LENGTH = 6
TRAILING = 7
NESTED_LEAF = 8
NO_ROOM = 9

_LEAF_TREE = 65535


@kernel
def _u16(data: NDArray[np.uint8], at: int) -> int:
    return int(np.int64(data[at]) | np.int64(data[at + 1]) << 8)


@kernel
def _i32(data: NDArray[np.uint8], at: int) -> int:
    top = np.int64(data[at + 3])
    return _u16(data, at) | int(np.int64(data[at + 2]) << 16 | (top if top < 128 else top - 256) << 24)


@kernel
def _threshold(data: NDArray[np.uint8], at: int) -> int:
    """Return the key of a threshold: `MOST`, which no number reaches, for NaN."""
    number = np.int32(_i32(data, at)).view(np.float32)
    return MOST if number != number else key_of(number)  # noqa: PLR0124 - only NaN differs from itself


@kernel
def _set_header(data: NDArray[np.uint8], at: int, small: bool, byte_counts: bool) -> tuple[int, int, int]:
    """Return the first code of a set, how many bits it has, and where they begin; -1 bits where the tree ends."""
    if small:
        return 0, 32, at
    header = 4 if byte_counts else 6
    if at + header > len(data):
        return 0, -1, at
    bits = _u16(data, at + 2) * 8 if byte_counts else _i32(data, at + 2)
    return _u16(data, at), bits, at + header


@kernel
def _copy_set(
    data: NDArray[np.uint8],
    at: int,
    code: int,
    bits: int,
    missing_right: bool,
    outside_left: bool,
    sets: NDArray[np.int32],
    used: int,
) -> int:
    """Copy a set from its bits. Returns how many words of `sets` are used now: more than there are where the set has no
    room."""
    begin = code + 1
    first = 0 if outside_left else begin >> 5
    count = (begin + bits - first * 32 + 31) >> 5 if bits or outside_left else 0
    if used + 2 + count > len(sets):
        return len(sets) + 1
    outside = -1 if missing_right and not outside_left else 0
    sets[used] = first | count << FIRST_BITS
    sets[used + 1 : used + 2 + count] = outside
    base = used + 1 - first
    if first == 0 and count:
        sets[base] = (sets[base] & ~1) | (1 if missing_right else 0)
    for index in range(bits):
        place = begin + index
        mask = np.int32(np.int64(1) << np.int64(place & 31))
        if (data[at + (index >> 3)] >> (index & 7)) & 1:
            sets[base + (place >> 5)] |= mask
        else:
            sets[base + (place >> 5)] &= ~mask
    return used + 2 + count


@kernel
def _slot_of(slots: NDArray[np.int32], column: int, kind: int) -> int:
    """Return the slot of a column and kind; a new one at its first use. The last entry of `slots` counts them."""
    place = KINDS * column + kind
    if slots[place] < 0:
        slots[place] = slots[-1]
        slots[-1] += 1
    return int(slots[place])


@kernel
def _leaf(data: NDArray[np.uint8], at: int, nodes: NDArray[np.int32], count: int) -> None:
    nodes[count * WORDS] = _i32(data, at)
    nodes[count * WORDS + 1] = 0
    nodes[count * WORDS + 2] = 0
    nodes[count * WORDS + 3] = 0


@kernel
def decode(  # noqa: PLR0915 - one pass is one loop
    data: NDArray[np.uint8],
    columns: int,
    byte_counts: bool,
    outside_left: bool,
    base: int,
    slots: NDArray[np.int32],
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
        slots: of each column and kind; -1 for none yet. Last, their number.
        nodes: room for len(data) // 4 + 1 nodes, flat.
        sets: room for the tree's sets: len(data) // 2 + 4 words are enough in all versions but 1.00.

    Returns:
        A status (one of the constants above), the byte where it was found, and numbers of nodes and of words of sets.
    """
    size = len(data)
    count = 0
    used = 0
    at = 0
    # Inner nodes whose left subtree is being read: their place, where that subtree ends, whether a leaf follows it.
    waiting = 0
    room = size // 4 + 1
    parents = np.empty(room, dtype=np.int32)
    ends = np.empty(room, dtype=np.int64)
    then_leaf = np.empty(room, dtype=np.bool_)
    while True:
        if at + 3 > size:
            return TRUNCATED, at, count, used
        flags = np.int64(data[at])
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
        missing = np.int64(data[at + 3])
        if missing > 5 or (missing == 1 and kind != 0):
            return BAD_MISSING_CODE, at + 3, count, used
        # Code 0 is "undefined", and occurs in no trained model; H2O's scorer then goes right.
        missing_right = missing in (0, 1, 3, 5)
        value = MOST
        set_at = 0
        at += 4
        if kind != 0:
            slot = _slot_of(slots, column, PLACE)
            code, bits, begin = _set_header(data, at, kind == 8, byte_counts)
            if begin + ((max(bits, 0) + 7) >> 3) > size or bits == -1:
                return TRUNCATED, at, count, used
            if bits < 0 or bits > MAX_SET_BITS:
                return BAD_SET, at, count, used
            set_at = base + used
            used = _copy_set(data, begin, code, bits, missing_right, outside_left, sets, used)
            if used > len(sets):
                return NO_ROOM, at, count, used
            at = begin + ((bits + 7) >> 3)
        else:
            slot = _slot_of(slots, column, MISSING_RIGHT if missing_right else MISSING_LEFT)
            if missing != 1:
                if at + 4 > size:
                    return TRUNCATED, at, count, used
                value = _threshold(data, at)
                at += 4
        nodes[count * WORDS] = value
        nodes[count * WORDS + 2] = slot
        nodes[count * WORDS + 3] = set_at
        parents[waiting] = count
        then_leaf[waiting] = right != 0
        ends[waiting] = -1
        count += 1
        waiting += 1
        if left != 0x30:
            width = int(left) + 1
            if at + width > size:
                return TRUNCATED, at, count, used
            length = np.int64(0)
            for index in range(width):
                length += np.int64(data[at + index]) << np.int64(8 * index)
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
            nodes[parents[waiting] * WORDS + 1] = count - parents[waiting]
            if not then_leaf[waiting]:
                break
            if at + 4 > size:
                return TRUNCATED, at, count, used
            _leaf(data, at, nodes, count)
            count += 1
            at += 4
            if waiting == 0:
                return (WHOLE if size == at else TRAILING), at, count, used
