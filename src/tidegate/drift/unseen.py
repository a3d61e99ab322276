"""How probable it is that without drift so much is of levels that the reference has hardly seen. Pure."""

from __future__ import annotations

import math

import numpy as np

from tidegate.drift.bins import Counts

#: Shares of the reference's rows that are thought away, few and most: the best one depends on what is there.
_AWAY = (0.3, 0.6, 0.9)


def unseen_chance(seen: Counts, once: int, current: int, totals: tuple[int, int]) -> float:
    """Return a bound for the probability that without drift so many current rows are of levels that the reference has
    at most once, whatever levels there are and how many.

    They cannot be compared one by one: that the reference has few of them is why they are looked at. But let each of
    its rows be thought away with a probability of s. Of a level with X ~ Poisson(λ) rows X' ~ Poisson((1 − s) λ) are
    left, and P(X' = j) = e^(s λ) (1 − s)^j P(X = j). So what is e^(s λ) (1 − s)^X for X ≤ 1, and else the probability
    that two or more of X are left, has the mean P(X' ≤ 1) + P(X' ≥ 2) = 1, and so has the product over all levels. With
    c of m current rows of those with X ≤ 1, and n rows of the reference, e^(s Σλ) is at least the mean of
    (1 + s n / m)^c, in the place of which it can be put. What is never negative and has a mean of at most 1 is as large
    as k with a probability of at most 1 / k (Markov's inequality), and the mean over several s likewise.

    Args:
        seen: how many rows the reference has of each of the other levels.
        once: how many levels it has once.
        current: rows of the current data that are of these, or of levels that the reference has not.
        totals: rows of the reference and of the current data.
    """
    logs = [_evidence(away, seen, once, current, totals) for away in _AWAY]
    return math.exp(min(0.0, math.log(len(logs)) - float(np.logaddexp.reduce(logs))))


def _evidence(away: float, seen: Counts, once: int, current: int, totals: tuple[int, int]) -> float:
    """Return the logarithm of the product. A level that is there once, and yet among the others, need only be left."""
    lost = away**seen + np.where(seen > 1, seen * (1 - away) * away ** (seen - 1.0), 0.0)
    more = current * math.log1p(away * totals[0] / totals[1])
    return more + once * math.log1p(-away) + float(np.log1p(-lost).sum())
