"""The judge of many is the judge of one, number by number: whatever comes in, at every look, through steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import judge
from tidegate.judge import crowd
from tidegate.judge.crowd_bets import Tallies, log_gamma

POLICY = judge.Policy(
    (
        judge.SignalPolicy("errors", 0.001),
        judge.SignalPolicy("latency", 0.01, tempering=0.5, patience=3, margin=0.01, alpha_share=2.0),
        judge.SignalPolicy("mostly bad", 0.3, min_requests=5, margin=0.3),
    )
)
NAMES = [signal.name for signal in POLICY.signals]
TERMS = crowd.Terms.of(POLICY)


@st.composite
def tallies(draw, most: int) -> judge.Tally:
    requests = draw(st.one_of(st.just(0), st.integers(0, most)))
    return judge.Tally(requests, draw(st.integers(0, requests)) if draw(st.booleans()) else 0)


def arrays(tally: judge.Tally) -> Tallies:
    return Tallies(np.array([[tally.requests]]), np.array([[tally.bad]]))


looks = st.lists(st.tuples(tallies(60), st.one_of(st.just(judge.Tally()), tallies(400)), st.booleans()), max_size=25)


@given(tallies(5_000), looks)
@settings(max_examples=150, deadline=None)
def test_one_of_a_crowd_is_judged_as_it_would_be_alone(baseline, told):
    evidence = judge.begin_step(POLICY, judge.begin(POLICY, dict.fromkeys(NAMES, baseline)))
    many = crowd.begin_step(crowd.begin((1, 3), Tallies(np.array(baseline.requests), np.array(baseline.bad))))
    for candidate, stable, new_step in told:
        if new_step:
            evidence, many = judge.begin_step(POLICY, evidence), crowd.begin_step(many)
        evidence = judge.observe(POLICY, evidence, dict.fromkeys(NAMES, candidate), dict.fromkeys(NAMES, stable))
        sides = (Tallies(np.array([[side.requests]]), np.array([[side.bad]])) for side in (candidate, stable))
        many = crowd.observe(TERMS, many, *sides)
        verdict = judge.assess(POLICY, evidence)
        for at, said in enumerate(verdict.signals):
            logs = many.worse.log[0, at], many.outside.log[0, at], many.safe.log[0, at]
            alone = said.log_worse_than_stable, said.log_outside_objective, said.log_safe
            assert logs == pytest.approx(alone, rel=1e-7, abs=1e-7)
            if min(abs(said.harm - 1.0), abs(said.safety - 1.0)) > 1e-6:
                assert many.fails(TERMS)[0, at] == (said.outcome == "fail")
                assert bool(many.passes(TERMS)[0, at] and not many.fails(TERMS)[0, at]) == (said.outcome == "pass")


def test_the_rollouts_of_a_crowd_do_not_touch_each_other():
    """Some alone, some with stable beside them, some without traffic, one not active: each as it would be by itself."""
    rng = np.random.default_rng(4)
    shape = (40, 3)
    many = crowd.begin_step(crowd.begin(shape, Tallies(np.array(500), np.array(3))))
    active = rng.random((40, 1)) < 0.8
    evidence = [judge.begin_step(POLICY, judge.begin(POLICY, dict.fromkeys(NAMES, judge.Tally(500, 3))))] * 40
    for _ in range(30):
        n1, n0 = rng.poisson(4.0, (40, 1)), rng.poisson(20.0, (40, 1)) * (rng.random((40, 1)) < 0.5)
        y1, y0 = rng.binomial(n1, 0.05), rng.binomial(n0, 0.05)
        many = crowd.observe(TERMS, many, Tallies(n1, y1), Tallies(n0, y0), active)
        for at in np.flatnonzero(active):
            tried, kept = judge.Tally(int(n1[at, 0]), int(y1[at, 0])), judge.Tally(int(n0[at, 0]), int(y0[at, 0]))
            sides = dict.fromkeys(NAMES, tried), dict.fromkeys(NAMES, kept)
            evidence[at] = judge.observe(POLICY, evidence[at], *sides)
    for at in range(40):
        found = [many.worse.log[at], many.outside.log[at], many.safe.log[at]]
        told = judge.assess(POLICY, evidence[at]).signals
        alone = [(s.log_worse_than_stable, s.log_outside_objective, s.log_safe) for s in told]
        np.testing.assert_allclose(np.array(found).T, np.array(alone), rtol=1e-7, atol=1e-7)


@given(st.floats(0.5, 1e7))
def testlog_gamma_is_that_of_the_standard_library(x):
    assert log_gamma(np.array(x)) == pytest.approx(math.lgamma(x), rel=1e-13, abs=1e-13)
