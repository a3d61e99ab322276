"""Bad events that come together, as when a stall makes all requests slow that wait for it, are not taken one by one."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate.judge import Policy, SignalPolicy, Tally, assess, begin, begin_step, clusters, observe
from tidegate.judge.evidence import Clustering, Memory

SIGNAL = SignalPolicy("latency", 0.01)


def learnt(batches) -> Clustering:
    """Return what is known after batches of (requests, bad) of a stable that shows 1 %."""
    seen = Clustering()
    for counts in batches:
        seen = clusters.after(seen, Tally(*counts), Memory(3_000.0, 30.0), 0.01)
    return seen


def test_independent_events_are_not_tempered():
    rng = np.random.default_rng(1)
    assert clusters.tempering(SIGNAL, learnt((200, int(bad)) for bad in rng.binomial(200, 0.01, 300))) == 1.0


@pytest.mark.parametrize("size", [4, 10])
def test_events_that_come_in_clusters_are_tempered_by_about_their_size(size):
    rng = np.random.default_rng(1)
    batches = [(200, size * int(number)) for number in rng.poisson(2.0 / size, 300)]
    assert clusters.tempering(SIGNAL, learnt(batches)) == pytest.approx(1.0 / size, rel=0.7)


def test_tempering_is_never_weaker_than_the_policy_says_and_never_silences():
    wild = learnt([(100, 100)] * 50)
    assert clusters.tempering(SIGNAL, wild) == pytest.approx(1.0 / clusters.LARGEST_CLUSTER)
    assert clusters.tempering(SignalPolicy("latency", 0.01, tempering=0.01), wild) == 0.01
    assert clusters.tempering(SignalPolicy("latency", 0.01, tempering=0.5), Clustering()) == 0.5


def test_an_incident_is_forgotten():
    after_it = learnt([(200, 2)] * 20 + [(200, 180)] * 3)
    assert clusters.tempering(SIGNAL, after_it) < 0.5
    assert clusters.tempering(SIGNAL, learnt([(200, 2)] * 20 + [(200, 180)] * 3 + [(200, 2)] * 300)) == 1.0


def stalling(rng, requests: int, seconds: int, share: float):
    """Return tallies per second where whole seconds are slow, a share of them."""
    return [Tally(requests, requests if slow else 0) for slow in rng.random(seconds) < share]


def test_stalls_of_a_second_on_either_side_do_not_fail_a_patient_signal():
    rng = np.random.default_rng(5)
    policy = Policy((SignalPolicy("latency", 0.01, tempering=0.5, patience=3),))
    failed = 0
    for _ in range(20):
        evidence = begin_step(policy, begin(policy, {"latency": Tally(3_000, 30)}))
        sides = zip(stalling(rng, 5, 300, 0.01), stalling(rng, 45, 300, 0.01), strict=True)
        for candidate, stable in sides:
            evidence = observe(policy, evidence, {"latency": candidate}, {"latency": stable})
            if assess(policy, evidence).outcome == "fail":
                failed += 1
                break
    assert failed <= 1


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_a_fail_takes_evidence_from_as_many_looks_as_the_policy_says(patience):
    policy = Policy((SignalPolicy("latency", 0.01, patience=patience),))
    evidence = begin_step(policy, begin(policy, {"latency": Tally(3_000, 30)}))
    looks = 0
    while assess(policy, evidence).outcome != "fail":
        evidence = observe(policy, evidence, {"latency": Tally(1_000, 1_000)}, {"latency": Tally(1_000, 10)})
        looks += 1
    assert patience <= looks <= patience + 1
