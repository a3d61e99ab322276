"""The guarantees of the whole chain of looks, computed exactly: every outcome of every look, with its probability."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.judge import Evidence, Policy, SignalPolicy, Tally, begin, begin_step, bernoulli, observe

OBJECTIVE, MARGIN = 0.1, 0.15
POLICY = Policy((SignalPolicy("errors", OBJECTIVE, margin=MARGIN),))

rates = st.floats(0.0, 1.0)
baselines = st.sampled_from((Tally(), Tally(40, 1), Tally(40, 20)))


def all_outcomes(looks):
    """Yield (evidence, probability) of everything that looks of (n1, n0, q1, q0, new step) can bring."""

    def after(states, look):
        n1, n0, q1, q0, new_step = look
        for (evidence, p), y1, y0 in itertools.product(states, range(n1 + 1), range(n0 + 1)):
            chance = p * _binomial(n1, y1, q1) * _binomial(n0, y0, q0)
            if chance == 0.0:
                continue
            begun = begin_step(POLICY, evidence) if new_step else evidence
            yield observe(POLICY, begun, {"errors": Tally(n1, y1)}, {"errors": Tally(n0, y0)}), chance

    def run(evidence):
        states = [(evidence, 1.0)]
        for look in looks:
            states = list(after(states, look))
        return states

    return run


def _binomial(requests: int, bad: int, rate: float) -> float:
    return math.comb(requests, bad) * rate**bad * (1.0 - rate) ** (requests - bad)


def begun(baseline: Tally) -> Evidence:
    return begin_step(POLICY, begin(POLICY, {"errors": baseline}))


def expected(states, process: str) -> float:
    return sum(p * math.exp(getattr(evidence.of("errors"), process).log) for evidence, p in states)


@given(baselines, st.lists(st.tuples(rates, rates, st.booleans()), min_size=3, max_size=3))
@settings(max_examples=5, deadline=None)
def test_worse_than_stable_is_an_e_process_even_when_rates_change_from_look_to_look(baseline, pairs):
    looks = [
        (n1, n0, min(a, b), max(a, b), new_step)
        for (a, b, new_step), (n1, n0) in zip(pairs, ((3, 5), (2, 3), (3, 5)), strict=True)
    ]
    assert expected(all_outcomes(looks)(begun(baseline)), "worse") <= 1.0 + 1e-9


@given(baselines, st.lists(st.tuples(st.floats(0.0, OBJECTIVE), rates, st.booleans()), min_size=3, max_size=3))
@settings(max_examples=5, deadline=None)
def test_outside_the_objective_is_an_e_process_whatever_stable_does(baseline, pairs):
    looks = [
        (n1, n0, q1, q0, new_step) for (q1, q0, new_step), (n1, n0) in zip(pairs, ((3, 5), (4, 1), (3, 5)), strict=True)
    ]
    assert expected(all_outcomes(looks)(begun(baseline)), "outside") <= 1.0 + 1e-9


@given(baselines, st.lists(st.tuples(st.floats(0.0, 0.8), st.floats(0.0, 1.0)), min_size=3, max_size=3))
@settings(max_examples=5, deadline=None)
def test_safe_is_an_e_process_for_a_candidate_that_is_harmful_by_the_margin(baseline, pairs):
    looks = []
    for (q0, above), (n1, n0) in zip(pairs, ((3, 5), (5, 3), (3, 5)), strict=True):
        least = max(q0, OBJECTIVE) + MARGIN
        looks.append((n1, n0, least + above * (1.0 - least), q0, False))
    assert expected(all_outcomes(looks)(begun(baseline)), "safe") <= 1.0 + 1e-9


@pytest.mark.parametrize("baseline", [Tally(40, 1), Tally(40, 20)])
def test_without_stable_beside_it_the_candidate_is_held_to_what_stable_showed_before(baseline):
    reference = max(OBJECTIVE, bernoulli.upper_bound(baseline, 0.05 * POLICY.alpha))
    looks = [(8, 0, reference, 0.0, False), (6, 0, reference, 0.0, False), (6, 0, reference, 0.0, False)]
    assert expected(all_outcomes(looks)(begun(baseline)), "worse") <= 1.0 + 1e-9


@given(st.tuples(*[st.integers(0, 3)] * 2), st.tuples(*[st.integers(0, 3)] * 2))
@settings(deadline=None)
def test_looks_that_are_too_small_to_compare_are_gathered(first, second):
    """As long as no block is complete, two looks are the same as one with the sum of both."""
    (n1, y1), (n0, y0) = sorted(first, reverse=True), sorted(second, reverse=True)
    start = begun(Tally(40, 1))
    candidate, stable = Tally(n1, y1), Tally(n0, y0)
    one = observe(POLICY, start, {"errors": candidate}, {"errors": stable})
    two = observe(
        POLICY,
        observe(POLICY, start, {"errors": candidate}, {"errors": Tally()}),
        {"errors": Tally()},
        {"errors": stable},
    )
    assert one == two


def test_a_look_without_requests_changes_nothing():
    before = observe(POLICY, begun(Tally(40, 1)), {"errors": Tally(30, 2)}, {"errors": Tally(90, 1)})
    assert observe(POLICY, before, {"errors": Tally()}, {"errors": Tally()}) == before
    assert observe(POLICY, before, {}, {}) == before


@given(st.integers(1, 60), st.integers(1, 200), st.data())
@settings(max_examples=100, deadline=None)
def test_more_bad_requests_are_more_harm_and_less_safety(n1, n0, data):
    y0 = data.draw(st.integers(0, n0))
    fewer = data.draw(st.integers(0, n1))
    more = data.draw(st.integers(fewer, n1))

    def seen(bad: int):
        return observe(POLICY, begun(Tally(500, 5)), {"errors": Tally(n1, bad)}, {"errors": Tally(n0, y0)}).of("errors")

    assert seen(more).worse.log >= seen(fewer).worse.log - 1e-9
    assert seen(more).outside.log >= seen(fewer).outside.log - 1e-9
    assert seen(more).safe.log <= seen(fewer).safe.log + 1e-9


@given(st.integers(0, 300), st.integers(0, 2_000), st.data())
@settings(max_examples=60, deadline=None)
def test_signals_do_not_see_each_other_and_their_order_does_not_matter(n1, n0, data):
    bad = {name: data.draw(st.integers(0, n1)) for name in ("a", "b")}
    signals = (SignalPolicy("a", 0.01), SignalPolicy("b", 0.2))
    tallies = {name: Tally(n1, count) for name, count in bad.items()}
    stable = {name: Tally(n0) for name in bad}

    def seen(policy: Policy) -> Evidence:
        return observe(policy, begin_step(policy, begin(policy, {})), tallies, stable)

    assert seen(Policy(signals)) == seen(Policy(signals[::-1]))
