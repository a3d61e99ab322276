"""The input of XGBoost and of Deep Learning: a place for each level of each categorical column, then the numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.arrays import fixed
from tidegate.runtime.mojo.container import MODEL_INI
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.info import Keys
from tidegate.runtime.mojo.offsets import offsets_of


@dataclass(frozen=True)
class OneHot:
    """Where values go.

    Attributes:
        offsets: of shape (categoricals + 1,): the first place of each; where the last ends, numbers begin. The last
            place of each is that of missing values.
        nums: how many numbers there are. They follow the categoricals in a row.
        first_level: 1 where the first level of a categorical has no place, else 0.
    """

    offsets: NDArray[np.int64]
    nums: int
    first_level: int

    @property
    def cats(self) -> int:
        return len(self.offsets) - 1

    @property
    def slots(self) -> int:
        """Places of levels."""
        return int(self.offsets[-1])

    @property
    def width(self) -> int:
        """Length of the whole input."""
        return self.slots + self.nums

    def owners(self) -> NDArray[np.int64]:
        """Return the categorical of each place, of shape (slots,)."""
        return np.repeat(np.arange(self.cats), np.diff(self.offsets))


def read_one_hot(keys: Keys, n_features: int) -> OneHot:
    """Read where values go. Raises MojoFormatError."""
    cats = keys.integer("cats", 0, most=n_features)
    nums = keys.integer("nums", 0, most=n_features - cats)
    offsets = offsets_of(keys, "cat_offsets", cats) if cats or "cat_offsets" in keys else np.zeros(1, dtype=np.int64)
    if (np.diff(offsets) < 1).any():
        raise MojoFormatError(MODEL_INI, "cat_offsets: a categorical has no place for missing values")
    every_level = keys.flag("use_all_factor_levels", default=False)
    return OneHot(offsets=fixed(offsets), nums=nums, first_level=0 if every_level else 1)
