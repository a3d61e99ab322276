"""How decoded trees lie in memory: four 32-bit words per node, so that a node is in one cache line, and a step from one
to the next can be taken without a branch.

Nodes of a tree are in pre-order: a node's left child is the next node.

    word 0  a float32 (its bits): threshold of a numeric split, or value of a leaf; else where the set begins
    word 1  distance to the right child; 0 in a leaf
    word 2  slot of the row that is looked at, and the flags below
    word 3  of a split by a set: which words of 32 places the set has, as first | count << 11; else 0

A row is brought into the form of these splits first: it has a *slot* for each column that is compared with thresholds,
and one for each column that is looked up in sets. The former is the value as a float32, rounded **down**: it is below a
float32 threshold exactly when the value itself is. The latter is the *place* of the value's level: 0 for a missing
value, else its code and 1.

A set begins with a word for the places that it does not cover, and goes on with those of the places that it does; a bit
is 1 where the place goes right.

"Missing goes right, all else left" is the numeric split by NaN: no number is below, above or equal to it.
"""

from __future__ import annotations

WORDS = 4

SLOT_MASK = 0xFFFFFF
#: Missing values go right, in a numeric split.
MISSING_RIGHT = 1 << 24
#: The split is by a set.
BY_SET = 1 << 25
#: The node is no leaf.
INNER = 1 << 26

FIRST_BITS = 11
FIRST_MASK = (1 << FIRST_BITS) - 1
#: Bits that a set in a file may have: more than H2O has levels, and no more than word 3 can count.
MAX_SET_BITS = 1 << 25
#: The place of a code that is beyond all sets.
FAR_PLACE = 2**31 - 1
