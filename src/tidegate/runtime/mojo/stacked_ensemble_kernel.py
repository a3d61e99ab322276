"""The compiled part of stacked ensembles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

_EDGE = 1e-9
_LEAST = -19.0


@kernel
def to_logits(values: NDArray[np.float64]) -> None:
    """Replace probabilities by their logits, in place; those next to 0 and 1 are moved away from them. NaN stays."""
    for r in range(values.shape[0]):
        for i in range(values.shape[1]):
            value = values[r, i]
            if np.isnan(value):
                continue
            value = min(1.0 - _EDGE, max(value, _EDGE))
            values[r, i] = max(_LEAST, math.log(value / (1.0 - value)))
