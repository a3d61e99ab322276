"""How decoded trees lie in memory: four 32-bit words per node, so that a node is in one cache line, and a step from one
to the next can be taken without a branch.

Nodes of a tree are in pre-order: a node's left child is the next node.

    word 0  of a numeric split the key of its threshold, of one by a set `MOST`; of a leaf its value (a float32's bits)
    word 1  distance to the right child; 0 in a leaf
    word 2  slot of the row that is looked at; 0 in a leaf
    word 3  where the set begins; 0 in all but splits by a set

A row is brought into the form of these splits first. It has a *slot* for each column and way in which it is looked at
(its kind, see below), and before them one that is always `MOST`.

A number is looked at by its *key*, a whole number of 32 bits in the order of the numbers, and a row goes right where
its slot is at least the threshold's. The value is taken as a float32, rounded **down**: it is below a float32 threshold
exactly when the value itself is. A missing value has the largest key of all, `MOST`, where it goes right, and the
smallest where it goes left. "Missing goes right, all else left" is the numeric split by `MOST`. A leaf is one that no
row is below, and whose right child is itself.

A level is looked at by its *place*: 0 for a missing value, else its code and 1. It is below `MOST`. A set begins with a
word that says which words of 32 places follow, as first | count << 12; after these is one more for all other places. A
bit is 1 where the place goes right. The first two words of all sets are 0: a set without words that nothing is in,
which is that of all nodes without one.
"""

from __future__ import annotations

WORDS = 4

#: Kinds of slots: the one that is always `MOST`; a number that goes left, or right, where it is missing; a level.
CONSTANT, MISSING_LEFT, MISSING_RIGHT, PLACE = range(4)
#: Kinds that a column can have.
KINDS = 4
MOST = 2**31 - 1
LEAST = -(2**31)

FIRST_BITS = 12
FIRST_MASK = (1 << FIRST_BITS) - 1
#: Bits that a set in a file may have: more than H2O has levels, and no more than a set can count.
MAX_SET_BITS = 1 << 24
#: The place of a code that is beyond all sets.
FAR_PLACE = 2**31 - 2
