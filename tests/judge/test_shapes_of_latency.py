"""Latency whose shape changes and whose mean does not: what ranks and means miss, the counts of the gateway show.

The gateway counts durations in the buckets of a histogram, and the judge is given how many were slower than the
objective. Issue spinnaker/kayenta#780 asks for spread, tails and two humps to be judged; its first case is below.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import fmean

import pytest

from tidegate.gateway.base import Counts, DurationBucket
from tidegate.judge import Policy, SignalPolicy, Tally, Verdict, assess, begin, begin_step, observe

OBJECTIVE_MS = 50.0
#: As Envoy's histograms have them near the objective.
EDGES = (0.0, 1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 250.0, 500.0, 1_000.0, float("inf"))

#: Milliseconds of a hundred requests each, all with a mean of 20.
NARROW = (20.0,) * 100
SPREAD = tuple(0.4 * step + 0.2 for step in range(100))
TWO_HUMPS_INSIDE = (2.0,) * 50 + (38.0,) * 50
TAIL = (8.0,) * 90 + (128.0,) * 10
RARE_TAIL = (18.0,) * 98 + (118.0,) * 2

#: The series of kayenta#780, "increase in metric variability".
STEADY_780 = (10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 17.0, 17.1, 17.2, 17.3, 17.4, 17.5, 17.6, 17.7)
VARIABLE_780 = (1.0, 100.0, 4.0, 101.0, 5.0, 102.0, 6.0, 103.0, 7.0, 104.0, 8.0, 105.0, 9.0, 106.0, 17.0)


def counts(milliseconds: Sequence[float], times: int = 1) -> Counts:
    """Return what the gateway would have counted of requests that took so long, each of them several times."""
    buckets = tuple(
        DurationBucket(lower, upper, times * sum(lower <= each < upper for each in milliseconds))
        for lower, upper in itertools.pairwise(EDGES)
    )
    return Counts(times * len(milliseconds), 0, 0, buckets)


def slow(counted: Counts) -> Tally:
    return Tally(counted.requests, counted.slower_than(OBJECTIVE_MS))


def judged(candidate: Sequence[float], stable: Sequence[float], looks: int = 20) -> Verdict:
    """Return the verdict when the candidate takes the one and stable the other, nine times as often, look by look."""
    policy = Policy((SignalPolicy("latency", 0.01, patience=4),))
    evidence = begin_step(policy, begin(policy, {"latency": slow(counts(stable, 10))}))
    for _ in range(looks):
        tried, beside = slow(counts(candidate)), slow(counts(stable, 9))
        evidence = observe(policy, evidence, {"latency": tried}, {"latency": beside})
        if assess(policy, evidence).outcome == "fail":
            break
    return assess(policy, evidence)


def test_the_shapes_differ_in_nothing_that_a_mean_shows() -> None:
    assert [fmean(shape) for shape in (NARROW, SPREAD, TWO_HUMPS_INSIDE, TAIL, RARE_TAIL)] == pytest.approx([20.0] * 5)


def test_a_tail_beyond_the_objective_fails_at_an_equal_mean() -> None:
    verdict = judged(TAIL, NARROW)
    assert verdict.outcome == "fail"
    assert verdict.signals[0].candidate_rate == pytest.approx(0.1)


def test_a_hump_of_two_in_a_hundred_beyond_the_objective_fails_later() -> None:
    assert judged(RARE_TAIL, NARROW, looks=2).outcome != "fail"
    assert judged(RARE_TAIL, NARROW, looks=60).outcome == "fail"


@pytest.mark.parametrize("shape", [SPREAD, TWO_HUMPS_INSIDE], ids=["wider", "two humps"])
def test_another_shape_within_the_objective_passes(shape: Sequence[float]) -> None:
    """The promise is a p99: what users were promised holds."""
    assert judged(shape, NARROW).outcome == "pass"


@pytest.mark.parametrize("shape", [TAIL, RARE_TAIL, TWO_HUMPS_INSIDE, VARIABLE_780])
def test_the_same_shape_on_both_sides_never_fails(shape: Sequence[float]) -> None:
    assert judged(shape, shape, looks=200).outcome != "fail"


def test_the_same_slow_share_with_a_longer_tail_is_as_bad_as_stable() -> None:
    """A limit of the method, told in docs/explanation/judge.md: beyond the objective slow is slow."""
    assert judged((8.0,) * 90 + (900.0,) * 10, TAIL, looks=100).outcome == "pass"


def test_the_first_case_of_kayenta_780_is_told_either_way_round() -> None:
    assert judged(VARIABLE_780, STEADY_780).outcome == "fail"
    assert judged(STEADY_780, VARIABLE_780).outcome == "pass"


def test_the_verdict_is_the_same_each_time() -> None:
    assert judged(TAIL, NARROW) == judged(TAIL, NARROW)
