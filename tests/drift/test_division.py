"""The chance of how values are divided among two sides, against all divisions that there are and against SciPy."""

from __future__ import annotations

from itertools import pairwise, product
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tidegate.drift.division import division_chance, exact_chance

FEW = st.tuples(st.integers(0, 60), st.integers(0, 60))
OTHERS = st.tuples(st.integers(1, 10_000), st.integers(1, 10_000_000))


def divided(number: int, bins: int) -> list[tuple[int, ...]]:
    """Return all ways in which a number of values are in bins."""
    ways = product(range(number + 1), repeat=bins - 1)
    return [(*way, number - sum(way)) for way in ways if sum(way) <= number]


def by_chance(both: tuple[int, ...], drawn: int) -> list[tuple[float, Any, Any]]:
    """Return each division of what both sides have in bins, and its probability, if one side is drawn from both."""
    ways = [way for way in product(*(range(there + 1) for there in both)) if sum(way) == drawn]
    found = []
    for way in ways:
        probability = np.prod([float(comb(there, here)) for there, here in zip(both, way, strict=True)])
        found.append((probability / comb(sum(both), drawn), np.subtract(both, way), np.array(way)))
    return found


def by_shares(shares: tuple[int, ...], drawn: int) -> list[tuple[float, Any, Any]]:
    """Return the same for bins that end with the so many-th value of the first side, all orders being as likely."""
    ends = np.array(shares)
    return [
        (
            # In a bin all but its last value may be in any order; behind the last end all may.
            np.prod([float(comb(here + share - 1, here)) for here, share in zip(way[:-1], shares[:-1], strict=True)])
            * comb(way[-1] + shares[-1], way[-1])
            / comb(drawn + sum(shares), drawn),
            ends,
            np.array(way),
        )
        for way in divided(drawn, len(shares))
    ]


CASES = {
    "few of each": by_chance((12, 12, 12), 12),
    "one rare": by_chance((60, 500, 440), 40),
    "shares": by_shares((8, 8, 8), 30),
    "shares of few": by_shares((5, 5, 5), 50),
}


@pytest.mark.parametrize("case", CASES)
def test_of_all_divisions_those_with_a_small_chance_are_no_likelier_than_it_says(case: str) -> None:
    """Nothing is drawn: all that there are are counted. With Pearson's sum it is up to 27 times as much."""
    divisions = CASES[case]
    ends = np.full(3, "shares" in case)
    probabilities = np.array([probability for probability, _, _ in divisions])
    assert probabilities.sum() == pytest.approx(1.0)
    chances = np.array([division_chance(first, second, ends=ends) for _, first, second in divisions])
    for alpha in (0.05, 0.01, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6):
        assert probabilities[chances <= alpha].sum() <= 1.05 * alpha
    # And it does not say too much: what it says is spent.
    assert probabilities[chances <= 0.01].sum() >= 0.005


def test_the_more_uneven_the_less_probable() -> None:
    even = np.full(10, 500)
    chances = [
        division_chance(even, np.array([10 + more, *[10] * 8, 10 - more]), ends=np.full(10, True)) for more in range(11)
    ]
    assert chances[0] > 0.99
    assert all(before > after for before, after in pairwise(chances))


@pytest.mark.parametrize("is_of_shares", [False, True])
@pytest.mark.parametrize("rows", [30_000, 3_000_000])
def test_of_many_values_it_is_pearsons_chance(rows: int, is_of_shares: bool) -> None:
    chance = np.random.default_rng(3)
    for moved in (0.0, 0.001, 0.002):
        first = np.full(10, rows // 10)
        second = chance.multinomial(rows, np.full(10, 0.1) + moved * np.array([1, -1] * 5) * (30_000 / rows) ** 0.5)
        wanted = stats.chi2_contingency(np.array([first, second])).pvalue
        found = division_chance(first, second, ends=np.full(10, is_of_shares))
        assert np.log(found) == pytest.approx(np.log(wanted), rel=0.05, abs=0.05)


@given(FEW, OTHERS)
def test_of_two_bins_and_of_few_values_it_is_fishers_as_scipy_has_it(
    few: tuple[int, int], others: tuple[int, int]
) -> None:
    totals = few[0] + others[0], few[1] + others[1]
    wanted = stats.fisher_exact([few, others]).pvalue
    assert exact_chance(few, totals) == pytest.approx(wanted, rel=1e-4, abs=1e-300)
    if sum(few) and min(totals) < 1_000:
        assert division_chance(*np.array([few, others]).T) == pytest.approx(wanted, rel=1e-4, abs=1e-300)


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**4)), min_size=1, max_size=12))
def test_it_is_a_probability_whatever_is_divided(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array([pair for pair in pairs if any(pair)] or [(1, 0)]).T
    for ends in (np.full(len(first), False), np.full(len(first), True)):
        assert 0.0 <= division_chance(first, second, ends=ends) <= 1.0
    if len(first) == 1:
        assert division_chance(first, second) == 1.0
