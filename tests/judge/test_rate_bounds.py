"""Bounds on stable's rate hold at every moment at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.judge import bernoulli
from tidegate.judge.records import Tally

tallies = st.integers(1, 100_000).flatmap(lambda n: st.integers(0, n).map(lambda y: Tally(n, y)))
deltas = st.sampled_from((0.05, 0.005, 0.0002))


@given(tallies, deltas, st.sampled_from((1.0, 0.5)))
@settings(max_examples=200, deadline=None)
def test_the_bounds_enclose_what_was_seen(tally, delta, tempering):
    lower = bernoulli.lower_bound(tally, delta, tempering)
    upper = bernoulli.upper_bound(tally, delta, tempering)
    assert 0.0 <= lower <= tally.rate <= upper <= 1.0
    assert bernoulli.upper_bound(tally, delta / 2.0, tempering) >= upper * (1.0 - 1e-5)


def test_nothing_is_known_without_requests():
    assert bernoulli.upper_bound(Tally(), 0.05) == 1.0
    assert bernoulli.lower_bound(Tally(), 0.05) == 0.0


def test_a_clean_record_bounds_the_rate_about_ten_over_requests():
    assert bernoulli.upper_bound(Tally(4_000, 0), 0.001) == pytest.approx(11.6 / 4_000, rel=0.1)


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_the_true_rate_is_ever_above_the_bound_with_probability_at_most_delta(rate):
    """Exact, by carrying the distribution of the count through 120 requests, each followed by a look."""
    delta, alive, missed = 0.05, {0: 1.0}, 0.0
    for requests in range(1, 121):
        following: dict[int, float] = {}
        for bad, p in alive.items():
            following[bad] = following.get(bad, 0.0) + p * (1.0 - rate)
            following[bad + 1] = following.get(bad + 1, 0.0) + p * rate
        crossed = {bad for bad in following if bernoulli.upper_bound(Tally(requests, bad), delta) < rate}
        missed += sum(following[bad] for bad in crossed)
        alive = {bad: p for bad, p in following.items() if bad not in crossed}
    assert missed <= delta


@given(tallies, deltas, st.floats(0.05, 1.0), st.floats(0.05, 1.0))
@settings(max_examples=200, deadline=None)
def test_tempering_only_ever_widens_the_bounds(tally, delta, one, other):
    weak, strong = max(one, other), min(one, other)
    assert bernoulli.upper_bound(tally, delta, strong) >= bernoulli.upper_bound(tally, delta, weak) - 1e-5
    assert bernoulli.lower_bound(tally, delta, strong) <= bernoulli.lower_bound(tally, delta, weak) + 1e-5
