"""How a node of XGBoost lies in memory, and what it compares: as one of complete trees, or as one of linked trees.

Keys
----

Values are looked at by their keys: whole numbers of 32 bits in the order of the numbers, the largest of all for what is
missing; of a categorical the place that it makes hot.

Linked trees
------------
Those that are deep, or far from balanced. A row goes to the first child where its key less `low`, modulo 2**32, is
below `span`. That one subtraction and one comparison is each of XGBoost's tests:

- below a threshold, and a missing value is not: the keys from 0 on, as many as the threshold's;
- below a threshold, or missing: the same from the missing value's key on, which 0 follows;
- a level: one key;
- a leaf, and a test that all rows fail: none.

Complete trees
--------------
The usual ones: all are filled up to the depth of the deepest, so that a node's children are found by its place alone.
The first node of a tree is at place 1, those that follow the node at p are at 2 p and 2 p + 1, and the leaves, on the
last level, are in an array of their own. Eight bytes are a node: what it asks for, and the slot of a row that it looks
at. A slot of a row is an interval, `low` and `span`, and the row goes to 2 p + 1 where what is asked for, less `low`,
modulo 2**32, is below `span`:

- of a categorical, at its place: the place that it makes hot, alone; asked for is a level's place;
- of a number, at cats + 2 j for the j-th, where a missing value is above all thresholds, and after that, where it is
  below them: all keys up to its own; asked for is the threshold's;
- the last slot of all: nothing. What lies below a leaf asks for it; all of that ends in the leaf.
"""

from __future__ import annotations

import numpy as np

#: 16 bytes of a node: see above, of a leaf `low` is its value, as a float32; the first of two children, which lie side
#: by side, where a leaf has itself as the second; the column.
PACKED = np.dtype([("low", "<u4"), ("span", "<u4"), ("left", "<i4"), ("column", "<u4")])
#: 8 bytes of a node of a complete tree, and 4 of a leaf, which a tree has as many of.
NODE_BYTES, LEAF_BYTES = 8, 4
#: Of a value that is missing.
MISSING_KEY = 0xFFFFFFFF
