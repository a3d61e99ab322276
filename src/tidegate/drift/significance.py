"""What chance does: how often so large a difference comes about without any drift, and of how many rows it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput
from tidegate.drift.columns import Numbers


def chi_square_chance(statistic: float, freedom: int) -> float:
    """Return the probability of at least this statistic without drift; 1 with no degree of freedom."""
    return float(special().chdtrc(freedom, statistic)) if freedom > 0 else 1.0


def exact_chance(few: tuple[int, int], totals: tuple[int, int]) -> float:
    """Return the probability that without drift a kind of value is divided among two sides no more evenly than this:
    the exact test of R. A. Fisher, of both sides (all divisions that are no likelier than this one).

    Args:
        few: values of the kind on each side.
        totals: all values of each side.
    """
    there, drawn, size = sum(few), totals[0], sum(totals)
    possible = np.arange(max(0, there - totals[1]), min(there, drawn) + 1)
    chances = (
        _log_ways(there, possible) + _log_ways(size - there, drawn - possible) - _log_ways(size, np.array([drawn]))
    )
    # Those that are as likely differ by rounding.
    counted = chances <= chances[few[0] - possible[0]] + 1e-5
    return min(1.0, float(np.exp(chances[counted]).sum()))


def _log_ways(size: int, chosen: NDArray[np.int64]) -> Numbers:
    """Return the logarithm of how many ways there are to choose so many of a number of things."""
    gammaln = special().gammaln
    found: Numbers = gammaln(size + 1) - gammaln(chosen + 1) - gammaln(size - chosen + 1)
    return found


def holm(chances: Sequence[float]) -> list[float]:
    """Return the chances with the number of them respected, so that the smallest of all is below alpha with a
    probability of alpha at most: S. Holm, "A simple sequentially rejective multiple test procedure" (1979)."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    adjusted, largest = [1.0] * len(chances), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = largest
    return adjusted


def alpha_of_look(alpha: float, look: int) -> float:
    """Return what a look may use up of the chance of a false alarm where the same is looked at again and again: all of
    them together use up alpha, however many there are.

    Args:
        look: its number, from 1.
    """
    return alpha / (look * (look + 1))


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
    quantile = float(special().chdtri(bins - 1, alpha))
    room = threshold / quantile - 1 / max(reference, 1)
    return math.ceil(1 / room) if room > 0 else None


def rank_chance(scores: Numbers, others: Numbers) -> tuple[float, float]:
    """Return the area under the ROC curve, by which scores are above others, and the probability of so much without
    drift: the rank test of H. B. Mann and D. R. Whitney (1947), of one side, with ties respected.

    Args:
        scores, others: of rows that had no part in how scores are given; at least one each.
    """
    n, m = len(scores), len(others)
    ranks, ties = _ranks(np.concatenate([scores, others]))
    wins = float(ranks[:n].sum()) - n * (n + 1) / 2
    spread = n * m / 12 * (n + m + 1 - float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1)))
    # Half a win less, since wins come in whole numbers.
    chance = 1.0 if spread <= 0 else NormalDist().cdf(-(wins - n * m / 2 - 0.5) / math.sqrt(spread))
    return wins / (n * m), chance


def area_of(index: float) -> float:
    """Return the area under the ROC curve that is as large a change as a PSI: of two normal distributions of one
    variance with a distance of d between their means the index is d², and the area Φ(d / √2)."""
    return NormalDist().cdf(math.sqrt(index / 2))


def rows_needed_together(area: float, alpha: float, reference: int) -> int | None:
    """Return how many rows it takes until an area is more than chance does; None for a reference that is too small for
    any number. Two halves of the rows are tested, each at half of alpha.

    Args:
        area: above 0.5.
        reference: rows of the reference.
    """
    quantile = -NormalDist().inv_cdf(alpha / 2)
    room = 6 * ((area - 0.5) / quantile) ** 2 - 1 / max(reference, 1)
    return math.ceil(1 / room) if room > 0 else None


def around(draws: Numbers, value: float) -> tuple[float, float]:
    """Return the 95 % interval around a value. Draws say how wide it is: where their middle lies is no matter."""
    low, middle, high = np.nanquantile(draws, (0.025, 0.5, 0.975))
    return float(value + low - middle), float(value + high - middle)


def isotonic(values: Numbers, weights: Numbers) -> Numbers:
    """Return the values that never fall and are nearest to these, by least squares with these weights."""
    try:
        from scipy.optimize import isotonic_regression
    except ImportError as missing:
        raise _without_scipy() from missing
    found: Numbers = isotonic_regression(values, weights=weights).x
    return found


def _ranks(values: Numbers) -> tuple[Numbers, Numbers]:
    """Return the ranks from 1, equal values at the middle of theirs, and how many there are of each value."""
    _, places, times = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    return (last - (times - 1) / 2)[places], times.astype(np.float64)


def special() -> Any:
    try:
        from scipy import special
    except ImportError as missing:
        raise _without_scipy() from missing
    return special


def _without_scipy() -> InvalidInput:
    return InvalidInput(
        "drift needs SciPy, which is not installed", subject="scipy", hint="pip install 'tidegate[drift]'"
    )
