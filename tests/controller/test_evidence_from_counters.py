"""From the gateway's growing counters to what the judge is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.readings import of_one_process
from tidegate.controller.evidence import Measured
from tidegate.gateway.base import Counts, DurationBucket, ProcessCounts
from tidegate.judge import Tally
from tidegate.rollout import Phase, Plan, Rollout, SplitCheck, Step
from tidegate.target.base import Reading
from tidegate.trial.bounds import bounds_around
from tidegate.trial.counting import Totals
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
    return of_one_process({int(name[1:]): counted for name, counted in revisions.items()}, epoch, NOW)


def as_told(counted: Mapping[int, Totals]) -> dict[int, Totals]:
    """Return counts without those by bounds."""
    return {revision: replace(totals, slower=()) for revision, totals in counted.items()}


def test_the_first_look_sets_the_zero_and_later_ones_count_growth() -> None:
    first, growth = Measured().look(reading(r1=counts(1000, errors=7)), 50.0)
    assert as_told(growth) == {1: Totals()}
    _, growth = first.look(reading(r1=counts(1010, errors=8, slow=2)), 50.0)
    assert as_told(growth) == {1: Totals(requests=10, errors=1, slow=2)}


def test_a_new_gateway_process_counts_from_zero_and_nothing_is_subtracted() -> None:
    before, _ = Measured().look(reading(r1=counts(1000), r2=counts(500)), 50.0)
    after, growth = before.look(reading("b", r1=counts(30), r2=counts(3, errors=1)), 50.0)
    assert as_told(growth) == {1: Totals(requests=30), 2: Totals(requests=3, errors=1)}
    assert "b" in (after.last or {})


def pair(**processes: Mapping[int, Counts]) -> Reading:
    """A reading of several processes of the gateway, by their epochs."""
    read = [ProcessCounts(number, epoch, counted) for number, (epoch, counted) in enumerate(processes.items(), 1)]
    return Reading(NOW, tuple(read))


def test_a_process_that_dies_takes_only_what_it_had_not_told_and_the_other_is_not_counted_twice() -> None:
    measured, _ = Measured().look(pair(a={1: counts(1000)}, b={1: counts(900)}), 50.0)
    measured, growth = measured.look(pair(a={1: counts(1010, errors=1)}, b={1: counts(920)}), 50.0)
    assert as_told(growth) == {1: Totals(requests=30, errors=1)}
    measured, growth = measured.look(pair(b={1: counts(925)}), 50.0)
    assert as_told(growth) == {1: Totals(requests=5)}
    measured, growth = measured.look(pair(c={1: counts(7)}, b={1: counts(926)}), 50.0)
    assert as_told(growth) == {1: Totals(requests=8)}


def test_a_process_that_one_look_could_not_read_is_not_counted_anew_by_the_next() -> None:
    measured, _ = Measured().look(pair(a={1: counts(1000)}, b={1: counts(900)}), 50.0)
    measured, _ = measured.look(pair(a={1: counts(1001)}), 50.0)
    measured = Measured.from_storage(json.loads(json.dumps(measured.for_storage())))
    _, growth = measured.look(pair(a={1: counts(1002)}, b={1: counts(910)}), 50.0)
    assert as_told(growth) == {1: Totals(requests=11)}


def test_failures_are_counted_by_their_status_over_processes_and_a_new_controller() -> None:
    def failing(**statuses: int) -> dict[int, Counts]:
        failed_as = {status.removeprefix("s"): count for status, count in statuses.items()}
        return {1: replace(counts(100, errors=sum(failed_as.values())), failed_as=failed_as)}

    measured, _ = Measured().look(pair(a=failing(s500=7), b=failing()), 50.0)
    measured, _ = measured.look(pair(a=failing(s500=8, s503=2), b=failing(s503=1)), 50.0)
    measured = Measured.from_storage(json.loads(json.dumps(measured.for_storage())))
    measured, growth = measured.look(pair(a=failing(s500=8, s503=2), c=failing(s504=1)), 50.0)
    assert growth[1].failed_as == {"504": 1}
    assert measured.total[1].failed_as == {"500": 1, "503": 3, "504": 1}
    assert measured.total[1].errors == 5


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.booleans()), max_size=30))
def test_growth_adds_up_to_what_was_read_however_processes_come_and_go(steps: list[tuple[str, int, bool]]) -> None:
    """Each step: a process counts so many more, and dies before the next look or lives."""
    lives, at = {"a": ("a0", 0), "b": ("b0", 0)}, 0
    measured, _ = Measured().look(pair(a0={1: counts(0)}, b0={1: counts(0)}), 50.0)
    for name, more, dies in steps:
        epoch, before = lives[name]
        lives[name] = (epoch, before + more)
        measured, _ = measured.look(pair(**{one: {1: counts(count)} for one, count in lives.values()}), 50.0)
        if dies:
            at += 1
            lives[name] = (f"{name}{at}", 0)
    assert measured.total.get(1, Totals()).requests == sum(more for _, more, _ in steps)


def slowest(*durations: float) -> Counts:
    """Counters of requests that took so many milliseconds."""
    ordered = sorted(set(durations))
    buckets = tuple(DurationBucket(at, at + 1, durations.count(at)) for at in ordered)
    return Counts(len(durations), 0, 0, buckets)


def test_what_is_slower_than_other_bounds_is_counted_over_a_new_gateway_and_a_new_controller() -> None:
    measured, _ = Measured().look(reading(r1=slowest(10, 60)), 50.0)
    measured, _ = measured.look(reading(r1=slowest(10, 60, 12, 45)), 50.0)
    assert measured.bounds == bounds_around(50.0)
    measured = Measured.from_storage(json.loads(json.dumps(measured.for_storage())))
    measured, _ = measured.look(reading("b", r1=slowest(80)), 50.0)
    measured, _ = measured.look(reading("b", r1=slowest(80, 199)), 50.0)
    slower = dict(zip(measured.bounds, measured.total[1].slower, strict=True))
    assert (slower[15], slower[40], slower[60], slower[90], slower[200]) == (3, 3, 2, 1, 0)
    assert measured.total[1].slow == 2


def test_a_rollout_that_an_earlier_version_began_goes_on_without_bounds() -> None:
    stored = Measured().look(reading(r1=counts(1000)), 50.0)[0].for_storage()
    del stored["bounds"]
    measured, growth = Measured.from_storage(stored).look(reading(r1=counts(1010, slow=2)), 50.0)
    assert measured.bounds == ()
    assert growth[1].slower == ()


def test_a_revision_that_appears_later_counts_from_its_first_request() -> None:
    before, _ = Measured().look(reading(r1=counts(1000)), 50.0)
    _, growth = before.look(reading(r1=counts(1000), r2=counts(12, rejections=2)), 50.0)
    assert as_told(growth)[2] == Totals(requests=12, rejections=2)


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


tallies = st.builds(lambda good, bad: Tally(good + bad, bad), st.integers(0, 50), st.integers(0, 9))
totals = st.builds(
    lambda requests, parts, further, slower: Totals(
        requests, *(min(requests, part) for part in parts), further, tuple(sorted(slower, reverse=True))
    ),
    st.integers(0, 200),
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)),
    st.dictionaries(st.sampled_from(["disagreement", "outcomes"]), tallies, max_size=2),
    st.sampled_from([(), (0, 0, 0), (9, 4, 0), (3, 3, 1)]),
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
    for number, step in enumerate(steps):
        counted = counted + step
        counted = replace(counted, slower=())
        now = counts(counted.requests, counted.errors, counted.rejections, counted.slow)
        measured, growth = measured.look(reading(r1=now), 50.0)
        measured, growth = measured.include("a source", {1: step.further}, number, growth)
        assert growth[1].further == step.further
        assert measured.memories == {"a source": number}
    assert as_told(measured.total).get(1, Totals()) == counted


@given(earlier=totals, growth=totals)
def test_growth_is_the_difference_of_two_totals(earlier: Totals, growth: Totals) -> None:
    grown = (earlier + growth).since(earlier)
    assert (grown.requests, grown.errors, grown.rejections, grown.slow) == (
        growth.requests, growth.errors, growth.rejections, growth.slow,
    )  # fmt: skip
    assert all(grown.of(name) == growth.of(name) for name in {*earlier.further, *growth.further})


def test_what_an_earlier_version_stored_is_read() -> None:
    measured = Measured().enter_step(0, RULES)
    counted = {"requests": 90, "errors": 1, "rejections": 0, "slow": 2}
    compared = {**counted, "compared": 40, "disagreed": 3}
    stored = {
        **measured.for_storage(),
        "epoch": "a",
        "last": {"1": {**counted, "compared": 0, "disagreed": 0}},
        "total": {"1": compared},
        "baseline": {**counted, "compared": 0, "disagreed": 0},
        "in_step": {"1": compared},
    }
    del stored["version"], stored["memories"]
    read = Measured.from_storage(stored)
    assert read.total == {1: Totals(90, 1, 0, 2, {"disagreement": Tally(40, 3)})}
    assert read.baseline == Totals(90, 1, 0, 2)
    assert read.in_step == read.total
    assert Measured.from_storage(read.for_storage()) == read


def test_what_a_later_version_stored_is_refused() -> None:
    with pytest.raises(ValueError, match="version 99"):
        Measured.from_storage({**Measured().for_storage(), "version": 99})


def test_a_signal_that_could_not_be_measured_holds_a_pass_back_and_no_fail() -> None:
    measured = Measured().enter_step(0, RULES)
    good = {2: Totals(requests=900), 1: Totals(requests=900)}
    passed = measured.observe(RULES, watching(50), good)
    assert passed.verdict(RULES).outcome == "pass"  # type: ignore[union-attr]
    told = passed.verdict(RULES, unmeasured={"latency": "no answer"})
    assert told is not None
    assert told.outcome == "error"
    assert told.reason == "latency: could not be measured: no answer"
    failed = measured.observe(RULES, watching(50), {2: Totals(requests=50, errors=40), 1: Totals(requests=50)})
    assert failed.verdict(RULES, unmeasured={"errors": "no answer"}).outcome == "fail"  # type: ignore[union-attr]


@pytest.mark.parametrize(("down", "outcome"), [((1,), "fail"), ((), "inconclusive")])
def test_an_outage_of_stables_replicas_excuses_no_candidate(down: tuple[int, ...], outcome: str) -> None:
    """What the gateway answered while stable had no replica says nothing of stable's model; counted, it hid harm."""
    measured, _ = Measured().look(reading(r1=counts(0)), 50.0)
    measured, growth = measured.look(reading(r1=counts(200)), 50.0)
    measured = measured.add_baseline(growth[1]).enter_step(0, RULES)
    measured, growth = measured.look(reading(r1=counts(1200, errors=1000)), 50.0, down)
    measured = measured.observe(RULES, watching(100), growth, is_whole=not down)
    assert measured.window.get(1, Totals()).requests == (0 if down else 1000)
    measured, growth = measured.look(reading(r1=counts(1200, errors=1000), r2=counts(100, errors=40)), 50.0)
    measured = measured.observe(RULES, watching(100), growth)
    verdict = measured.verdict(RULES)
    assert verdict is not None
    assert verdict.outcome == outcome, verdict.reason


