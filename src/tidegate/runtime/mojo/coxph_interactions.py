"""Columns of a proportional hazards model that are made of two others.

With strata, H2O's Java scorer forgets that their columns come first, and takes the coefficients of other columns for
interactions with levels. The file holds what is needed, so here the answer is that of H2O's server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI
from tidegate.runtime.mojo.coxph_kernel import LEVEL_AND_NUMBER, LEVELS, NUMBERS
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header


@dataclass(frozen=True)
class Interactions:
    """Arrays as the kernel takes them; see there.

    Attributes:
        parts: shape (interactions, 4).
        shifted: of each interaction, which number's coefficient it shifts; -1 for none.
        levels: shape (interactions, 4).
        pairs, codes: of all interactions between levels, one after the other.
    """

    parts: NDArray[np.int64]
    shifted: NDArray[np.int64]
    levels: NDArray[np.int64]
    pairs: NDArray[np.int64]
    codes: NDArray[np.int64]

    def targets_with_levels(self, lead: int, cats: int) -> NDArray[np.int64]:
        """Return which categorical columns are made here; their first level has a coefficient."""
        targets = self.parts[:, 3] - lead
        return targets[(targets >= 0) & (targets < cats)]


def read_interactions(header: Header, lead: int, cats: int, num_offsets: NDArray[np.int64]) -> Interactions:
    """Read which columns are made of which.

    Args:
        lead, cats: how many columns are of strata, and how many categorical ones follow them.

    Raises:
        MojoFormatError: a column is none that can be such.
    """
    keys = header.keys
    lists = [keys.find_integers(key) for key in ("interactions_1", "interactions_2", "interaction_targets")]
    columns = [np.empty(0, np.int64) if one is None else one for one in lists]
    if len({len(one) for one in columns}) != 1:
        raise MojoFormatError(MODEL_INI, "interactions_1, interactions_2 and interaction_targets differ in length")
    count = len(columns[0])
    if any(((one < 0) | (one >= header.n_features)).any() for one in columns):
        raise MojoFormatError(MODEL_INI, f"interactions: expected columns from 0 to {header.n_features - 1}")
    parts = np.empty((count, 4), np.int64)
    shifted = np.full(count, -1, np.int64)
    levels = np.zeros((count, 4), np.int64)
    pairs: list[int] = []
    codes: list[int] = []
    for number, (one, two, target) in enumerate(zip(*(each.tolist() for each in columns), strict=True)):
        first, second = header.feature_domains[one], header.feature_domains[two]
        parts[number, 1:] = (one, two, target) if first is not None else (two, one, target)
        if first is not None and second is not None:
            parts[number, 0] = LEVELS
            found = sorted(_pairs(first, second, header.feature_domains[target] or ()))
            levels[number] = len(first), len(second), len(pairs), len(pairs) + len(found)
            pairs.extend(pair for pair, _ in found)
            codes.extend(code for _, code in found)
        elif first is None and second is None:
            parts[number, 0] = NUMBERS
        else:
            parts[number, 0] = LEVEL_AND_NUMBER
            shifted[number] = target - lead - cats
            if not 0 <= target - lead - cats < len(num_offsets):
                raise MojoFormatError(MODEL_INI, f"interaction_targets: column {target} is no numeric one")
    return Interactions(parts, shifted, levels, np.array(pairs, np.int64), np.array(codes, np.int64))


def _pairs(first: tuple[str, ...], second: tuple[str, ...], target: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of levels whose text `<first>_<second>` is a level of the target, and its code."""
    ones = {level: code for code, level in enumerate(first)}
    twos = {level: code for code, level in enumerate(second)}
    lengths = {len(level) for level in first}
    for code, text in enumerate(target):
        for length in lengths:
            if text[length : length + 1] != "_":
                continue
            one, two = ones.get(text[:length]), twos.get(text[length + 1 :])
            if one is not None and two is not None:
                yield one * len(second) + two, code
