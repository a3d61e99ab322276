"""The state machine, edge by edge: what is seen, then where it leads and what is to be done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.rollout import (
    Checked,
    Command,
    EnsureReplicas,
    NotAllowed,
    Observation,
    Phase,
    Plan,
    ReasonMissing,
    RemoveReplicas,
    Rollout,
    SetSplit,
    SplitCheck,
    Step,
    Verdict,
    advance,
    command,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
PASS = Verdict("pass", "fine")
FAIL = Verdict("fail", "14 of 210 failed")
UNSURE = Verdict("inconclusive", "12 of 50 requests")


def plan(**changes: object) -> Plan:
    planned = {
        "candidate": 2,
        "stable": 1,
        "steps": (Step(10, 30.0), Step(50, 30.0), Step(100, 30.0)),
        "replicas": 2,
        "stable_replicas": 3,
        "baseline_seconds": 5.0,
        "ready_within_seconds": 60.0,
        "unready_seconds": 5.0,
        "max_restarts": 3,
        "on_inconclusive": "pause",
    }
    return Plan(**{**planned, **changes})  # type: ignore[arg-type]


def seen(**changes: object) -> Observation:
    usual = {
        "candidate_ready": 2,
        "stable_ready": 3,
        "candidate_restarts": 0,
        "split": {1: 100},
        "split_check": SplitCheck.CONFIRMED,
        "verdict": None,
    }
    return Observation(**{**usual, **changes})  # type: ignore[arg-type]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def in_phase(phase: Phase, step: int = 0, **changes: object) -> Rollout:
    return Rollout(plan=plan(), phase=phase, phase_since=START, step=step, restarts_before=0).evolve(**changes)


def test_the_candidate_gets_no_traffic_before_its_checks_are_made() -> None:
    begun = Rollout.begin(plan(), START)
    waiting = advance(begun, seen(checks=None), at(70))
    assert waiting.transition is None
    assert SetSplit({1: 100}, trial=2) in waiting.actions
    passed = seen(checks=Checked(passed=True, reason="all 3 golden requests were answered as expected"))
    assert advance(begun, passed, at(70)).rollout.phase is Phase.BASELINE
    assert advance(begun, seen(candidate_ready=1, checks=None), at(61)).rollout.reason.startswith("1 of 2 replicas")


def test_a_candidate_whose_checks_failed_is_rolled_back_from_zero() -> None:
    failed = seen(checks=Checked(passed=False, reason="1 of 3 golden requests were not answered as expected"))
    moved = advance(Rollout.begin(plan(), START), failed, at(2))
    assert (moved.rollout.phase, moved.rollout.end) == (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
    assert moved.rollout.reason == "1 of 3 golden requests were not answered as expected"
    assert moved.actions == (EnsureReplicas(1, 3), SetSplit({1: 100}))
    first = Rollout.begin(plan(stable=None, stable_replicas=0, steps=()), START)
    assert advance(first, failed, at(2)).rollout.end is Phase.FAILED


def test_checks_that_cannot_be_made_end_the_rollout() -> None:
    begun = Rollout.begin(plan(), START)
    moved = advance(begun, seen(checks=None), at(120))
    assert moved.rollout.phase is Phase.ROLLING_BACK
    assert "could not be made" in moved.rollout.reason


def test_the_candidate_gets_no_traffic_until_all_its_replicas_are_ready() -> None:
    begun = Rollout.begin(plan(), START)
    waiting = advance(begun, seen(candidate_ready=1), at(1))
    assert waiting.transition is None
    assert waiting.actions == (EnsureReplicas(1, 3), EnsureReplicas(2, 2), SetSplit({1: 100}, trial=2))
    assert advance(begun, seen(), at(2)).rollout.phase is Phase.BASELINE


def test_a_candidate_that_is_not_ready_in_time_is_rolled_back() -> None:
    begun = Rollout.begin(plan(), START)
    moved = advance(begun, seen(candidate_ready=1), at(60)).rollout
    assert moved.phase is Phase.ROLLING_BACK
    assert "1 of 2 replicas were ready after 60 s" in moved.reason


def test_the_first_deployment_goes_live_when_it_is_ready_without_a_trial() -> None:
    begun = Rollout.begin(plan(stable=None, steps=(), stable_replicas=0), START)
    promoting = advance(begun, seen(split={}), at(2))
    assert promoting.rollout.phase is Phase.PROMOTING
    assert SetSplit({2: 100}) in promoting.actions
    assert advance(promoting.rollout, seen(split={2: 100}), at(3)).rollout.phase is Phase.PROMOTED


def test_a_first_deployment_that_never_gets_ready_has_failed() -> None:
    begun = Rollout.begin(plan(stable=None, steps=(), stable_replicas=0), START)
    back = advance(begun, seen(candidate_ready=0, split={}), at(61)).rollout
    assert advance(back, seen(split={}), at(61)).rollout.phase is Phase.FAILED


def test_the_baseline_is_measured_before_the_first_step() -> None:
    measuring = in_phase(Phase.BASELINE, step=-1)
    assert advance(measuring, seen(), at(4)).transition is None
    moved = advance(measuring, seen(), at(5))
    assert (moved.rollout.phase, moved.rollout.step) == (Phase.SHIFTING, 0)
    assert SetSplit({2: 10, 1: 90}, trial=2) in moved.actions


@pytest.mark.parametrize("ready", [0, 1])
def test_a_candidate_that_died_while_stable_was_measured_gets_no_traffic_before_all_of_it_is_back(ready: int) -> None:
    measuring = in_phase(Phase.BASELINE, step=-1)
    waiting = advance(measuring, seen(candidate_ready=ready), at(5)).rollout
    assert (waiting.phase, waiting.weight) == (Phase.SCALING, 0)
    assert advance(waiting, seen(candidate_ready=ready), at(64)).transition is None
    assert advance(waiting, seen(candidate_ready=2), at(64)).rollout.phase is Phase.SHIFTING
    late = advance(waiting, seen(candidate_ready=ready, unwell="replica 1: smoke fails"), at(65)).rollout
    assert late.phase is Phase.ROLLING_BACK
    assert late.reason == f"{ready} of 2 replicas were ready after 60 s (replica 1: smoke fails)"


@pytest.mark.parametrize("verdict", [PASS, UNSURE])
def test_traffic_grows_only_onto_replicas_that_are_all_ready(verdict: Verdict) -> None:
    analyzing = Rollout(plan=plan(on_inconclusive="continue"), phase=Phase.ANALYZING, phase_since=START, step=0)
    analyzing = analyzing.evolve(restarts_before=0)
    short = advance(analyzing, seen(candidate_ready=1, split={1: 90, 2: 10}, verdict=verdict), at(31)).rollout
    assert (short.phase, short.weight) == (Phase.SCALING, 10)
    full = advance(short, seen(candidate_ready=2, split={1: 90, 2: 10}, verdict=verdict), at(40)).rollout
    assert (full.phase, full.weight) == (Phase.SHIFTING, 50)


def test_who_goes_on_without_a_verdict_says_so() -> None:
    begun = Rollout(plan=plan(on_inconclusive="continue"), phase=Phase.ANALYZING, phase_since=START, step=0)
    idle = seen(verdict=Verdict("inconclusive", "no traffic has reached the candidate"), split={1: 90, 2: 10})
    went_on = advance(begun.evolve(restarts_before=0), idle, at(31)).rollout
    told = "without a verdict, the step's time being up: no traffic has reached the candidate"
    assert went_on.reason == f"went on {told}"
    promoted = advance(begun.evolve(restarts_before=0, step=2), idle, at(31)).rollout
    assert promoted.reason == f"promoted {told}"


def test_a_promotion_that_brings_more_traffic_waits_for_all_replicas_and_one_that_does_not_does_not() -> None:
    half = Rollout(plan=plan(steps=(Step(50, 30.0),)), phase=Phase.ANALYZING, phase_since=START, step=0)
    split = {1: 50, 2: 50}
    short = advance(half.evolve(restarts_before=0), seen(candidate_ready=1, split=split, verdict=PASS), at(1)).rollout
    assert (short.phase, short.weight) == (Phase.SCALING, 50)
    assert advance(short, seen(candidate_ready=2, split=split), at(2)).rollout.phase is Phase.PROMOTING
    all_of_it = in_phase(Phase.ANALYZING, step=2)
    done = advance(all_of_it, seen(candidate_ready=1, split={2: 100}, verdict=PASS), at(1)).rollout
    assert done.phase is Phase.PROMOTING


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.BASELINE, Phase.ANALYZING, Phase.PAUSED, Phase.PROMOTING])
def test_a_critical_check_that_fails_takes_the_candidate_back_in_every_phase(phase: Phase) -> None:
    moved = advance(in_phase(phase), seen(critical="the critical check smoke fails"), at(1))
    assert moved.rollout.phase is Phase.ROLLING_BACK
    assert moved.rollout.reason == "the critical check smoke fails"


def test_a_critical_check_ends_a_first_revision_and_holds_up_no_return() -> None:
    first = Rollout.begin(plan(stable=None, steps=(), stable_replicas=0), START)
    failed = advance(first, seen(critical="smoke fails", stable_ready=0, split={}), at(1)).rollout
    assert (failed.phase, failed.end) == (Phase.ROLLING_BACK, Phase.FAILED)
    back = Rollout.begin(plan(steps=()), START)
    assert advance(back, seen(critical="smoke fails"), at(1)).rollout.phase is Phase.PROMOTING


def test_what_checks_say_is_told_with_the_deaths_that_end_a_rollout() -> None:
    dying = advance(in_phase(Phase.ANALYZING), seen(candidate_restarts=4, unwell="replica 0: smoke fails"), at(1))
    assert dying.rollout.reason.endswith("more than the 3 that are tolerated (replica 0: smoke fails)")


def test_the_judge_watches_only_once_the_gateway_has_confirmed_the_split() -> None:
    shifting = in_phase(Phase.SHIFTING)
    assert advance(shifting, seen(split={1: 100}), at(1)).transition is None
    assert advance(shifting, seen(split=None), at(1)).transition is None
    assert advance(shifting, seen(split={1: 90, 2: 10}), at(1)).rollout.phase is Phase.ANALYZING


def test_a_pass_with_a_confirmed_split_leads_to_the_next_step() -> None:
    moved = advance(in_phase(Phase.ANALYZING), seen(split={1: 90, 2: 10}, verdict=PASS), at(3)).rollout
    assert (moved.phase, moved.step, moved.weight) == (Phase.SHIFTING, 1, 50)


def test_a_pass_waits_until_the_counters_confirm_the_split() -> None:
    early = seen(split={1: 90, 2: 10}, verdict=PASS, split_check=SplitCheck.UNKNOWN)
    assert advance(in_phase(Phase.ANALYZING), early, at(3)).transition is None


def test_a_split_that_the_counters_contradict_to_the_end_of_the_step_waits_for_a_person() -> None:
    wrong = seen(split={1: 90, 2: 10}, verdict=PASS, split_check=SplitCheck.CONTRADICTED)
    watching = in_phase(Phase.ANALYZING, plan=plan(on_inconclusive="continue"))
    assert advance(watching, wrong, at(3)).transition is None
    moved = advance(watching, wrong, at(30)).rollout
    assert moved.phase is Phase.PAUSED
    assert "10 %" in moved.reason


def test_the_last_pass_promotes_and_the_candidate_keeps_its_replicas() -> None:
    promoting = advance(in_phase(Phase.ANALYZING, step=2), seen(split={2: 100}, verdict=PASS), at(3))
    assert promoting.rollout.phase is Phase.PROMOTING
    done = advance(promoting.rollout, seen(split={2: 100}), at(3))
    assert done.rollout.phase is Phase.PROMOTED
    assert done.actions == (EnsureReplicas(2, 2), SetSplit({2: 100}), RemoveReplicas(1))


@pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.ANALYZING, Phase.PAUSED, Phase.PROMOTING])
def test_a_fail_takes_the_traffic_back_from_wherever_the_rollout_stands(phase: Phase) -> None:
    back = advance(in_phase(phase), seen(split={1: 90, 2: 10}, verdict=FAIL), at(3))
    assert back.rollout.phase is Phase.ROLLING_BACK
    assert back.rollout.reason == FAIL.reason
    assert SetSplit({1: 100}) in back.actions
    done = advance(back.rollout, seen(split={1: 100}), at(3))
    assert done.rollout.phase is Phase.ROLLED_BACK
    assert done.actions[-1] == RemoveReplicas(2)


def test_a_rollback_ends_only_when_the_gateway_confirms_that_the_candidate_has_no_traffic() -> None:
    back = in_phase(Phase.ROLLING_BACK, end=Phase.ROLLED_BACK)
    for split in ({1: 90, 2: 10}, None):
        waiting = advance(back, seen(split=split), at(9))
        assert waiting.transition is None
        assert RemoveReplicas(2) not in waiting.actions


@pytest.mark.parametrize(
    ("policy", "phase"),
    [("pause", Phase.PAUSED), ("rollback", Phase.ROLLING_BACK), ("continue", Phase.SHIFTING)],
)
def test_a_step_whose_time_is_up_without_a_verdict_does_what_the_plan_says(policy: str, phase: Phase) -> None:
    watching = in_phase(Phase.ANALYZING, plan=plan(on_inconclusive=policy))
    assert advance(watching, seen(verdict=UNSURE), at(29)).transition is None
    moved = advance(watching, seen(verdict=UNSURE), at(30)).rollout
    assert moved.phase is phase
    assert UNSURE.reason in moved.reason


def test_signals_that_could_not_be_measured_are_neither_pass_nor_fail() -> None:
    watching = in_phase(Phase.ANALYZING)
    assert advance(watching, seen(verdict=None), at(29)).transition is None
    assert advance(watching, seen(verdict=None), at(31)).rollout.phase is Phase.PAUSED


def test_a_candidate_whose_replicas_keep_dying_is_rolled_back() -> None:
    watching = in_phase(Phase.ANALYZING, restarts_before=7)
    assert advance(watching, seen(candidate_restarts=10), at(1)).transition is None
    assert advance(watching, seen(candidate_restarts=11), at(1)).rollout.phase is Phase.ROLLING_BACK


def test_a_candidate_without_a_ready_replica_keeps_its_traffic_only_for_a_moment() -> None:
    down = advance(in_phase(Phase.ANALYZING), seen(candidate_ready=0), at(10)).rollout
    assert down.unready_since == at(10)
    assert advance(down, seen(candidate_ready=1), at(12)).rollout.unready_since is None
    assert advance(down, seen(candidate_ready=0), at(15)).rollout.phase is Phase.ROLLING_BACK


def test_a_candidate_is_not_blamed_while_no_replica_of_stable_is_ready_either() -> None:
    down = advance(in_phase(Phase.ANALYZING), seen(candidate_ready=0, stable_ready=0), at(10)).rollout
    assert down.unready_since is None
    blamed = advance(down, seen(candidate_ready=0, stable_ready=1), at(20)).rollout
    assert blamed.unready_since == at(20)
    assert advance(blamed, seen(candidate_ready=0, stable_ready=1), at(25)).rollout.phase is Phase.ROLLING_BACK


def test_a_candidate_without_a_ready_replica_is_never_made_stable() -> None:
    promoting = in_phase(Phase.PROMOTING, step=2)
    assert advance(promoting, seen(candidate_ready=0, split={2: 100}), at(1)).transition is None


def test_a_clock_that_was_set_back_does_not_end_a_step() -> None:
    watching = in_phase(Phase.ANALYZING)
    assert advance(watching, seen(verdict=UNSURE), at(-3600)).transition is None


def test_a_paused_rollout_stays_until_a_person_resumes_it_and_confirms_its_split_anew() -> None:
    watching = in_phase(Phase.ANALYZING, step=1)
    held = command(watching, Command.PAUSE, at(1), by="ada", reason="lunch").rollout
    assert (held.phase, held.weight) == (Phase.PAUSED, 50)
    assert advance(held, seen(split={1: 50, 2: 50}, verdict=PASS), at(900)).transition is None
    resumed = command(held, Command.RESUME, at(901), by="ada", reason="").rollout
    assert (resumed.phase, resumed.step) == (Phase.SHIFTING, 1)


def test_an_abort_restores_stable_and_says_who_asked() -> None:
    back = command(in_phase(Phase.ANALYZING), Command.ABORT, at(1), by="ada", reason="wrong model")
    assert back.rollout.phase is Phase.ROLLING_BACK
    assert back.transition is not None
    assert back.transition.by == "ada"
    assert advance(back.rollout, seen(), at(1)).rollout.phase is Phase.ABORTED
    assert "ada asked to abort: wrong model" in back.rollout.reason


def test_a_promote_skips_the_steps_that_are_left() -> None:
    asked = command(in_phase(Phase.ANALYZING), Command.PROMOTE, at(1), by="ada", reason="").rollout
    assert (asked.phase, asked.weight) == (Phase.SCALING, 10)
    moved = advance(asked, seen(split={1: 90, 2: 10}), at(1))
    assert moved.rollout.phase is Phase.PROMOTING
    assert SetSplit({2: 100}, trial=2) in moved.actions


@pytest.mark.parametrize("ready", [0, 1])
def test_a_promote_takes_nothing_from_stable_before_all_replicas_of_the_candidate_are_ready(ready: int) -> None:
    asked = command(in_phase(Phase.ANALYZING), Command.PROMOTE, at(1), by="ada", reason="").rollout
    short = advance(asked, seen(candidate_ready=ready, split={1: 90, 2: 10}), at(2))
    assert (short.transition, short.rollout.split()) == (None, {1: 90, 2: 10})
    assert EnsureReplicas(1, 3) in short.actions


def test_a_promote_of_a_candidate_that_has_all_requests_already_is_at_once() -> None:
    moved = command(in_phase(Phase.ANALYZING, step=2), Command.PROMOTE, at(1), by="ada", reason="")
    assert moved.rollout.phase is Phase.PROMOTING


@pytest.mark.parametrize(
    ("phase", "asked"),
    [
        (Phase.PREPARING, Command.PROMOTE),
        (Phase.PAUSED, Command.PAUSE),
        (Phase.ANALYZING, Command.RESUME),
        (Phase.ROLLING_BACK, Command.ABORT),
        (Phase.ROLLING_BACK, Command.PROMOTE),
        (Phase.PROMOTED, Command.ABORT),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_and_says_why(phase: Phase, asked: Command) -> None:
    with pytest.raises(NotAllowed, match=f"cannot {asked.value} a rollout that is {phase.value}"):
        command(in_phase(phase), asked, at(1), by="ada", reason="")


@pytest.mark.parametrize("reason", ["", "  ", "\n\t"])
@pytest.mark.parametrize("asked", [Command.PROMOTE, Command.RESUME])
def test_who_lets_users_meet_the_candidate_says_why_where_the_plan_demands_it(asked: Command, reason: str) -> None:
    demanding = plan(reason_required=True)
    gate = in_phase(Phase.PAUSED, plan=demanding)
    with pytest.raises(ReasonMissing):
        command(gate, asked, at(1), by="ada", reason=reason)
    assert command(gate, asked, at(1), by="ada", reason="looks right").rollout.phase is not Phase.PAUSED
    assert command(in_phase(Phase.PAUSED), asked, at(1), by="ada", reason=reason).rollout.phase is not Phase.PAUSED


def test_to_hold_and_to_take_back_takes_no_reason_whatever_the_plan_demands() -> None:
    running = in_phase(Phase.ANALYZING, plan=plan(reason_required=True))
    held = command(running, Command.PAUSE, at(1), by="ada", reason="").rollout
    assert held.phase is Phase.PAUSED
    assert command(held, Command.ABORT, at(2), by="ada", reason="").rollout.phase is Phase.ROLLING_BACK


def test_who_comes_too_late_is_told_so_and_not_to_say_why() -> None:
    decided = in_phase(Phase.ROLLING_BACK, plan=plan(reason_required=True), reason="bob asked to abort")
    with pytest.raises(NotAllowed, match="bob asked to abort"):
        command(decided, Command.PROMOTE, at(1), by="ada", reason="")


def test_what_is_demanded_is_kept_with_the_plan_and_what_was_stored_before_demands_nothing() -> None:
    stored = in_phase(Phase.PAUSED, plan=plan(reason_required=True)).for_storage()
    assert Rollout.from_storage(stored).plan.reason_required
    older = {**stored, "plan": {key: value for key, value in stored["plan"].items() if key != "reason_required"}}
    assert not Rollout.from_storage(older).plan.reason_required


def test_a_rollout_that_was_paused_before_it_was_ready_cannot_be_promoted() -> None:
    held = command(Rollout.begin(plan(), START), Command.PAUSE, at(1), by="ada", reason="").rollout
    with pytest.raises(NotAllowed, match="not ready"):
        command(held, Command.PROMOTE, at(2), by="ada", reason="")


def test_a_plan_without_steps_is_one_without_a_trial() -> None:
    assert plan(steps=()).steps == ()
