"""Comparing arms two by two: what is said is true as often as promised, and what is plain is said."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tidegate.judge import Comparison, Policy, SignalPolicy, Tally

POLICY = Policy((SignalPolicy("errors", objective=0.001), SignalPolicy("latency", objective=0.01)), alpha=0.05)
ARMS = (1, 2, 3, 4)


def after(rates: dict[int, float], looks: int, rng: np.random.Generator, per_look: int = 40) -> Comparison:
    """Bad events of both signals come independently, at the same rate."""
    known = Comparison.begin(POLICY, tuple(rates))
    for look in range(looks):
        weight = {arm: 1 + (arm + look // 50) % 3 for arm in rates}  # weights change while it runs
        grown = {}
        for arm, rate in rates.items():
            requests = int(rng.poisson(per_look * weight[arm] / 4))
            grown[arm] = {signal.name: Tally(requests, int(rng.binomial(requests, rate))) for signal in POLICY.signals}
        known = known.observe(POLICY, grown)
    return known


def test_equal_arms_are_told_apart_no_more_often_than_alpha_allows() -> None:
    wrong = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        known = Comparison.begin(POLICY, ARMS)
        said = False
        for look in range(60):
            # All arms are equally bad, and worse at times: an incident must not be put down to an arm.
            rate = 0.3 if 20 <= look < 25 else 0.03
            grown = {}
            for arm in ARMS:
                requests = int(rng.poisson(20 * (1 + (arm + look // 20) % 3)))
                grown[arm] = {
                    signal.name: Tally(requests, int(rng.binomial(requests, rate))) for signal in POLICY.signals
                }
            known = known.observe(POLICY, grown)
            said = said or any(pair.is_shown for pair in known.pairs(POLICY))
        wrong += said
    # Of 60 at 5 %, 9 or more come with a probability of 0.2 %; the bounds behind it are wide, so none is usual.
    assert wrong <= 8


def test_an_arm_that_is_plainly_worse_is_shown_to_be_worse_than_every_other_and_nothing_else_is() -> None:
    known = after({1: 0.02, 2: 0.02, 3: 0.12, 4: 0.02}, 300, np.random.default_rng(1))
    shown = {(pair.worse, pair.better) for pair in known.pairs(POLICY) if pair.is_shown}
    assert shown == {(3, 1), (3, 2), (3, 4)}


def test_an_arm_that_is_out_takes_part_no_more_and_the_others_go_on() -> None:
    rng = np.random.default_rng(2)
    known = after({1: 0.05, 2: 0.05, 3: 0.05, 4: 0.05}, 20, rng)
    kept = known.signals["errors"].counted[3]
    for _ in range(20):
        known = known.observe(POLICY, {arm: {"errors": Tally(40, int(rng.binomial(40, 0.05)))} for arm in (1, 2, 4)})
    at = known.signals["errors"]
    assert at.counted[3] == kept
    assert at.counted[1].requests >= 800
    assert all(not tally.requests for tally in at.open.values()), "blocks are complete without it"


def test_nothing_is_concluded_before_every_arm_has_served_something() -> None:
    known = Comparison.begin(POLICY, (1, 2))
    known = known.observe(POLICY, {1: {"errors": Tally(500, 0)}, 2: {"errors": Tally(0, 0)}})
    assert all(wealth.requests == 0 for wealth in known.signals["errors"].worse.values())


def test_a_comparison_is_stored_without_loss() -> None:
    known = after({1: 0.02, 2: 0.1}, 50, np.random.default_rng(3))
    assert Comparison.from_storage(json.loads(json.dumps(known.for_storage()))) == known
    with pytest.raises(ValueError, match="version 9"):
        Comparison.from_storage({"version": 9})
