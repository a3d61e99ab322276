"""What the ratios of blocks say, whose order was drawn: how much, how surely, and how likely by chance alone. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 20_000


@dataclass(frozen=True)
class Shift:
    """By what factor one side is larger.

    Attributes:
        factor: the estimate of J. L. Hodges and E. L. Lehmann (1963) on logarithms: the median of the means of all
            pairs of blocks, a block with itself among them.
        low, high: its 95 % interval, of the signed-rank test of F. Wilcoxon (1945); None below eight blocks.
        chance: of a mean as far from none where there is nothing, in either direction: the share of drawn orders of the
            blocks' windows with one.
    """

    factor: float
    low: float | None
    high: float | None
    chance: float


def shift(ratios: Sequence[float], seed: int = 1) -> Shift:
    """Return what the blocks' ratios say.

    Args:
        ratios: of one side to the other, positive. Which windows of a block were of which side was drawn, so that where
            there is no difference each ratio could as well have been its inverse.
    """
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    count = len(logs)
    first, second = np.triu_indices(count)
    means = np.sort((logs[first] + logs[second]) / 2)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (_DRAWS, count))
    as_far = np.abs((signs * logs).mean(axis=1)) >= abs(logs.mean()) * (1 - 1e-12)
    # The order that was drawn is one of them.
    chance = (int(as_far.sum()) + 1) / (_DRAWS + 1)
    low = high = None
    if count >= 8:
        rank = math.floor(count * (count + 1) / 4 - 1.96 * math.sqrt(count * (count + 1) * (2 * count + 1) / 24))
        low, high = math.exp(means[rank]), math.exp(means[-1 - rank])
    return Shift(math.exp(float(np.median(means))), low, high, chance)
