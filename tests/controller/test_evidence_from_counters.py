"""From the gateway's growing counters to what the judge is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidegate.controller.evidence import Measured, Totals
from tidegate.gateway.base import Counts, DurationBucket
from tidegate.rollout import Phase, Plan, Rollout, SplitCheck, Step
from tidegate.target.base import Reading
from tidegate.trial.rules import policy

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULES = policy(budget=0.001, latency="50ms", alpha=0.01, margin=0.02, min_requests=50)


def watching(weight: float, mirror: float = 0) -> Rollout:
    """A rollout of revision 2 over revision 1 that is being judged."""
    steps = (Step(weight, 60.0, mirror=mirror),)
    plan = Plan(2, 1, steps, 1, 1, 5.0, 60.0, 5.0, 3, "pause")
    return Rollout(plan, Phase.ANALYZING, NOW, step=0)


def counts(requests: int, errors: int = 0, rejections: int = 0, slow: int = 0) -> Counts:
    durations = (DurationBucket(1.0, 2.0, requests - slow), DurationBucket(60.0, 61.0, slow))
    return Counts(requests, errors, rejections, durations)


def reading(epoch: str = "a", **revisions: Counts) -> Reading:
    return Reading(epoch, NOW, {int(name[1:]): counted for name, counted in revisions.items()})


def test_the_first_look_sets_the_zero_and_later_ones_count_growth() -> None:
    first, growth = Measured().look(reading(r1=counts(1000, errors=7)), 50.0)
    assert growth == {1: Totals()}
    _, growth = first.look(reading(r1=counts(1010, errors=8, slow=2)), 50.0)
    assert growth == {1: Totals(requests=10, errors=1, slow=2)}


def test_a_new_gateway_process_counts_from_zero_and_nothing_is_subtracted() -> None:
    before, _ = Measured().look(reading(r1=counts(1000), r2=counts(500)), 50.0)
    after, growth = before.look(reading("b", r1=counts(30), r2=counts(3, errors=1)), 50.0)
    assert growth == {1: Totals(requests=30), 2: Totals(requests=3, errors=1)}
    assert after.epoch == "b"


def test_a_revision_that_appears_later_counts_from_its_first_request() -> None:
    before, _ = Measured().look(reading(r1=counts(1000)), 50.0)
    _, growth = before.look(reading(r1=counts(1000), r2=counts(12, rejections=2)), 50.0)
    assert growth[2] == Totals(requests=12, rejections=2)


def test_evidence_for_the_candidate_starts_anew_with_each_step_and_counts_in_step_do_too() -> None:
    measured, _ = Measured().look(reading(r1=counts(0), r2=counts(0)), 50.0)
    measured = measured.enter_step(0, RULES)
    seen = 0
    for _ in range(20):
        seen += 100
        measured, growth = measured.look(reading(r1=counts(seen), r2=counts(seen)), 50.0)
        measured = measured.observe(RULES, watching(50), growth)
    verdict = measured.verdict(RULES)
    assert verdict is not None
    assert verdict.outcome == "pass"
    fresh = measured.enter_step(1, RULES)
    assert fresh.in_step == {}
    again = fresh.verdict(RULES)
    assert again is not None
    assert again.outcome == "inconclusive"


def test_entering_the_same_step_again_keeps_what_it_has_seen() -> None:
    measured = Measured().enter_step(0, RULES)
    measured = measured.observe(RULES, watching(10), {2: Totals(requests=9), 1: Totals(requests=90)})
    assert measured.enter_step(0, RULES) is measured


def test_a_candidate_that_fails_half_of_its_requests_is_failed_within_a_dozen() -> None:
    measured = Measured().enter_step(0, RULES)
    for _ in range(6):
        measured = measured.observe(RULES, watching(10), {2: Totals(requests=2, errors=1), 1: Totals(requests=40)})
    verdict = measured.verdict(RULES)
    assert verdict is not None
    assert verdict.outcome == "fail"
    assert "6 of 12 candidate requests failed" in verdict.reason


def test_requests_that_an_earlier_split_sent_do_not_count_against_the_new_one_for_long() -> None:
    measured = Measured().enter_step(0, RULES)
    measured = measured.observe(RULES, watching(100), {2: Totals(requests=60), 1: Totals(requests=300)})
    assert measured.check_split(watching(100)) is SplitCheck.CONTRADICTED
    measured = measured.observe(RULES, watching(100), {2: Totals(requests=60)})
    assert measured.check_split(watching(100)) is SplitCheck.CONFIRMED
    assert measured.in_step == {2: Totals(requests=120), 1: Totals(requests=300)}


def test_copies_are_checked_against_their_share_of_stables_requests() -> None:
    measured = Measured().enter_step(0, RULES)
    measured = measured.observe(RULES, watching(0, 20), {2: Totals(requests=61), 1: Totals(requests=300)})
    assert measured.check_split(watching(0, 20)) is SplitCheck.CONFIRMED
    assert measured.check_split(watching(0, 90)) is SplitCheck.CONTRADICTED


totals = st.builds(
    lambda requests, parts: Totals(requests, *(min(requests, part) for part in parts)),
    st.integers(0, 200),
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)),
)


@given(looks=st.lists(st.tuples(totals, totals), max_size=12), step_at=st.integers(0, 12))
def test_what_is_stored_is_what_is_read(looks: list[tuple[Totals, Totals]], step_at: int) -> None:
    measured = Measured()
    for number, (candidate, stable) in enumerate(looks):
        if number == step_at:
            measured = measured.enter_step(0, RULES)
        measured = measured.add_baseline(stable).observe(RULES, watching(10), {2: candidate, 1: stable})
    assert Measured.from_storage(json.loads(json.dumps(measured.for_storage()))) == measured


@given(st.lists(totals, max_size=10))
def test_growth_adds_up_to_the_last_counters(steps: list[Totals]) -> None:
    counted, measured = Totals(), Measured().look(reading(r1=counts(0)), 50.0)[0]
    for step in steps:
        counted = counted + step
        now = counts(counted.requests, counted.errors, counted.rejections, counted.slow)
        measured, _ = measured.look(reading(r1=now), 50.0)
    assert measured.total.get(1, Totals()) == counted
