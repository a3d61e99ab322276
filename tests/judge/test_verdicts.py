"""What the judge says in the situations that rollouts meet."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.judge import Policy, SignalPolicy, Tally, assess, begin, begin_step, observe


def test_no_traffic_is_inconclusive(rollout):
    watched = rollout()
    assert watched.verdict.outcome == "inconclusive"
    assert watched.look((0, 0), (10_000, 0)).outcome == "inconclusive"
    assert watched.verdict.reason == "errors: no traffic has reached the candidate in this step"
    assert watched.verdict.signals[0].candidate_rate is None


def test_a_few_requests_are_inconclusive_and_the_verdict_says_how_many_are_missing(rollout):
    verdict = rollout().look((12, 0), (108, 0))
    assert (verdict.outcome, verdict.reason) == ("inconclusive", "errors: 12 of 50 candidate requests needed so far")


def test_a_healthy_candidate_passes_and_the_promised_number_of_requests_suffices(rollout):
    watched = rollout()
    watched.look((60, 0), (540, 0))
    needed = watched.verdict.signals[0].still_needed
    assert f"at least {needed} more requests needed" in watched.verdict.reason
    assert 80 <= needed <= 150
    assert watched.look((60, 0), (540, 0)).outcome == "inconclusive"
    assert watched.look((120, 0), (1_080, 0)).outcome == "pass"


def test_min_requests_holds_back_a_pass_however_clear(rollout):
    watched = rollout(objective=0.3, margin=0.3, min_requests=500)
    assert watched.look((400, 0), (400, 0)).outcome == "inconclusive"
    assert watched.look((100, 0), (100, 0)).outcome == "pass"


def test_a_fail_is_told_with_its_numbers(rollout):
    verdict = rollout().look((210, 14), (4_020, 3))
    assert verdict.outcome == "fail"
    assert verdict.reason == (
        "errors: 14 of 210 candidate requests failed (6.7 %) against 3 of 4,020 on stable (0.075 %); objective 0.1 %"
    )


@pytest.mark.parametrize("share", [(1, 9), (1, 1)])
def test_a_candidate_that_answers_nothing_fails_within_ten_requests(rollout, share):
    watched = rollout()
    verdict = watched.looks([((share[0], share[0]), (share[1], 0))] * 10)
    assert verdict.outcome == "fail"
    assert verdict.signals[0].candidate.requests <= 10


@pytest.mark.parametrize("baseline", [(3_000, 0), (3_000, 30), (0, 0)])
@pytest.mark.parametrize("stable", [(0, 0), None])
def test_a_candidate_that_answers_nothing_fails_within_ten_requests_with_no_stable_beside_it(rollout, baseline, stable):
    verdict = rollout(baseline=baseline).looks([((1, 1), stable)] * 10)
    assert verdict.outcome == "fail"
    assert verdict.signals[0].concurrent is False


def test_two_bad_events_never_fail_a_candidate(rollout):
    watched = rollout(objective=0.0, baseline=(1_000_000, 0))
    assert watched.look((2, 2), (1_000_000, 0)).outcome == "inconclusive"
    assert watched.look((1, 1), (9, 0)).outcome == "fail"


def test_a_candidate_as_bad_as_a_stable_outside_its_objective_is_not_taken_back(rollout):
    watched = rollout(objective=0.001, baseline=(3_000, 150))
    for _ in range(200):
        assert watched.look((100, 5), (900, 45)).outcome != "fail"
    assert watched.verdict.outcome == "pass"


def test_a_candidate_worse_than_stable_but_within_the_objective_is_not_taken_back(rollout):
    watched = rollout(objective=0.01, baseline=(3_000, 3))
    for _ in range(200):
        assert watched.look((1_000, 5), (9_000, 9)).outcome != "fail"
    verdict = watched.verdict.signals[0]
    assert verdict.outcome == "pass"
    assert verdict.log_worse_than_stable > 0.0 > verdict.log_outside_objective


def test_an_incident_that_hits_both_does_not_count_against_the_candidate(rollout):
    watched = rollout(objective=0.001, baseline=(3_000, 3))
    for bad in (0, 0, 40, 60, 30, 0, 0):
        assert watched.look((100, bad), (900, 9 * bad)).outcome != "fail"


def test_an_incident_of_the_past_is_not_joined_to_harmless_differences_of_the_present(rollout):
    """Outside the objective then, with stable; worse than stable now, inside the objective: never both at once."""
    watched = rollout(objective=0.01, baseline=(3_000, 3))
    for _ in range(20):
        assert watched.look((100, 20), (900, 180)).outcome != "fail"
    for _ in range(300):
        assert watched.look((1_000, 6), (9_000, 9)).outcome != "fail"


def test_a_candidate_that_breaks_after_an_hour_of_health_is_caught_at_once(rollout):
    watched = rollout(baseline=(3_000, 3))
    for _ in range(600):
        assert watched.look((50, 0), (450, 0)).outcome != "fail"
    verdict = watched.looks([((1, 1), (9, 0))] * 12)
    assert verdict.outcome == "fail"
    assert verdict.signals[0].candidate.bad <= 12


def test_a_pass_is_taken_back_when_the_candidate_turns_bad(rollout):
    watched = rollout(baseline=(3_000, 3))
    for _ in range(100):
        watched.look((100, 0), (900, 1))
    assert watched.verdict.outcome == "pass"
    watched.look((100, 8), (900, 1))
    assert watched.verdict.outcome != "pass"


def test_evidence_for_the_candidate_starts_anew_with_a_step_and_evidence_against_it_stays(rollout):
    watched = rollout(baseline=(3_000, 3))
    watched.look((300, 2), (2_700, 3))
    before = watched.verdict.signals[0]
    watched.new_step()
    after = watched.verdict.signals[0]
    assert before.log_safe > 1.0
    assert after.log_safe == pytest.approx(0.0)
    assert after.log_worse_than_stable == pytest.approx(before.log_worse_than_stable)
    assert watched.verdict.reason == "errors: no traffic has reached the candidate in this step"


def test_slow_harm_is_summed_over_steps(rollout):
    """1 % against 0.1 %, in steps too short to show it."""
    watched = rollout(baseline=(30_000, 30))
    outcomes = []
    for _ in range(12):
        watched.new_step()
        outcomes.append(watched.look((100, 1), (900, 1)).outcome)
    assert outcomes[0] != "fail"
    assert outcomes[-1] == "fail"
    assert watched.verdict.signals[0].candidate == Tally(1_200, 12)


def test_without_stable_beside_it_a_candidate_like_stable_before_is_left_alone(rollout):
    watched = rollout(objective=0.001, baseline=(4_000, 40))
    for _ in range(300):
        assert watched.look((100, 1), (0, 0)).outcome != "fail"
    assert watched.verdict.outcome == "pass"
    assert "against 40 of 4,000 on stable before (1 %)" in watched.verdict.reason


def test_without_stable_beside_it_a_candidate_worse_than_stable_before_fails(rollout):
    verdict = rollout(objective=0.001, baseline=(4_000, 40)).looks([((20, 1), (0, 0))] * 100)
    assert verdict.outcome == "fail"


@pytest.mark.parametrize("first", [1, 10, 40])
def test_a_late_request_of_stable_holds_up_no_step_that_gives_it_none(rollout, first):
    watched = rollout(baseline=(3_000, 3))
    watched.look((first, 0), (1, 0))
    assert watched.looks([((5, 0), (0, 0))] * 80).outcome == "pass"
    turned = watched.looks([((5, 5), (0, 0))] * 20)
    assert turned.outcome == "fail"


def test_a_lull_of_stable_in_the_split_is_not_taken_for_its_absence(rollout):
    """Candidate at 90 %: most single looks show no request of stable, and yet every comparison has one."""
    watched = rollout(baseline=(3_000, 3))
    watched.look((9, 0), (1, 0))
    for _ in range(40):
        for _ in range(9):
            watched.look((1, 0), (0, 0))
        watched.look((0, 0), (1, 0))
    seen = watched.evidence.of("errors")
    assert seen.known_stable == Tally(3_041, 3)
    assert watched.verdict.signals[0].concurrent is True


def test_one_failing_signal_fails_the_whole_and_one_undecided_holds_up_a_pass():
    policy = Policy((SignalPolicy("errors", 0.001), SignalPolicy("latency", 0.01, verb="were slower than 50 ms")))

    def verdict(errors: int, slow: int, requests: int = 400):
        begun = begin_step(policy, begin(policy, {}))
        candidate = {"errors": Tally(requests, errors), "latency": Tally(requests, slow)}
        stable = {"errors": Tally(3_600, 3), "latency": Tally(3_600, 30)}
        return assess(policy, observe(policy, begun, candidate, stable))

    assert verdict(0, 3).outcome == "pass"
    failing = verdict(0, 80)
    assert failing.outcome == "fail"
    assert failing.reason == (
        "latency: 80 of 400 candidate requests were slower than 50 ms (20 %) "
        "against 30 of 3,600 on stable (0.83 %); objective 1 %"
    )
    undecided = verdict(0, 3, requests=120)
    assert [signal.outcome for signal in undecided.signals] == ["inconclusive", "inconclusive"]
    assert undecided.outcome == "inconclusive"


def test_a_signal_that_a_step_does_not_measure_holds_up_no_pass_and_still_fails_for_what_it_showed_before():
    policy = Policy((SignalPolicy("errors", 0.001), SignalPolicy("disagreement", 0.01)))
    begun = begin_step(policy, begin(policy, {}))
    healthy = observe(policy, begun, {"errors": Tally(400, 0)}, {"errors": Tally(3_600, 3)})
    assert assess(policy, healthy).outcome == "inconclusive"
    assert assess(policy, healthy, idle={"disagreement"}).outcome == "pass"
    assert assess(policy, healthy, idle={"errors", "disagreement"}).outcome == "inconclusive"
    seen = {"errors": Tally(400, 0), "disagreement": Tally(400, 80)}
    harmful = observe(policy, begun, seen, {"errors": Tally(3_600, 3), "disagreement": Tally(400, 0)})
    assert assess(policy, begin_step(policy, harmful), idle={"disagreement"}).outcome == "fail"


def test_harm_on_a_signal_that_is_not_critical_is_a_warning_and_in_a_dry_run_nothing():
    def verdict(**settings: bool):
        latency = SignalPolicy("latency", 0.01, verb="were slower than 50 ms", **settings)
        policy = Policy((SignalPolicy("errors", 0.001), latency))
        begun = begin_step(policy, begin(policy, {}))
        candidate = {"errors": Tally(400, 0), "latency": Tally(400, 80)}
        return assess(
            policy, observe(policy, begun, candidate, {"errors": Tally(3_600, 3), "latency": Tally(3_600, 30)})
        )

    assert (verdict().outcome, verdict().score) == ("fail", 0)
    warned = verdict(is_critical=False)
    assert (warned.outcome, warned.score) == ("warning", 50)
    assert "80 of 400 candidate requests were slower" in warned.reason
    shown = verdict(is_dry_run=True)
    assert (shown.outcome, shown.score) == ("pass", 100)
    assert [signal.outcome for signal in shown.signals] == ["pass", "fail"]


def test_a_warning_waits_for_the_signals_that_are_critical():
    policy = Policy((SignalPolicy("errors", 0.001), SignalPolicy("latency", 0.01, is_critical=False)))
    begun = begin_step(policy, begin(policy, {}))
    early = observe(
        policy,
        begun,
        {"errors": Tally(60, 0), "latency": Tally(60, 30)},
        {"errors": Tally(540, 0), "latency": Tally(540, 0)},
    )
    assert assess(policy, early).outcome == "inconclusive"


def test_the_score_weighs_the_signals():
    def score(weight: float) -> int:
        policy = Policy(
            (SignalPolicy("errors", 0.001), SignalPolicy("latency", 0.01, weight=weight, is_critical=False))
        )
        begun = begin_step(policy, begin(policy, {}))
        candidate = {"errors": Tally(400, 0), "latency": Tally(400, 80)}
        return assess(
            policy, observe(policy, begun, candidate, {"errors": Tally(3_600, 3), "latency": Tally(3_600, 30)})
        ).score

    assert (score(1.0), score(3.0)) == (50, 25)


def test_what_is_true_of_several_signals_is_said_once():
    policy = Policy((SignalPolicy("errors", 0.001), SignalPolicy("latency", 0.01)))
    verdict = assess(policy, begin_step(policy, begin(policy, {})))
    assert verdict.reason == "errors, latency: no traffic has reached the candidate in this step"


def test_more_signals_ask_for_more_evidence_each():
    few, many = (Policy(tuple(SignalPolicy(f"s{number}", 0.001) for number in range(count))) for count in (1, 10))

    def harm(policy: Policy) -> float:
        seen = observe(policy, begin(policy, {}), {"s0": Tally(300, 3)}, {"s0": Tally(2_700, 3)})
        return assess(policy, seen).signals[0].harm

    assert 0.0 < harm(many) < harm(few)


@given(st.lists(st.floats(0.1, 50.0), min_size=1, max_size=9), st.floats(0.0001, 0.2))
def test_signals_divide_alpha_by_their_shares_and_spend_no_more_than_all_of_it(shares, alpha):
    signals = tuple(SignalPolicy(f"s{number}", 0.01, alpha_share=share) for number, share in enumerate(shares))
    policy = Policy(signals, alpha=alpha)
    spent = [policy.alpha_of(signal) for signal in signals]
    assert sum(spent) == pytest.approx(alpha)
    assert [part / spent[0] for part in spent] == pytest.approx([share / shares[0] for share in shares])


def test_a_signal_that_cannot_fail_a_candidate_takes_nothing_of_alpha_from_those_that_can():
    errors, latency = SignalPolicy("errors", 0.001, alpha_share=3.0), SignalPolicy("latency", 0.01)
    for other in (SignalPolicy("shown", 0.1, is_dry_run=True), SignalPolicy("warns", 0.1, is_critical=False)):
        policy = Policy((errors, latency, other))
        assert [policy.alpha_of(signal) for signal in policy.signals] == pytest.approx([0.0075, 0.0025, 0.002])


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Tally(3, 4), "4 bad of 3 requests"),
        (lambda: Tally(-1, 0), "0 <= bad <= requests"),
        (lambda: SignalPolicy("", 0.1), "needs a name"),
        (lambda: SignalPolicy("errors", 1.0), "errors: objective must satisfy 0 <= objective < 1, got 1.0"),
        (lambda: SignalPolicy("errors", 0.1, margin=0.0), "margin"),
        (lambda: SignalPolicy("errors", 0.1, min_requests=0), "min_requests"),
        (lambda: SignalPolicy("errors", 0.1, alpha_share=0.0), "errors: alpha_share must satisfy alpha_share > 0"),
        (lambda: SignalPolicy("errors", 0.1, tempering=1.5), "tempering"),
        (lambda: Policy(()), "at least one signal"),
        (lambda: Policy((SignalPolicy("a", 0.1), SignalPolicy("a", 0.2))), "names must differ, got a, a"),
        (lambda: Policy((SignalPolicy("a", 0.1),), alpha=0.0), "alpha"),
        (lambda: Policy((SignalPolicy("a", 0.1),), beta=float("nan")), "beta"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(build, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        build()
