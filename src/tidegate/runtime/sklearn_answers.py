"""What the engines for the last step of a scikit-learn model are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tidegate.runtime.base import Array
from tidegate.runtime.trees import NotCoveredError

#: Labels (or numbers), and probabilities where the model has them.
Answer = tuple[Array, Array | None]
#: Takes an array of floats, or a sparse matrix as scikit-learn's encoders make it; shape [rows, features].
Final = Callable[[Any], Answer]

#: Numbers in a sparse matrix that is made dense for an engine for trees.
_MAX_DENSE = 1_000_000


class RefusedError(Exception):
    """scikit-learn has to be asked about these rows."""


def dense(data: Any) -> Array:
    """Return a matrix as an array; a sparse one only while it is small."""
    if not hasattr(data, "toarray"):
        return data  # type: ignore[no-any-return]
    if math.prod(data.shape) > _MAX_DENSE:
        raise RefusedError
    return data.toarray()  # type: ignore[no-any-return]


def require(is_plain: bool, why: str) -> None:
    """Raise `NotCoveredError` unless a model is as plain as an engine takes it."""
    if not is_plain:
        raise NotCoveredError(why)
