"""How far apart two distributions are, by their counts in the same bins or by their numbers in order. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.drift.bins import Counts
from tidegate.drift.columns import Numbers

#: What an empty bin is taken to hold where the other side's is not empty. Without it the index would be infinite.
EMPTY = 0.5
_LEAST_EXPECTED = 5.0
#: Numbers of the grid on which `kolmogorov_smirnov` looks first: at least so many, and so many times the root of all.
#: Without drift the distance shrinks as that root grows, and gaps must hold less than it, or most are looked into.
_GRID, _GRID_ROOTS = 4096, 16
#: Numbers that are subtracted at once: they stay where they are read fast.
_PIECE = 1 << 16


def population_stability_index(reference: Counts, current: Counts) -> float:
    """Return the PSI, 0 for equal shares: Σ (cᵢ − rᵢ) ln(cᵢ / rᵢ) over the shares of both in each bin.

    A bin that is empty on one side counts there as half a value; one that is empty on both says nothing.
    """
    shares = [np.where(counts == 0, EMPTY, counts) / counts.sum() for counts in _seen(reference, current)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Return the Jensen–Shannon distance, 0 to 1: the square root of the divergence with logarithms to the base 2."""
    first, second = (counts / counts.sum() for counts in _seen(reference, current))
    middle = (first + second) / 2
    divergence = (_information(first, middle) + _information(second, middle)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


@dataclass(frozen=True)
class Grouped:
    """Counts of both sides in bins none of which is small, the least first.

    Attributes:
        rare: how many values each side has in all the bins that were small, where these are few even together, so that
            they are lost in the bin that they were put into: also if one side has nothing but them. None otherwise.
    """

    reference: Counts
    current: Counts
    rare: tuple[int, int] | None


def grouped(reference: Counts, current: Counts, loose: NDArray[np.bool_]) -> Grouped:
    """Put bins together that are small: those of which the smaller side is expected to have less than five. Where all
    of them are expected to be less than five, the next ones come to them until they are not.

    What is expected goes by what both sides have together, and so not by how they differ.

    Args:
        loose: bins that go with the small ones, however much they hold.
    """
    seen = (reference > 0) | (current > 0)
    first, second, loose = reference[seen], current[seen], loose[seen]
    both = first + second
    expected = both / both.sum() * min(first.sum(), second.sum())
    small = (expected < _LEAST_EXPECTED) | loose
    order = np.lexsort([expected, ~small])
    first, second, expected = first[order], second[order], expected[order]
    number = int(small.sum())
    if not number:
        return Grouped(first, second, None)
    enough = np.cumsum(expected) >= _LEAST_EXPECTED
    together = max(int(np.argmax(enough)) + 1, number) if enough.any() else len(first)
    rare = int(first[:number].sum()), int(second[:number].sum())
    return Grouped(
        np.concatenate([[first[:together].sum()], first[together:]]),
        np.concatenate([[second[:together].sum()], second[together:]]),
        rare if number < together else None,
    )


def kolmogorov_smirnov(reference: Numbers, current: Numbers) -> float:
    """Return the largest distance of the two empirical distribution functions, exactly.

    Both are looked at on a grid first. Between two of its points neither can have moved by more than what lies there,
    so that only the few gaps are looked into that may hold more than was found.

    Args:
        reference, current: in increasing order, at least one number each.
    """
    # The grid has numbers of both, so that no gap holds much of either.
    grid = np.unique(np.concatenate([_some(reference), _some(current)]))
    ours, theirs = np.searchsorted(reference, grid, "right"), np.searchsorted(current, grid, "right")
    shares = ours / len(reference), theirs / len(current)
    found = float(np.abs(shares[0] - shares[1]).max())
    # Within a gap one function grows to its end while the other stays: no more than that apart.
    most = np.maximum(shares[0][1:] - shares[1][:-1], shares[1][1:] - shares[0][:-1])
    for gap in np.flatnonzero(most > found):
        within = np.concatenate([reference[ours[gap] : ours[gap + 1]], current[theirs[gap] : theirs[gap + 1]]])
        apart = np.searchsorted(reference, within, "right") / len(reference)
        apart -= np.searchsorted(current, within, "right") / len(current)
        found = max(found, float(np.abs(apart).max(initial=0.0)))
    return found


def wasserstein(reference: Numbers, current: Numbers) -> float:
    """Return the first Wasserstein distance, in the unit of the numbers: the mean way from one to the other.

    It is the area between the two quantile functions, which are steps at multiples of one over the number of values.

    Args:
        reference, current: in increasing order, finite, at least one number each.
    """
    n, m = len(reference), len(current)
    if n == m:
        pieces = (slice(start, start + _PIECE) for start in range(0, n, _PIECE))
        return float(sum(np.abs(reference[piece] - current[piece]).sum() for piece in pieces) / n)
    ends = np.concatenate([np.arange(1, n + 1) / n, np.arange(1, m) / m])
    ends.sort(kind="stable")
    starts = np.concatenate([[0.0], ends[:-1]])
    middle = (starts + ends) / 2
    first = reference[np.minimum((middle * n).astype(np.int64), n - 1)]
    second = current[np.minimum((middle * m).astype(np.int64), m - 1)]
    return float((np.abs(first - second) * (ends - starts)).sum())


def _seen(reference: Counts, current: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the counts of the bins that are not empty on both sides."""
    seen = (reference > 0) | (current > 0)
    return reference[seen].astype(np.float64), current[seen].astype(np.float64)


def _information(share: NDArray[np.float64], middle: NDArray[np.float64]) -> float:
    there = share > 0
    return float((share[there] * np.log2(share[there] / middle[there])).sum())


def _some(ordered: Numbers) -> Numbers:
    wanted = max(_GRID, int(_GRID_ROOTS * len(ordered) ** 0.5))
    return ordered if len(ordered) <= wanted else ordered[np.linspace(0, len(ordered) - 1, wanted).astype(np.int64)]
