"""Where the levels of categorical columns begin in a vector that has a place for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.info import Keys


def offsets_of(keys: Keys, key: str, columns: int) -> NDArray[np.int64]:
    """Return `columns` + 1 offsets from 0 that do not fall; the last is the number of places.

    Raises:
        MojoFormatError: the key is missing, or they are others.
    """
    offsets = keys.integers(key, columns + 1)
    if offsets[0] != 0 or (np.diff(offsets) < 0).any() or offsets[-1] >= 1 << 31:
        raise keys.error(key, f"{key}: expected offsets that begin with 0 and do not fall")
    return offsets
