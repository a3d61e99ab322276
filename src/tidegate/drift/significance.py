"""What chance does: how often so large a difference comes about without any drift, and of how many rows it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tidegate.contract.errors import InvalidInput


def chi_square_chance(statistic: float, freedom: int) -> float:
    """Return the probability of at least this statistic without drift; 1 with no degree of freedom."""
    return float(_special().chdtrc(freedom, statistic)) if freedom > 0 else 1.0


def holm(chances: Sequence[float]) -> list[float]:
    """Return the chances with the number of them respected, so that the smallest of all is below alpha with a
    probability of alpha at most: S. Holm, "A simple sequentially rejective multiple test procedure" (1979)."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    adjusted, largest = [1.0] * len(chances), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = largest
    return adjusted


def rows_needed(threshold: float, alpha: float, bins: int, reference: int) -> int | None:
    """Return how many rows it takes until a PSI of `threshold` is more than chance does; None for a reference that is
    too small for any number.

    Without drift the index of n and m rows is about (1/n + 1/m) times a χ² with one degree of freedom less than there
    are bins: B. Yurdakul, J. Naranjo, "Statistical properties of the population stability index", Journal of Risk Model
    Validation 14 (2020).

    Args:
        alpha: what a column may use up of the chance of a false alarm.
        bins: those that are not empty.
        reference: rows of the reference.
    """
    if bins < 2:
        return 1
    quantile = float(_special().chdtri(bins - 1, alpha))
    room = threshold / quantile - 1 / max(reference, 1)
    return math.ceil(1 / room) if room > 0 else None


def _special() -> Any:
    try:
        from scipy import special
    except ImportError as missing:
        raise InvalidInput(
            "drift needs SciPy, which is not installed",
            subject="scipy",
            hint="pip install 'tidegate[drift]'",
        ) from missing
    return special
