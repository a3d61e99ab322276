"""The factors of `bets` and the bounds of `bernoulli` over NumPy arrays; `crowd` says what for, and what holds them.

Factors are logarithms before tempering, of shape (bets, ...).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.judge import bernoulli, bets

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_ROOT_STEPS = 60
_ROOT_TOLERANCE = 1e-14
_BOUND_TOLERANCE = 1e-6
#: Stirling's series is good to the last digit from here on; smaller arguments are shifted up to it.
_STIRLING_FROM = 16


@dataclass(frozen=True)
class Tallies:
    """`records.Tally` of many: whole numbers, or the fading counts of a memory."""

    requests: npt.NDArray[Any]
    bad: npt.NDArray[Any]

    def __add__(self, other: Tallies) -> Tallies:
        return Tallies(self.requests + other.requests, self.bad + other.bad)


def clip(rates: Floats) -> Floats:
    clipped: Floats = np.minimum(np.maximum(rates, bernoulli.TINY), 1.0 - bernoulli.TINY)
    return clipped


def log_ratio(tallies: Tallies, alternative: Floats, null: Floats) -> Floats:
    good = tallies.requests - tallies.bad
    ratio: Floats = tallies.bad * np.log(alternative / null) + good * (np.log1p(-alternative) - np.log1p(-null))
    return ratio


def against_a_rate(candidate: Tallies, null: Floats, guess: Floats) -> Floats:
    bet, sits_out = _harm_bets(np.broadcast_to(null, guess.shape), guess)
    return np.where(sits_out, 0.0, log_ratio(candidate, bet, null))


def against_stable(candidate: Tallies, stable: Tallies, base: Floats, guess: Floats) -> Floats:
    bet, sits_out = _harm_bets(base, guess)
    n1, n0 = candidate.requests, stable.requests
    null = np.where(n1 + n0 > 0, (n1 * bet + n0 * base) / np.maximum(n1 + n0, 1), base)
    return np.where(sits_out, 0.0, log_ratio(candidate, bet, null) + log_ratio(stable, base, null))


def for_safety(
    candidate: Tallies, stable: Tallies, base: Floats, guess: Floats, *, objective: Floats, margin: Floats
) -> Floats:
    bet, sits_out = _safe_bets(np.maximum(base, objective) + margin, base, guess)
    p1, p0 = nearest_harmful((candidate.requests, stable.requests), (bet, base), objective, margin)
    return np.where(sits_out, 0.0, log_ratio(candidate, bet, p1) + log_ratio(stable, base, p0))


def for_safety_alone(candidate: Tallies, edge: Floats, base: Floats, guess: Floats) -> Floats:
    bet, sits_out = _safe_bets(edge, base, guess)
    return np.where(sits_out, 0.0, log_ratio(candidate, bet, edge))


def nearest_harmful(
    requests: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    alternative: tuple[Floats, Floats],
    objective: Floats,
    margin: Floats,
) -> tuple[Floats, Floats]:
    """Return the points (p1, p0) of `bernoulli.nearest_harmful`, of the shape of the candidate's alternative.

    Not where one side has no requests, or where the alternative is harmful itself: the point there means nothing.
    """
    shape = alternative[0].shape
    edge = np.broadcast_to(clip(objective + margin), shape)
    base, width = np.broadcast_to(alternative[1], shape), np.broadcast_to(margin, shape)
    p1, p0 = edge.copy(), base.copy()
    moved = (base + width > edge) & (alternative[0] < base + width) & (requests[0] > 0) & (requests[1] > 0)
    if moved.any():
        n1, n0 = (np.broadcast_to(counts, shape)[moved].astype(np.float64) for counts in requests)
        problem = _Edge(n1, n0, alternative[0][moved], base[moved], width[moved])
        found = problem.nearest(np.maximum(edge[moved] - width[moved], bernoulli.TINY))
        p0[moved] = clip(found)
        p1[moved] = clip(found + width[moved])
    return p1, p0


@dataclass(frozen=True)
class _Edge:
    """Where on the line p1 = p0 + margin the null is nearest to (a1, a0); one-dimensional arrays."""

    n1: Floats
    n0: Floats
    a1: Floats
    a0: Floats
    margin: Floats

    def at(self, chosen: npt.NDArray[Any]) -> _Edge:
        return _Edge(self.n1[chosen], self.n0[chosen], self.a1[chosen], self.a0[chosen], self.margin[chosen])

    def nearest(self, low: Floats) -> Floats:
        high = np.minimum(self.a0, 1.0 - self.margin - bernoulli.TINY)
        found = low.copy()
        left = np.flatnonzero((high > low) & (self.slope(low)[0] < 0.0))
        # Most are found in a few rounds; only the others go on.
        problem, lower, upper = self.at(left), low[left], high[left]
        at = upper
        for _ in range(_ROOT_STEPS):
            if not left.size:
                break
            value, rise = problem.slope(at)
            upper, lower = np.where(value > 0.0, at, upper), np.where(value > 0.0, lower, at)
            with np.errstate(divide="ignore", invalid="ignore"):
                following = np.where(rise > 0.0, at - value / rise, lower)
            found[left] = at
            going = np.abs(following - at) >= _ROOT_TOLERANCE
            inside = (lower < following) & (following < upper)
            at = np.where(inside, following, 0.5 * (lower + upper))[going]
            left, lower, upper, problem = left[going], lower[going], upper[going], problem.at(going)
        found[left] = at
        return found

    def slope(self, p0: Floats) -> tuple[Floats, Floats]:
        """Return the derivative in p0 of what shall be least, and the derivative of that."""
        p1 = p0 + self.margin
        v1, v0 = p1 * (1.0 - p1), p0 * (1.0 - p0)
        d1, d0 = (p1 - self.a1) / v1, (p0 - self.a0) / v0
        second1 = self.n1 * (1.0 - d1 * (1.0 - 2.0 * p1)) / v1
        second0 = self.n0 * (1.0 - d0 * (1.0 - 2.0 * p0)) / v0
        return self.n1 * d1 + self.n0 * d0, second1 + second0


def upper_bound(tallies: Tallies, delta: Floats | float, tempering: Floats) -> Floats:
    """Return `bernoulli.upper_bound` of each."""
    n, y = tallies.requests, tallies.bad
    bad, good = tempering * y, tempering * (n - y)
    bar = _log_beta(bad + 0.5, good + 0.5) - math.log(math.pi) + np.log(delta)
    low, high = y / np.maximum(n, 1), np.ones(n.shape)
    going = np.ones(n.shape, dtype=bool)
    for _ in range(_ROOT_STEPS):
        middle = 0.5 * (low + high)
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = np.where(bad > 0.0, bad * np.log(middle), 0.0) + good * np.log1p(-middle)
        above = np.where(middle < 1.0, likelihood, -np.inf) > bar
        low, high = np.where(going & above, middle, low), np.where(going & ~above, middle, high)
        going &= high - low > _BOUND_TOLERANCE * high
        if not going.any():
            break
    return np.where(n > 0, high, 1.0)


def _harm_bets(null: Floats, guess: Floats) -> tuple[Floats, Flags]:
    """Return the candidate rates that are bet on, and which bets sit the block out."""
    low = np.log(null) - np.log1p(-null)
    broken = np.maximum(bernoulli.logit(bets.BROKEN), low + bets.BROKEN_ODDS)
    odds = (*(low + more for more in bets.HARM_ODDS), broken)
    placed = [clip(1.0 / (1.0 + np.exp(-each))) for each in odds]
    bet = np.stack([*placed, np.where(guess > null, guess, placed[0])])
    sits_out = np.zeros(bet.shape, dtype=bool)
    sits_out[-1] = guess <= null
    return bet, sits_out


def _safe_bets(edge: Floats, base: Floats, guess: Floats) -> tuple[Floats, Flags]:
    bet = np.stack([base, *(share * edge for share in bets.SAFE_SHARES), guess])
    return clip(bet), bet >= edge


def _log_beta(a: Floats, b: Floats) -> Floats:
    return log_gamma(a) + log_gamma(b) - log_gamma(a + b)


def log_gamma(x: Floats) -> Floats:
    """Return log(gamma(x)) for x > 0: Stirling's series after a shift (Abramowitz, Stegun 6.1.41 and 6.1.15)."""
    shifted, product = x.astype(np.float64), np.ones(x.shape)
    for _ in range(_STIRLING_FROM):
        small = shifted < _STIRLING_FROM
        product = np.where(small, product * shifted, product)
        shifted = np.where(small, shifted + 1.0, shifted)
    inverse = 1.0 / shifted
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
    whole: Floats = (shifted - 0.5) * np.log(shifted) - shifted + 0.5 * math.log(2.0 * math.pi) + series
    return whole - np.log(product)