def test_requests_that_cannot_be_copied_are_left_out_of_stable_while_requests_are_copied() -> None:
    """They are slow and fail at times; the candidate answers its copies well, and is no better for it."""
    rollout = watching(0, mirror=100)
    start, _ = Measured().look(reading(r1=counts(1000), r2=counts(0)), 50.0)
    start = start.enter_step(0, RULES)
    seen = replace(counts(1400, errors=30, slow=350), uncopied=counts(300, errors=30, slow=300))
    after, growth = start.look(reading(r1=seen, r2=counts(100, slow=50)), 50.0)
    assert as_told(growth) == {1: Totals(requests=100, slow=50), 2: Totals(requests=100, slow=50)}
    after = after.observe(RULES, rollout, growth)
    assert after.check_split(rollout) is SplitCheck.CONFIRMED
    assert as_told(after.in_step) == as_told(after.total) == as_told(growth)
    stored = Measured.from_storage(json.loads(json.dumps(after.for_storage())))
    later = replace(counts(1500, errors=30, slow=350), uncopied=counts(300, errors=30, slow=300))
    _, growth = stored.look(reading(r1=later, r2=counts(200, slow=50)), 50.0)
    assert as_told(growth) == {1: Totals(requests=100), 2: Totals(requests=100)}


def test_copies_that_are_missing_contradict_the_share_although_some_requests_cannot_be_copied() -> None:
    rollout = watching(0, mirror=100)
    start, _ = Measured().look(reading(r1=counts(0), r2=counts(0)), 50.0)
    start = start.enter_step(0, RULES)
    seen = replace(counts(400), uncopied=counts(300))
    after, growth = start.look(reading(r1=seen, r2=counts(50)), 50.0)
    assert after.observe(RULES, rollout, growth).check_split(rollout) is SplitCheck.CONTRADICTED
