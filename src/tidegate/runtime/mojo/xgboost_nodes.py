"""How a node of XGBoost lies in memory, and what it compares.

Values are looked at by their keys: whole numbers of 32 bits in the order of the numbers, the largest of all for what is
missing; of a categorical the place that it makes hot. A row goes to the first child where its key less `low`, modulo
2**32, is below `span`. That one subtraction and one comparison is each of XGBoost's tests:

- below a threshold, and a missing value is not: the keys from 0 on, as many as the threshold's;
- below a threshold, or missing: the same from the missing value's key on, which 0 follows;
- a level: one key;
- a leaf, and a test that all rows fail: none.
"""

from __future__ import annotations

import numpy as np

#: 16 bytes of a node: see above, of a leaf `low` is its value, as a float32; the first of two children, which lie side
#: by side, where a leaf has itself as the second; the column.
PACKED = np.dtype([("low", "<u4"), ("span", "<u4"), ("left", "<i4"), ("column", "<u4")])
#: Of a value that is missing.
MISSING_KEY = 0xFFFFFFFF
