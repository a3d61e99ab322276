"""Evidence survives being stored as JSON, to the last bit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.judge import Evidence, Policy, SignalPolicy, Tally, assess, begin, begin_step, observe

POLICY = Policy((SignalPolicy("errors", 0.001), SignalPolicy("latency", 0.01, tempering=0.5)))

tallies = st.integers(0, 3_000).flatmap(lambda n: st.integers(0, n).map(lambda y: Tally(n, y)))
per_signal = st.fixed_dictionaries({"errors": tallies, "latency": tallies})
looks = st.lists(st.tuples(per_signal, per_signal, st.booleans()), max_size=12)


def watched(baseline, seen) -> Evidence:
    evidence = begin(POLICY, baseline)
    for candidate, stable, new_step in seen:
        evidence = begin_step(POLICY, evidence) if new_step else evidence
        evidence = observe(POLICY, evidence, candidate, stable)
    return evidence


@given(per_signal, looks)
@settings(max_examples=60, deadline=None)
def test_evidence_comes_back_equal_and_judges_alike(baseline, seen):
    evidence = watched(baseline, seen)
    stored = json.dumps(evidence.for_storage(), allow_nan=False)
    restored = Evidence.from_storage(json.loads(stored))
    assert restored == evidence
    assert assess(POLICY, restored) == assess(POLICY, evidence)


@given(per_signal, looks, per_signal, per_signal)
@settings(max_examples=30, deadline=None)
def test_a_restart_between_two_looks_changes_nothing(baseline, seen, candidate, stable):
    evidence = watched(baseline, seen)
    restored = Evidence.from_storage(json.loads(json.dumps(evidence.for_storage())))
    assert observe(POLICY, restored, candidate, stable) == observe(POLICY, evidence, candidate, stable)


@given(per_signal, looks)
@settings(max_examples=30, deadline=None)
def test_verdicts_are_plain_json(baseline, seen):
    said = assess(POLICY, watched(baseline, seen)).as_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_another_version_of_the_stored_form_is_refused():
    with pytest.raises(ValueError, match="version 99"):
        Evidence.from_storage({"version": 99, "signals": {}})


def test_a_signal_that_the_evidence_never_had_is_named():
    evidence = begin(Policy((SignalPolicy("errors", 0.01),)), {})
    with pytest.raises(ValueError, match=r"'latency'.*errors"):
        assess(POLICY, evidence)
