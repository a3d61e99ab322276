"""Bernoulli arithmetic of the judge: block e-variables, their projections, time-uniform bounds on a rate.

A block holds n1 requests of the candidate and n0 of stable. For an alternative (a1, a0) chosen before the block was
seen, and the point (p1, p0) of the null nearest to it in n1·KL(a1‖p1) + n0·KL(a0‖p0), the likelihood ratio of the
block has expectation <= 1 under every point of a convex null: its log-expectation is concave in the true rates, 0 at
(p1, p0), and has no ascending direction into the null because (p1, p0) is nearest.

Source: R. Turner, A. Ly, P. Grünwald, "Generic E-variables for exact sequential k-sample tests", arXiv:2106.02693,
section 2 (two-by-two tables) and section 3 (convex nulls such as a difference of at least delta).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tidegate.judge.records import Tally

#: Rates are kept this far from 0 and 1, so that no single event weighs infinitely much.
TINY = 1e-9

_ROOT_STEPS = 60
_ROOT_TOLERANCE = 1e-14


def clip(rate: float) -> float:
    return min(max(rate, TINY), 1.0 - TINY)


def logit(rate: float) -> float:
    return math.log(rate) - math.log1p(-rate)


def expit(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))


def log_ratio(tally: Tally, alternative: float, null: float) -> float:
    """Return the log-likelihood ratio of the requests for one rate against another, both inside (0, 1)."""
    bad, good = tally.bad, tally.requests - tally.bad
    total = 0.0
    if bad:
        total += bad * math.log(alternative / null)
    if good:
        total += good * (math.log1p(-alternative) - math.log1p(-null))
    return total


def pooled(candidate: Tally, stable: Tally, alternative: tuple[float, float]) -> float:
    """Return the rate p such that (p, p) is the point of {candidate <= stable} nearest to a worse alternative."""
    a1, a0 = alternative
    n1, n0 = candidate.requests, stable.requests
    return (n1 * a1 + n0 * a0) / (n1 + n0)


def nearest_harmful(
    candidate: Tally, stable: Tally, alternative: tuple[float, float], objective: float, margin: float
) -> tuple[float, float]:
    """Return the point of {p1 >= max(p0, objective) + margin} nearest to an alternative outside of that set.

    The null is the intersection of two half-planes, hence convex. Returns (p1, p0).
    """
    _, a0 = alternative
    edge = clip(objective + margin)
    if a0 + margin <= edge:
        return edge, a0
    low = max(edge - margin, TINY)
    high = min(a0, 1.0 - margin - TINY)
    if high <= low:
        return clip(low + margin), clip(low)
    return _nearest_on_line(candidate, stable, alternative, margin, (low, high))


def nearest_tolerable(
    candidate: Tally, stable: Tally, alternative: tuple[float, float], tolerance: float
) -> tuple[float, float]:
    """Return the point of {p1 <= p0 + tolerance} nearest to an alternative outside of that half-plane: (p1, p0)."""
    a1, a0 = alternative
    return _nearest_on_line(candidate, stable, alternative, tolerance, (max(a0, TINY), a1 - tolerance))


def _nearest_on_line(
    candidate: Tally, stable: Tally, alternative: tuple[float, float], apart: float, between: tuple[float, float]
) -> tuple[float, float]:
    """Return the point (p0 + apart, p0), p0 within `between`, that is nearest to the alternative."""
    a1, a0 = alternative
    n1, n0 = candidate.requests, stable.requests
    low, high = between

    def slope(p0: float) -> tuple[float, float]:
        """Return the derivative of n1·KL(a1‖p0 + apart) + n0·KL(a0‖p0) in p0, and the derivative of that."""
        p1 = p0 + apart
        v1, v0 = p1 * (1.0 - p1), p0 * (1.0 - p0)
        d1, d0 = (p1 - a1) / v1, (p0 - a0) / v0
        first = n1 * d1 + n0 * d0
        second = n1 * (1.0 - d1 * (1.0 - 2.0 * p1)) / v1 + n0 * (1.0 - d0 * (1.0 - 2.0 * p0)) / v0
        return first, second

    if slope(low)[0] >= 0.0:
        return clip(low + apart), clip(low)
    root = _rising_root(slope, low, high)
    return clip(root + apart), clip(root)


def _rising_root(function: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Return where an increasing function, given with its derivative, crosses 0 (Newton, bisection where it leaps)."""
    at = high
    for _ in range(_ROOT_STEPS):
        value, rise = function(at)
        if value > 0.0:
            high = at
        else:
            low = at
        following = at - value / rise if rise > 0.0 else low
        # A last step so small that it leaves the bracket is the end, not a leap.
        if abs(following - at) < _ROOT_TOLERANCE:
            return at
        at = following if low < following < high else 0.5 * (low + high)
    return at


def upper_bound(tally: Tally, delta: float, tempering: float = 1.0) -> float:
    """Return a rate that the true one exceeds at any time, ever, with probability at most delta; 1 without requests.

    Inverts the beta-binomial mixture martingale with Jeffreys' prior: J. Ville's inequality over
    B(a + y, b + n - y) / (B(a, b)·p^y·(1 - p)^(n - y)), a = b = 1/2. See S. Howard, A. Ramdas, J. McAuliffe,
    J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49 (2021),
    section 3.2 on mixtures. Tempered counts are the tempered likelihood ratio, mixed the same way.
    """
    if not tally.requests:
        return 1.0
    bad, good = tempering * tally.bad, tempering * (tally.requests - tally.bad)
    bar = _log_beta(bad + 0.5, good + 0.5) - _log_beta(0.5, 0.5) + math.log(delta)
    low, high = tally.bad / tally.requests, 1.0
    for _ in range(_ROOT_STEPS):
        middle = 0.5 * (low + high)
        log_likelihood = (
            (bad * math.log(middle) if bad else 0.0) + good * math.log1p(-middle) if middle < 1.0 else -math.inf
        )
        if log_likelihood > bar:
            low = middle
        else:
            high = middle
        if high - low <= 1e-6 * high:
            break
    return high


def lower_bound(tally: Tally, delta: float, tempering: float = 1.0) -> float:
    """Return a rate that the true one is ever below with probability at most delta; 0 without requests."""
    return 1.0 - upper_bound(Tally(tally.requests, tally.requests - tally.bad), delta, tempering)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
