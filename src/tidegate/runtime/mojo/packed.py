"""All of a model that a kernel needs, as one argument.

To hand an array over to compiled code costs about a tenth of a microsecond, which for a dozen of them is more than a
small model takes to score a row. So they are handed over as one table of their addresses and lengths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.arrays import fixed


class Packed:
    """Arrays, of any shape, and numbers after them.

    Args:
        arrays: each is read by its place, flat, with the function of `packed_kernel` for its type.
        floats: they make an array of float64 after the others.
        whole: they make an array of int64 after that.

    Attributes:
        table: int64 of shape (arrays + 2, 2): the address and the length of each. Good while this object lives.
    """

    def __init__(self, *arrays: NDArray[Any], floats: tuple[float, ...] = (), whole: tuple[int, ...] = ()) -> None:
        self._kept = [
            *map(np.ascontiguousarray, arrays), np.array(floats, dtype=np.float64), np.array(whole, dtype=np.int64),
        ]  # fmt: skip
        self.table = fixed(np.array([(array.ctypes.data, array.size) for array in self._kept], dtype=np.int64))
