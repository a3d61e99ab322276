"""Every e-factor of a block has expectation <= 1 under every point of its null: computed exactly, by enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.judge import bernoulli, bets
from tidegate.judge.records import SignalPolicy, Tally

ROUNDING = 1e-9

rates = st.floats(1e-6, 1.0 - 1e-6)
objectives = st.one_of(st.just(0.0), st.floats(1e-6, 0.5))
temperings = st.sampled_from((1.0, 0.5, 0.1))
margins = st.floats(0.001, 0.4)
sizes = st.integers(1, 5)


def binomial(requests: int, bad: int, rate: float) -> float:
    return math.comb(requests, bad) * rate**bad * (1.0 - rate) ** (requests - bad)


def outcomes(n1: int, n0: int, q1: float, q0: float) -> list[tuple[Tally, Tally, float]]:
    """Return every outcome of a block with its probability."""
    return [
        (Tally(n1, y1), Tally(n0, y0), binomial(n1, y1, q1) * binomial(n0, y0, q0))
        for y1, y0 in itertools.product(range(n1 + 1), range(n0 + 1))
    ]


def expectations(per_outcome: list[tuple[list[float], float]]) -> list[float]:
    """Return the expected factor of each bet from (log factors, probability) of each outcome."""
    number = len(per_outcome[0][0])
    return [sum(p * math.exp(logs[bet]) for logs, p in per_outcome) for bet in range(number)]


@given(n1=sizes, n0=sizes, q=rates, other=rates, base=rates, guess=rates, tempering=temperings)
@settings(max_examples=150, deadline=None)
def test_no_bet_gains_on_average_when_the_candidate_is_no_worse_than_stable(
    *, n1, n0, q, other, base, guess, tempering
):
    q1, q0 = min(q, other), max(q, other)
    expected = expectations(
        [(bets.against_stable(y1, y0, base, guess, tempering=tempering), p) for y1, y0, p in outcomes(n1, n0, q1, q0)]
    )
    assert max(expected) <= 1.0 + ROUNDING


@given(
    n1=sizes,
    n0=sizes,
    q0=rates,
    objective=objectives,
    margin=margins,
    share=rates,
    base=rates,
    guess=rates,
    tempering=temperings,
)
@settings(max_examples=150, deadline=None)
def test_no_bet_gains_on_average_when_the_candidate_is_harmful_by_the_margin(
    *, n1, n0, q0, objective, margin, share, base, guess, tempering
):
    signal = SignalPolicy("errors", objective, margin=margin)
    least = max(q0, objective) + margin
    if least >= 1.0:
        return
    q1 = least + share * (1.0 - least)
    expected = expectations(
        [
            (bets.for_safety(signal, y1, y0, base, guess, tempering=tempering), p)
            for y1, y0, p in outcomes(n1, n0, q1, q0)
        ]
    )
    assert max(expected) <= 1.0 + ROUNDING


@given(n1=sizes, null=rates, base=rates, guess=rates, share=st.floats(0.0, 1.0), tempering=temperings)
@settings(max_examples=100, deadline=None)
def test_no_bet_gains_on_average_against_a_fixed_rate(*, n1, null, base, guess, share, tempering):
    below, above = null * share, null + share * (1.0 - null)
    harm = [
        (bets.against_a_rate(Tally(n1, y1), null, guess, tempering=tempering), binomial(n1, y1, below))
        for y1 in range(n1 + 1)
    ]
    safe = [
        (bets.for_safety_alone(Tally(n1, y1), null, base, guess, tempering=tempering), binomial(n1, y1, above))
        for y1 in range(n1 + 1)
    ]
    assert max(expectations(harm)) <= 1.0 + ROUNDING
    assert max(expectations(safe)) <= 1.0 + ROUNDING


@given(n1=st.integers(1, 200), n0=st.integers(1, 2000), a1=rates, a0=rates, objective=objectives, margin=margins)
@settings(max_examples=150, deadline=None)
def test_the_nearest_harmful_point_is_harmful_and_none_is_nearer(*, n1, n0, a1, a0, objective, margin):
    a1 = min(a1, 0.999 * (max(a0, objective) + margin))
    if max(a0, objective) + margin >= 1.0:
        return

    def distance(p1: float, p0: float) -> float:
        def divergence(a: float, p: float) -> float:
            return a * math.log(a / p) + (1.0 - a) * math.log((1.0 - a) / (1.0 - p))

        return n1 * divergence(a1, p1) + n0 * divergence(a0, p0)

    nearest = bernoulli.nearest_harmful(Tally(n1), Tally(n0), (a1, a0), objective, margin)
    assert nearest[0] >= max(nearest[1], objective) + margin - 1e-8
    low, high = bernoulli.TINY, 1.0 - margin - bernoulli.TINY
    for step in range(1, 60):
        p0 = low + (high - low) * step / 60
        p1 = bernoulli.clip(max(p0, objective) + margin)
        assert distance(*nearest) <= distance(p1, p0) * (1.0 + 1e-7) + 1e-9


@pytest.mark.parametrize("cluster", [2, 3])
def test_tempering_by_the_cluster_size_survives_events_that_always_come_together(cluster):
    """Requests fail `cluster` at a time; untempered, the same bets gain on average."""
    q = 0.05

    def expected(tempering: float) -> float:
        def logs(y1: Tally, y0: Tally) -> list[float]:
            together = [Tally(cluster * tally.requests, cluster * tally.bad) for tally in (y1, y0)]
            return bets.against_stable(*together, q, q, tempering=tempering)

        per_outcome = [(logs(y1, y0), p) for y1, y0, p in outcomes(2, 2, q, q)]
        return max(expectations(per_outcome))

    assert expected(1.0 / cluster) <= 1.0 + ROUNDING
    assert expected(1.0) > 1.05
