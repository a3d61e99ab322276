"""Arrays of a model."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def fixed(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return values as a C-contiguous array that cannot be written to, as one in memory that is shared could not.

    Kernels are compiled for that: they would be compiled once more for arrays that can be written to.
    """
    values = np.array(values, order="C")
    values.setflags(write=False)
    return values
