"""How a node of XGBoost lies in memory."""

from __future__ import annotations

import numpy as np

#: 12 bytes of a node: threshold, place of a level or value of a leaf; the first of two children, which lie side by
#: side, where a leaf has itself as the second; the column, times 4, and what is compared.
PACKED = np.dtype([("value", "<f4"), ("left", "<i4"), ("column", "<i4")])
