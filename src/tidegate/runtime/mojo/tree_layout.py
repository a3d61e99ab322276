"""How decoded trees lie in memory: three 32-bit words per node, so that five nodes share a cache line.

Nodes of a tree are in pre-order: a node's left child is the next node. Word 0 is a float32 (its bits): the threshold
of a numeric split, or the value of a leaf; in a split by a set it holds the set's bits, or the place of a larger set.
Word 1 is the distance to the right child, and 0 in a leaf. Word 2 is the column, with the flags below on top of it.

"Missing goes right, all else left" is the numeric split by NaN: no number is below, above or equal to it.

A larger set lies among the forest's sets as: code of its first bit, number of bits, and the bits, 32 in a word.
"""

from __future__ import annotations

#: Word 2 of a node: the low 16 bits are the column.
COLUMN_MASK = 0xFFFF
#: Missing values go right.
MISSING_RIGHT = 1 << 16
#: The split is by a set of codes, which go right.
BY_SET = 1 << 17
#: That set is a word of its own; without this flag, it lies among the forest's sets.
SMALL_SET = 1 << 18
#: Codes that the set has no bit for go right; without this flag, left.
OUTSIDE_RIGHT = 1 << 19

WORDS = 3
#: Words of a larger set before its bits.
SET_HEADER = 2
SMALL_SET_BITS = 32
