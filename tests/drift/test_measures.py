"""Distances between distributions, against definitions taken literally and against SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from tidegate.drift.measures import (
    grouped,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability_index,
    wasserstein,
)

SIDES = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=15)
NUMBERS = st.lists(st.one_of(st.floats(-1e6, 1e6), st.integers(-3, 3).map(float)), min_size=1, max_size=60)


def counts(pairs: list[tuple[int, int]]) -> tuple[Any, Any]:
    first, second = np.array(pairs, dtype=np.int64).T
    assume(first.sum() > 0 and second.sum() > 0)
    return first, second


def expected_of(first: Any, second: Any) -> Any:
    """Return how much of each bin the smaller side is expected to have."""
    return (first + second) * min(first.sum(), second.sum()) / (first.sum() + second.sum())


def test_the_index_is_its_definition_where_no_bin_is_empty() -> None:
    reference, current = np.array([100, 300, 600]), np.array([30, 20, 50])
    wanted = sum((now - before) * math.log(now / before) for before, now in ((0.1, 0.3), (0.3, 0.2), (0.6, 0.5)))
    assert population_stability_index(reference, current) == pytest.approx(wanted, rel=1e-12)


def test_an_empty_bin_counts_as_half_a_value_and_one_that_is_empty_on_both_sides_not_at_all() -> None:
    some, more = np.array([50, 50, 0]), np.array([50, 40, 10])
    wanted = -0.1 * math.log(0.4 / 0.5) + (0.1 - 0.005) * math.log(0.1 / 0.005)
    assert population_stability_index(some, more) == pytest.approx(wanted, rel=1e-12)
    assert population_stability_index(some, some) == 0.0


@given(SIDES)
def test_the_index_is_never_negative_and_the_same_both_ways(pairs: list[tuple[int, int]]) -> None:
    first, second = counts(pairs)
    assert population_stability_index(first, second) >= 0.0
    assert population_stability_index(first, second) == pytest.approx(population_stability_index(second, first))


@given(SIDES)
def test_jensen_shannon_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = counts(pairs)
    assert jensen_shannon(first, second) == pytest.approx(jensenshannon(first, second, base=2), abs=1e-7)


@given(SIDES, st.sets(st.integers(0, 14)))
def test_small_bins_are_put_together_until_five_are_expected_in_each(
    pairs: list[tuple[int, int]], loose: set[int]
) -> None:
    first, second = counts(pairs)
    with_small = np.array([place in loose for place in range(len(first))])
    found = grouped(first, second, with_small)
    assert (found.reference.sum(), found.current.sum()) == (first.sum(), second.sum())
    expected = expected_of(found.reference, found.current)
    assert len(expected) == 1 or expected.min() >= 5 - 1e-9
    small = (expected_of(first, second) < 5) | with_small
    kept = sorted(zip(first[~small].tolist(), second[~small].tolist(), strict=True))
    if kept and expected_of(first, second)[small].sum() >= 5 + 1e-9:
        assert sorted(zip(found.reference[1:].tolist(), found.current[1:].tolist(), strict=True)) == [
            pair for pair in kept if any(pair)
        ]


@given(SIDES)
def test_values_of_rare_levels_are_those_that_are_too_few_to_be_looked_at_by_themselves(
    pairs: list[tuple[int, int]],
) -> None:
    first, second = counts(pairs)
    expected = expected_of(first, second)
    small = (expected < 5) & (expected > 0)
    rare = grouped(first, second, np.zeros(len(first), dtype=bool)).rare
    if rare is None:
        assert not small.any() or expected[small].sum() >= 5 - 1e-9 or small.sum() == (expected > 0).sum()
    else:
        assert rare == (first[small].sum(), second[small].sum())
        assert 0 < expected[small].sum() < 5


@pytest.mark.filterwarnings("ignore:ks_2samp. Exact calculation unsuccessful")
@given(NUMBERS, NUMBERS)
def test_kolmogorov_smirnov_is_scipys_ties_included(first: list[float], second: list[float]) -> None:
    wanted = stats.ks_2samp(first, second).statistic
    assert kolmogorov_smirnov(np.sort(first), np.sort(second)) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sizes", [(20_000, 20_000), (50_000, 7_001), (5_000, 90_000)])
def test_kolmogorov_smirnov_is_exact_where_it_looks_into_few_gaps(seed: int, sizes: tuple[int, int]) -> None:
    chance = np.random.default_rng(seed)
    first, second = np.sort(chance.normal(size=sizes[0])), np.sort(chance.normal(0.005 * seed, size=sizes[1]))
    if seed % 2:
        first, second = np.round(first, 2), np.round(second, 2)
    assert kolmogorov_smirnov(first, second) == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-12)


@given(NUMBERS, NUMBERS)
def test_wasserstein_is_scipys(first: list[float], second: list[float]) -> None:
    wanted = stats.wasserstein_distance(first, second)
    assert wasserstein(np.sort(first), np.sort(second)) == pytest.approx(wanted, rel=1e-7, abs=1e-6)
