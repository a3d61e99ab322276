"""Small seeded simulations; `python -m benchmarks.judge --full` runs them at length."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tidegate.judge import Policy, SignalPolicy, Tally, assess, begin, begin_step, observe

#: So small that the comparison with stable decides alone.
NO_PROMISE = Policy((SignalPolicy("errors", 1e-6),))


def counts(rng, rate: float, per_look: float, looks: int) -> list[Tally]:
    requests = rng.poisson(per_look, looks)
    return [Tally(int(n), int(y)) for n, y in zip(requests, rng.binomial(requests, rate), strict=True)]


def seen_until_fail(rng, candidate: float, stable: float, per_look: float, looks: int) -> Tally | None:
    """Return the candidate's counts when it failed, None if it never did; one candidate request to nine of stable."""
    evidence = begin_step(NO_PROMISE, begin(NO_PROMISE, {"errors": Tally(3_000, round(3_000 * stable))}))
    tried = counts(rng, candidate, per_look, looks)
    beside = counts(rng, stable, 9.0 * per_look, looks)
    for y1, y0 in zip(tried, beside, strict=True):
        evidence = observe(NO_PROMISE, evidence, {"errors": y1}, {"errors": y0})
        verdict = assess(NO_PROMISE, evidence)
        if verdict.outcome == "fail":
            return verdict.signals[0].candidate
    return None


def least_requests(candidate: float, stable: float, alpha: float) -> float:
    """Return log(1/alpha) over the evidence in one candidate request and its nine of stable: the best on average."""

    def divergence(a: float, b: float) -> float:
        return a * math.log(a / b) + (1.0 - a) * math.log((1.0 - a) / (1.0 - b))

    pooled = 0.1 * candidate + 0.9 * stable
    return -math.log(alpha) / (divergence(candidate, pooled) + 9.0 * divergence(stable, pooled))


def test_healthy_candidates_are_left_alone_through_half_an_hour_of_looks():
    rng = np.random.default_rng(1)
    failed = [seen_until_fail(rng, 0.01, 0.01, per_look=50.0, looks=180) for _ in range(40)]
    assert sum(seen is not None for seen in failed) <= 1


@pytest.mark.parametrize("per_look", [0.5, 5.0, 50.0])
@pytest.mark.parametrize(("candidate", "stable"), [(0.03, 0.01), (0.1, 0.01)])
def test_harm_is_caught_about_as_soon_as_it_can_be_however_often_one_looks(candidate, stable, per_look):
    """At length the mean is 1.4 to 1.6 times the least possible; the mean of 25 runs strays from it by 0.15 or so."""
    rng = np.random.default_rng(2)
    least = least_requests(candidate, stable, NO_PROMISE.alpha)
    seen = [seen_until_fail(rng, candidate, stable, per_look, looks=int(8.0 * least / per_look) + 1) for _ in range(25)]
    assert None not in seen
    assert np.mean([tally.requests for tally in seen]) <= 2.0 * least + per_look


def test_a_harmful_candidate_rarely_passes_a_step():
    """4 % against 1 %, with a margin of 2 %, looked at after every tenth request; beta is 5 %."""
    rng, passed = np.random.default_rng(3), 0
    for _ in range(60):
        evidence = begin_step(NO_PROMISE, begin(NO_PROMISE, {"errors": Tally(3_000, 30)}))
        tried, beside = counts(rng, 0.04, 10.0, 40), counts(rng, 0.01, 90.0, 40)
        for y1, y0 in zip(tried, beside, strict=True):
            evidence = observe(NO_PROMISE, evidence, {"errors": y1}, {"errors": y0})
            if assess(NO_PROMISE, evidence).outcome == "pass":
                passed += 1
                break
    assert passed <= 4
