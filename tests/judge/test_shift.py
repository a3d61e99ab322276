"""Changes of distribution: seen when they are there, seldom claimed when not, whatever the mean does."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.judge import (
    Policy,
    ShiftPolicy,
    SignalPolicy,
    Tally,
    assess,
    begin,
    begin_step,
    bernoulli,
    observe,
    shift,
)
from tidegate.judge.shift_verdicts import assess_shift

ALPHA, BETA = 0.01, 0.05
CUTS = (-2.33, -1.64, -1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28, 1.64, 2.33)
NAMES = tuple(f"bin {place}" for place in range(len(CUTS) + 2))  # the last one for what is missing


def binned(values):
    """Return counts per bin; NaN is missing."""
    places = np.where(np.isnan(values), len(CUTS) + 1, np.searchsorted(CUTS, np.nan_to_num(values)))
    return tuple(np.bincount(places, minlength=len(NAMES)).tolist())


def judged(draw_candidate, draw_stable, *, tolerance=0.1, looks=150, beside=9, seed=0):
    """Return the features after so many looks, or after the one that shows a shift; 10 candidate requests a look."""
    rng = np.random.default_rng(seed)
    held = ShiftPolicy("predictions", tolerance)
    features = {"y": shift.Feature.begin(NAMES)}
    for _ in range(looks):
        one, other = binned(draw_candidate(rng, 10)), binned(draw_stable(rng, 10 * beside))
        features = shift.observe(held, features, {"y": one}, {"y": other}, alpha=ALPHA)
        if shift.log_evidence(features) >= shift.fail_threshold(ALPHA):
            break
    return assess_shift(held, features, ALPHA, BETA)


def usual(rng, count):
    return rng.normal(0, 1, count)


def with_gaps(rng, count):
    values = rng.normal(0, 1, count)
    values[rng.random(count) < 0.3] = np.nan
    return values


CHANGES = {
    "equal mean, twice the deviation": lambda rng, n: rng.normal(0, 2, n),
    "equal mean, half the deviation": lambda rng, n: rng.normal(0, 0.4, n),
    "equal mean, a heavy tail": lambda rng, n: rng.standard_t(0.8, n),
    "equal mean, two humps": lambda rng, n: rng.normal(0, 0.2, n) + rng.choice([-1.0, 1.0], n),
    "another mean": lambda rng, n: rng.normal(1, 1, n),
    "missing values": with_gaps,
    "one constant": lambda rng, n: np.zeros(n),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_whether_or_not_the_mean_moves(change):
    said = judged(CHANGES[change], usual)
    assert said.outcome == "fail", said.reason
    assert said.harm >= 1.0
    assert said.shifts[0].distance > 0.1


@pytest.mark.parametrize(("is_dry_run", "outcome"), [(False, "fail"), (True, "warning")])
def test_a_change_that_is_only_shown_is_no_fail(is_dry_run, outcome):
    seen = shift.Feature.begin(("low", "high", "missing"))
    held = ShiftPolicy("predictions", 0.1, is_dry_run=is_dry_run)
    features = {"y": seen}
    for _ in range(40):
        features = shift.observe(held, features, {"y": (2, 8, 0)}, {"y": (8, 2, 0)}, alpha=ALPHA)
    assert assess_shift(held, features, ALPHA, BETA).outcome == outcome


def test_the_same_distribution_passes_once_there_is_enough_of_it():
    few, many = judged(usual, usual, looks=3), judged(usual, usual)
    assert few.outcome == "inconclusive"
    assert few.still_needed > 0
    assert many.outcome == "pass", many.reason
    assert many.shifts[0].bound <= 0.2


def test_a_change_inside_the_tolerance_is_no_fail():
    assert judged(lambda rng, n: rng.normal(0.15, 1, n), usual).outcome != "fail"


@pytest.mark.parametrize("beside", [1, 9])
def test_at_continuous_looks_a_shift_is_seldom_claimed_of_equal_distributions(beside):
    """At tolerance 0, the hardest; 2 × 250 rollouts. Alpha is 1 %, so more than 8 of 250 have probability 0.1 %."""
    claimed = sum(
        judged(usual, usual, tolerance=0.0, looks=60, beside=beside, seed=seed).outcome == "fail" for seed in range(250)
    )
    assert claimed <= 8


counts_of = st.lists(st.integers(0, 12), min_size=4, max_size=4)


@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), st.lists(counts_of, min_size=2, max_size=4), st.data())
@settings(max_examples=25, deadline=None)
def test_no_bet_gains_on_average_while_the_distance_is_tolerated(weights, past, data):
    """Exactly: over every outcome of a block, for the bets that any past leads to."""
    tolerance = data.draw(st.sampled_from([0.0, 0.1, 0.3]))
    held = ShiftPolicy("predictions", tolerance)
    features = {"y": shift.Feature.begin(("a", "b", "c", "d"))}
    for one, other in zip(past, reversed(past), strict=True):
        features = shift.observe(held, features, {"y": tuple(one)}, {"y": tuple(other)}, alpha=ALPHA)
    stable = np.array(weights) / sum(weights)
    moved = min(tolerance, 1.0 - stable[0], stable[3])
    candidate = stable + np.array([moved, 0.0, 0.0, -moved])
    known = features["y"]
    left_n1, left_n0 = sum(known.open_candidate), sum(known.open_stable)
    n1, n0 = 2, 8
    if left_n1 or left_n0:
        return
    for bet in shift._bets(known, tolerance):
        if bet is None:
            continue
        bins, a1, a0 = bet
        p1, p0 = float(sum(candidate[list(bins)])), float(sum(stable[list(bins)]))
        gain = 0.0
        for y1 in range(n1 + 1):
            for y0 in range(n0 + 1):
                chance = math.comb(n1, y1) * p1**y1 * (1 - p1) ** (n1 - y1)
                chance *= math.comb(n0, y0) * p0**y0 * (1 - p0) ** (n0 - y0)
                one, other = Tally(n1, y1), Tally(n0, y0)
                q1, q0 = bernoulli.nearest_tolerable(one, other, (a1, a0), tolerance)
                factor = bernoulli.log_ratio(one, a1, q1) + bernoulli.log_ratio(other, a0, q0)
                gain += chance * math.exp(factor)
        assert gain <= 1.0 + 1e-6


def test_the_bound_holds_at_all_times_at_once():
    """Of 300 runs of 300 requests with a true distance of 0.2, the bound is ever below it in fewer than 5 %."""
    rng = np.random.default_rng(5)
    broken = 0
    for _ in range(300):
        one = np.cumsum(rng.multinomial(1, [0.7, 0.3], 300), axis=0)
        other = np.cumsum(rng.multinomial(1, [0.5, 0.5], 300), axis=0)
        broken += any(
            shift.bound(tuple(a), tuple(b), BETA) < 0.2
            for a, b in zip(one.tolist()[::5], other.tolist()[::5], strict=True)
        )
    assert broken <= 15


@given(st.lists(st.tuples(counts_of, counts_of), max_size=5))
@settings(max_examples=30, deadline=None)
def test_evidence_is_stored_without_loss(looks):
    held = ShiftPolicy("predictions", 0.1)
    features = {"y": shift.Feature.begin(("a", "b", "c", "d"))}
    for one, other in looks:
        features = shift.observe(held, features, {"y": tuple(one)}, {"y": tuple(other)}, alpha=ALPHA)
    stored = json.loads(json.dumps(features["y"].for_storage()))
    assert shift.Feature.from_storage(stored) == features["y"]


def features_after(candidate, stable, looks=40):
    held = ShiftPolicy("any", 0.05)
    features = {"x": shift.Feature.begin(("low", "high"))}
    for _ in range(looks):
        features = shift.observe(held, features, {"x": candidate}, {"x": stable}, alpha=ALPHA)
    return features


OTHERWISE, ALIKE = features_after((2, 18), (90, 90)), features_after((10, 10), (90, 90))


def verdict(*, critical: bool, inputs, idle=(), bad=0):
    rules = Policy(
        (SignalPolicy("errors", 0.01),),
        shifts=(ShiftPolicy("predictions", 0.05, is_critical=critical),),
        mix=ShiftPolicy("inputs", 0.05),
    )
    evidence = begin_step(rules, begin(rules, {}))
    for _ in range(40):
        evidence = observe(rules, evidence, {"errors": Tally(20, bad)}, {"errors": Tally(180, 0)})
    return assess(rules, evidence, idle, distributions={"predictions": OTHERWISE, "inputs": inputs})


def test_a_shift_of_predictions_takes_back_where_it_is_critical_and_warns_where_not():
    assert verdict(critical=True, inputs=ALIKE).outcome == "fail"
    assert verdict(critical=False, inputs=ALIKE).outcome == "warning"


def test_a_model_is_not_blamed_for_other_requests():
    said = verdict(critical=True, inputs=OTHERWISE)
    assert said.outcome == "inconclusive"
    assert "not blamed on the candidate" in said.reason
    assert "candidate and stable see different requests: x is high in 90 %" in said.reason
    assert verdict(critical=False, inputs=OTHERWISE).outcome == "warning"


def test_errors_take_back_whatever_was_asked_and_the_other_requests_are_named():
    said = verdict(critical=False, inputs=OTHERWISE, bad=5)
    assert said.outcome == "fail"
    assert "errors: " in said.reason
    assert "see different requests" in said.reason


def test_copied_requests_are_the_same_so_nothing_is_excused_in_a_shadow():
    said = verdict(critical=True, inputs=OTHERWISE, idle=("inputs", "predictions"))
    assert said.outcome == "fail", "what was shown in an earlier step stays shown"
    assert "both revisions answer the same requests" in said.signals[-1].reason
