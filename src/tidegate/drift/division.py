"""How probable it is that without drift values are divided among two sides as they are, few of them or many. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.drift.bins import Counts
from tidegate.drift.columns import Numbers
from tidegate.drift.significance import chi_square_chance, special

#: A count of at least this variance is as good as normal: of its skewness a hundredth is left.
_MANY = 10_000.0
#: Counts further from the mean than so many standard deviations, and so many more, add nothing.
_REACH = 40.0
#: Counts are as likely as each other where the logarithms of their chances differ by no more.
_SAME = 1e-5


def division_chance(first: Counts, second: Counts, *, ends: NDArray[np.bool_] | None = None) -> float:
    """Return the probability that without drift values are divided among two sides no more evenly than these; 1 with
    fewer than two bins.

    It is the χ² of homogeneity, in the parts of J. O. Irwin and H. O. Lancaster, "The derivation and partition of
    χ² in certain discrete distributions", Biometrika 36 (1949), 117–129: of each bin in turn, how many of it, and
    of all behind it, one side has. Given what both sides have of these together, that is hypergeometric, whatever
    the parts before were. So each part has an exact chance, however few values there are; Pearson's sum has a
    heavier tail than χ² where a bin is expected to have few. A part counts as the square of the normal deviate with
    that chance, and since counts go in steps, as the mean of the squares within the step: "mean value χ²" in
    Lancaster's "The combination of probabilities arising from data in discrete distributions", Biometrika 36
    (1949), 370–382. The sum of these is what is to be expected of a χ², given the counts, and what is to be
    expected spreads no more than what comes.

    A single part is R. A. Fisher's exact test.

    Args:
        first, second: values of each side in each bin, one at least in any bin.
        ends: of each bin, whether it ends with a value of the first side, so that how many the first has of it is no
            chance.
    """
    parts = _parts(first, second, np.zeros(len(first), dtype=bool) if ends is None else ends)
    if not parts:
        return 1.0
    if len(parts) == 1 and parts[0].variance < _MANY:
        return parts[0].exact_chance()
    return chi_square_chance(sum(part.square() for part in parts), len(parts))


def exact_chance(few: tuple[int, int], totals: tuple[int, int]) -> float:
    """Return the probability that without drift a kind of value is divided among two sides no more evenly than this:
    the exact test of R. A. Fisher, of both sides (all divisions that are no likelier than this one).

    Args:
        few: values of the kind on each side.
        totals: all values of each side.
    """
    return _Part(few[1], sum(few), totals[1], sum(totals)).exact_chance()


@dataclass(frozen=True)
class _Part:
    """How many values of a kind a side has.

    Attributes:
        count: those.
        kind: values of the kind on both sides.
        side: all values of the side.
        size: all values of both.
        ends: whether the last of the kind is one of the other side, which makes it likelier that there are more here.
    """

    count: int
    kind: int
    side: int
    size: int
    ends: bool = False

    @property
    def mean(self) -> float:
        return self.kind * self.side / self.size

    @property
    def variance(self) -> float:
        if self.size < 2:
            return 0.0
        return self.mean * (1 - self.kind / self.size) * (self.size - self.side) / (self.size - 1)

    def exact_chance(self) -> float:
        """Return the probability of a count that is no likelier than this one."""
        logs = np.concatenate([[0.0], *self._others()])
        return min(1.0, math.exp(_total(logs[logs <= _SAME]) - _total(logs)))

    def square(self) -> float:
        """Return the square of the normal deviate that is as far out as the count, its mean within the gap."""
        if self.variance >= _MANY:
            return (self.count - self.mean) ** 2 / self.variance
        above, below = map(_total, self._others())
        whole = float(np.logaddexp(np.logaddexp(above, below), 0.0))
        above, below, here = above - whole, below - whole, -whole
        # Of those that have the last value in any place, so many have it where it is: they have more here.
        last = (self.kind - self.count) / self.kind if self.ends else 1.0
        if above < below:
            return _mean_square(above, float(np.logaddexp(above, here + math.log(last))))
        near = float(np.logaddexp(below, here))
        return _mean_square(below if last == 1 else float(np.logaddexp(below, here + math.log1p(-last))), near)

    def _others(self) -> tuple[Numbers, Numbers]:
        """Return the logarithms of how many times as likely as the count each one above is, and each one below, as far
        as that is anything."""
        # Floats, since products of two numbers of rows may be too large for integers.
        kind, side, rest = float(self.kind), float(self.side), float(self.size - self.kind - self.side)
        reach = _REACH * (1 + math.sqrt(self.variance))
        most = min(kind, side, math.ceil(max(self.count, self.mean) + reach))
        least = max(0.0, -rest, math.floor(min(self.count, self.mean) - reach))
        up, down = np.arange(self.count, most), np.arange(self.count, least, -1.0)
        above = np.log((kind - up) * (side - up)) - np.log((up + 1) * (rest + up + 1))
        below = np.log(down * (rest + down)) - np.log((kind - down + 1) * (side - down + 1))
        return np.cumsum(above), np.cumsum(below)


def _parts(first: Counts, second: Counts, ends: NDArray[np.bool_]) -> list[_Part]:
    # Of what is left when a bin's turn comes.
    sides = np.cumsum(second[::-1])[::-1].tolist()
    sizes = np.cumsum((first + second)[::-1])[::-1].tolist()
    counts = zip(first.tolist(), second.tolist(), strict=True)
    return [
        _Part(there, other + there, side, size, bool(end and other))
        for (other, there), side, size, end in zip(counts, sides, sizes, ends, strict=True)
    ][:-1]


def _total(logs: Numbers) -> float:
    """Return the logarithm of the sum."""
    return float(np.logaddexp.reduce(logs))


def _mean_square(far: float, near: float) -> float:
    """Return the mean of the squares of the normal deviates whose upper tails are between two chances.

    Args:
        far, near: logarithms of the chances, the smaller first.
    """
    inverse = special().ndtri_exp
    low, high = -float(inverse(near)), -float(inverse(far))
    if near - far < 1e-9:
        return low * low
    between = near + math.log(-math.expm1(far - near))
    return 1.0 + _moment(low, between) - _moment(high, between)


def _moment(deviate: float, between: float) -> float:
    """Return a deviate times its density, per chance between."""
    if math.isinf(deviate):
        return 0.0
    return deviate * math.exp(-deviate * deviate / 2 - between) / math.sqrt(2 * math.pi)
