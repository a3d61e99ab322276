"""Steps that are more than a weight: gates, copies, replicas, and the way back from each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.rollout import (
    Command,
    EnsureReplicas,
    NotAllowed,
    Observation,
    Phase,
    Plan,
    Rollout,
    SetSplit,
    SplitCheck,
    Step,
    Verdict,
    advance,
    check_mirror,
    command,
)
from tidegate.rollout.machine import UNMEASURED_SECONDS

START = datetime(2026, 3, 1, tzinfo=UTC)
PASS = Verdict("pass", "fine")
FAIL = Verdict("fail", "14 of 210 failed")
WARNING = Verdict("warning", "latency is worse")
UNSURE = Verdict("inconclusive", "errors: 12 of 50 requests")
ERROR = Verdict("error", "errors: could not be measured")

SHADOW = Step(0, 30.0, mirror=20)
PREVIEW = Step(0, 10.0, until="time")
PERSON = Step(0, 0.0, until="person")
BAKE = Step(100, 60.0, until="time")
HALF = Step(50, 10.0, until="time", replicas=1, stable_replicas=1)
ALL = Step(100, 10.0, until="time", replicas=2, stable_replicas=0)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def rollout(*steps: Step, phase: Phase, step: int = 0, **changes: object) -> Rollout:
    plan = Plan(
        candidate=2,
        stable=1,
        steps=steps,
        replicas=2,
        stable_replicas=2,
        baseline_seconds=5.0,
        ready_within_seconds=60.0,
        unready_seconds=5.0,
        max_restarts=3,
        on_inconclusive="pause",
    )
    return Rollout(plan=plan, phase=phase, phase_since=START, step=step, restarts_before=0).evolve(**changes)


def seen(rollout: Rollout, **changes: object) -> Observation:
    """All that the state asks for is in force and ready, but for the changes."""
    usual = {
        "candidate_ready": rollout.replicas,
        "stable_ready": rollout.stable_replicas,
        "candidate_restarts": 0,
        "split": rollout.split(),
        "split_check": SplitCheck.CONFIRMED,
        "verdict": None,
        "mirror": rollout.mirror,
    }
    return Observation(**{**usual, **changes})  # type: ignore[arg-type]


def test_a_shadow_step_copies_requests_and_leaves_users_with_stable() -> None:
    shifting = rollout(SHADOW, phase=Phase.SHIFTING)
    assert SetSplit({1: 100}, trial=2, mirror=20) in advance(shifting, seen(shifting, mirror=0), at(1)).actions
    assert advance(shifting, seen(shifting, mirror=0), at(1)).transition is None
    watching = advance(shifting, seen(shifting), at(1)).rollout
    assert watching.phase is Phase.ANALYZING
    assert "20 % of requests are copied" in watching.reason


def test_what_is_copied_can_take_a_candidate_back() -> None:
    watching = rollout(SHADOW, phase=Phase.ANALYZING)
    back = advance(watching, seen(watching, verdict=FAIL), at(3))
    assert back.rollout.phase is Phase.ROLLING_BACK
    assert SetSplit({1: 100}) in back.actions


def test_a_shadow_can_lead_to_a_canary() -> None:
    watching = rollout(SHADOW, Step(5, 30.0), Step(100, 30.0), phase=Phase.ANALYZING)
    moved = advance(watching, seen(watching, verdict=PASS), at(3))
    assert (moved.rollout.phase, moved.rollout.weight, moved.rollout.mirror) == (Phase.SHIFTING, 5, 0)


def test_time_is_held_whatever_the_judge_says_unless_it_says_harm() -> None:
    holding = rollout(BAKE, phase=Phase.ANALYZING)
    for said in (None, PASS, WARNING, UNSURE, ERROR):
        assert advance(holding, seen(holding, verdict=said), at(59)).transition is None
    assert advance(holding, seen(holding, verdict=FAIL), at(59)).rollout.phase is Phase.ROLLING_BACK
    assert advance(holding, seen(holding, verdict=PASS), at(60)).rollout.phase is Phase.PROMOTING


#: Every kind of step that lasts for a time: a bake, a pause at a weight and one at copies, an exchange of replicas.
HELD = [BAKE, Step(5, 60.0, until="time"), Step(0, 60.0, until="time", mirror=20), replace(HALF, duration_seconds=60.0)]
WITHOUT_REQUESTS = Step(0, 60.0, until="time")


def ended(step: Step, verdict: Verdict | None, late: float = 0.0, **policy: str) -> Rollout:
    """The state of a held step, the first of two, whose time was up with this verdict `late` seconds ago."""
    holding = rollout(step, BAKE if step.stable_replicas is None else ALL, phase=Phase.ANALYZING)
    holding = holding.evolve(plan=replace(holding.plan, **policy))  # type: ignore[arg-type]
    return advance(holding, seen(holding, candidate_ready=2, verdict=verdict), at(60 + late)).rollout


@pytest.mark.parametrize("step", HELD)
@pytest.mark.parametrize(
    ("on_inconclusive", "phase"), [("pause", Phase.PAUSED), ("rollback", Phase.ROLLING_BACK), ("continue", None)]
)
def test_a_held_step_that_could_not_be_measured_does_what_the_plan_says_of_no_verdict(
    step: Step, on_inconclusive: str, phase: Phase | None
) -> None:
    for said in (ERROR, None):
        waiting = ended(step, said, late=UNMEASURED_SECONDS - 0.1, on_inconclusive=on_inconclusive)
        assert waiting.phase is Phase.ANALYZING, "one look that fails decides nothing"
        assert ended(step, PASS, late=UNMEASURED_SECONDS - 0.1).phase is not Phase.ANALYZING
        moved = ended(step, said, late=UNMEASURED_SECONDS, on_inconclusive=on_inconclusive)
        why = "errors: could not be measured" if said else "the signals could not be measured"
        assert moved.reason.endswith(why)
        assert "without a verdict" in moved.reason
        if phase is None:
            assert (moved.phase, moved.step, moved.scaling_to) in [(Phase.SHIFTING, 1, None), (Phase.SCALING, 0, 1)]
        else:
            assert (moved.phase, moved.step) == (phase, 0)
            assert phase is not Phase.PAUSED or moved.resume_to is Phase.SHIFTING, "the step is held anew"


@pytest.mark.parametrize("on_inconclusive", ["pause", "rollback", "continue"])
def test_a_held_step_without_requests_needs_no_measurement(on_inconclusive: str) -> None:
    for said in (ERROR, None):
        moved = ended(WITHOUT_REQUESTS, said, on_inconclusive=on_inconclusive)
        assert moved.reason == "60 s passed without requests of users to the candidate"


@pytest.mark.parametrize("step", [*HELD, WITHOUT_REQUESTS])
@pytest.mark.parametrize("on_inconclusive", ["pause", "rollback", "continue"])
def test_a_held_step_without_a_verdict_in_its_time_goes_on_and_says_what_was_seen(
    step: Step, on_inconclusive: str
) -> None:
    moved = ended(step, UNSURE, on_inconclusive=on_inconclusive)
    assert Phase.PAUSED is not moved.phase is not Phase.ROLLING_BACK
    seen_of_it = "; the verdict is inconclusive: errors: 12 of 50 requests"
    told = " without requests of users to the candidate" if step == WITHOUT_REQUESTS else seen_of_it
    assert moved.reason == f"60 s passed{told}"


@pytest.mark.parametrize("step", [*HELD, WITHOUT_REQUESTS])
def test_a_held_step_that_ends_with_a_warning_waits_for_a_person_unless_the_plan_passes_over_it(step: Step) -> None:
    waiting = ended(step, WARNING)
    assert (waiting.phase, waiting.waits_at_step) == (Phase.PAUSED, True)
    assert waiting.reason == "a warning: latency is worse"
    went_on = ended(step, WARNING, on_warning="continue")
    assert went_on.phase in (Phase.SHIFTING, Phase.SCALING)
    assert went_on.reason == "60 s passed with a warning: latency is worse"


@pytest.mark.parametrize("step", [*HELD, WITHOUT_REQUESTS])
def test_a_held_step_that_ends_with_a_pass_says_so(step: Step) -> None:
    moved = ended(step, PASS)
    assert moved.phase in (Phase.SHIFTING, Phase.SCALING)
    assert moved.reason == "60 s passed without harm: fine"


def test_a_person_opens_a_gate_and_the_rollout_goes_on_with_the_next_step() -> None:
    shifting = rollout(PERSON, BAKE, phase=Phase.SHIFTING)
    waiting = advance(shifting, seen(shifting), at(1)).rollout
    assert waiting.phase is Phase.PAUSED
    assert "waits for a person" in waiting.reason
    assert advance(waiting, seen(waiting, verdict=PASS), at(10_000)).transition is None
    on = command(waiting, Command.RESUME, at(10_001), by="ada", reason="looked at it")
    assert (on.rollout.phase, on.rollout.split()) == (Phase.SCALING, {1: 100})
    switched = advance(on.rollout, seen(on.rollout), at(10_001))
    assert (switched.rollout.phase, switched.rollout.step, switched.rollout.weight) == (Phase.SHIFTING, 1, 100)
    assert "ada" in switched.rollout.reason
    assert switched.transition is not None
    assert switched.transition.by == "ada"


def test_a_gate_opens_at_once_where_the_next_step_brings_the_candidate_no_more() -> None:
    waiting = rollout(Step(100, 30.0), replace(PERSON, weight=100), BAKE, phase=Phase.PAUSED, step=1)
    on = command(waiting, Command.RESUME, at(1), by="ada", reason="").rollout
    assert (on.phase, on.step) == (Phase.SHIFTING, 2)


@pytest.mark.parametrize("ready", [0, 1])
def test_a_switch_by_a_person_waits_for_replicas_that_died_at_the_gate(ready: int) -> None:
    waiting = rollout(PERSON, BAKE, phase=Phase.PAUSED)
    on = command(waiting, Command.RESUME, at(1), by="ada", reason="").rollout
    short = advance(on, seen(on, candidate_ready=ready), at(60))
    assert (short.transition, short.rollout.split()) == (None, {1: 100})
    assert EnsureReplicas(2, 2) in short.actions
    assert advance(on, seen(on), at(60)).rollout.split() == {2: 100}
    late = advance(on, seen(on, candidate_ready=ready), at(61)).rollout
    assert (late.phase, late.end) == (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
    assert f"{ready} of 2 replicas were ready" in late.reason


def test_copies_that_a_person_starts_wait_for_all_replicas() -> None:
    waiting = rollout(PERSON, SHADOW, phase=Phase.PAUSED)
    on = command(waiting, Command.RESUME, at(1), by="ada", reason="").rollout
    assert advance(on, seen(on, candidate_ready=1), at(2)).rollout.mirror == 0
    assert advance(on, seen(on), at(2)).rollout.mirror == 20


def test_the_last_gate_opens_to_the_promotion() -> None:
    waiting = rollout(SHADOW, PERSON, phase=Phase.PAUSED, step=1)
    on = command(waiting, Command.RESUME, at(5), by="ada", reason="").rollout
    assert (on.phase, on.weight) == (Phase.SCALING, 0)
    assert advance(on, seen(on, candidate_ready=1), at(6)).transition is None
    assert advance(on, seen(on), at(6)).rollout.phase is Phase.PROMOTING


def test_a_hook_that_holds_does_not_hold_what_a_person_asked_for() -> None:
    watching = rollout(Step(50, 30.0), Step(100, 30.0), phase=Phase.ANALYZING)
    by_hand = command(watching, Command.PROMOTE, at(1), by="ada", reason="").rollout
    assert advance(by_hand, seen(by_hand, held="not yet"), at(1)).rollout.phase is Phase.PROMOTING
    by_itself = by_hand.evolve(asked_by=None)
    assert advance(by_itself, seen(by_itself, held="not yet"), at(1)).transition is None


def test_a_preview_has_no_users_and_the_switch_gives_it_all_of_them() -> None:
    watching = rollout(PREVIEW, BAKE, phase=Phase.ANALYZING)
    assert SetSplit({1: 100}, trial=2) in advance(watching, seen(watching), at(1)).actions
    moved = advance(watching, seen(watching, split_check=SplitCheck.UNKNOWN), at(10))
    assert moved.rollout.reason == "10 s passed without requests of users to the candidate"
    assert SetSplit({2: 100}, trial=2) in moved.actions
    assert EnsureReplicas(1, 2) in moved.actions


def test_traffic_waits_for_the_replicas_that_its_step_needs() -> None:
    watching = rollout(HALF, ALL, phase=Phase.ANALYZING, stable_kept=1)
    scaling = advance(watching, seen(watching, verdict=PASS), at(10))
    assert (scaling.rollout.phase, scaling.rollout.weight) == (Phase.SCALING, 50)
    assert EnsureReplicas(2, 2) in scaling.actions
    assert advance(scaling.rollout, seen(scaling.rollout, candidate_ready=1), at(11)).transition is None
    shifting = advance(scaling.rollout, seen(scaling.rollout), at(12)).rollout
    assert (shifting.phase, shifting.weight) == (Phase.SHIFTING, 100)


def test_stable_gives_up_replicas_only_after_the_split_is_in_force() -> None:
    shifting = rollout(HALF, ALL, phase=Phase.SHIFTING, step=1, stable_kept=1)
    waiting = advance(shifting, seen(shifting, split={1: 50, 2: 50}), at(1))
    assert EnsureReplicas(1, 1) in waiting.actions
    done = advance(shifting, seen(shifting), at(1))
    assert EnsureReplicas(1, 0) in done.actions


def test_replicas_that_do_not_come_take_the_candidate_back() -> None:
    scaling = rollout(HALF, ALL, phase=Phase.SCALING, scaling_to=1, stable_kept=1)
    back = advance(scaling, seen(scaling, candidate_ready=1), at(60)).rollout
    assert back.phase is Phase.ROLLING_BACK
    assert "1 of 2 replicas" in back.reason


def test_a_rollback_moves_as_much_as_the_replicas_of_stable_that_are_ready_can_take() -> None:
    watching = rollout(HALF, ALL, phase=Phase.ANALYZING, step=1, stable_kept=0)
    back = advance(watching, seen(watching, verdict=FAIL), at(1))
    assert EnsureReplicas(1, 2) in back.actions
    assert back.rollout.weight == 100
    one = advance(back.rollout, seen(back.rollout, stable_ready=1), at(2)).rollout
    assert (one.phase, one.split()) == (Phase.ROLLING_BACK, {2: 50, 1: 50})
    two = advance(one, seen(one, stable_ready=2), at(3)).rollout
    assert two.split() == {1: 100}
    assert advance(two, seen(two), at(3)).rollout.phase is Phase.ROLLED_BACK


@pytest.mark.parametrize(("ready", "seconds"), [(0, 2), (2, 61)])
def test_a_candidate_that_is_gone_or_a_stable_that_does_not_come_ends_the_waiting(ready: int, seconds: float) -> None:
    back = rollout(HALF, ALL, phase=Phase.ROLLING_BACK, step=1, stable_kept=0, held_weight=100, end=Phase.ROLLED_BACK)
    moved = advance(back, seen(back, candidate_ready=ready, stable_ready=0), at(seconds)).rollout
    assert moved.split() == {1: 100}


def test_a_rollback_to_a_stable_that_kept_all_is_at_once() -> None:
    watching = rollout(Step(50, 30.0), Step(100, 30.0), phase=Phase.ANALYZING)
    assert advance(watching, seen(watching, verdict=FAIL), at(1)).rollout.split() == {1: 100}


def test_a_promote_waits_for_the_replicas_of_a_candidate_that_has_few() -> None:
    watching = rollout(HALF, ALL, phase=Phase.ANALYZING, stable_kept=1)
    asked = command(watching, Command.PROMOTE, at(1), by="ada", reason="").rollout
    assert (asked.phase, asked.weight, asked.replicas) == (Phase.SCALING, 50, 2)
    done = advance(asked, seen(asked), at(2))
    assert done.rollout.phase is Phase.PROMOTING
    assert done.transition is not None
    assert done.transition.by == "ada"


def test_a_promotion_that_waits_for_replicas_is_decided_and_can_still_be_taken_back() -> None:
    watching = rollout(Step(50, 30.0), Step(100, 30.0), phase=Phase.ANALYZING)
    asked = command(watching, Command.PROMOTE, at(1), by="ada", reason="").rollout
    with pytest.raises(NotAllowed, match="it is decided already, by ada, and waits for replicas"):
        command(asked, Command.PROMOTE, at(1), by="bob", reason="")
    back = command(asked, Command.ABORT, at(1), by="bob", reason="").rollout
    assert (back.phase, back.split()) == (Phase.ROLLING_BACK, {1: 100})
    paused = command(asked, Command.PAUSE, at(1), by="bob", reason="").rollout
    assert command(paused, Command.PROMOTE, at(2), by="bob", reason="").rollout.asked_by == "bob"


def test_a_wish_for_more_that_gets_no_replicas_is_paused_and_what_serves_goes_on() -> None:
    watching = rollout(Step(50, 30.0), Step(100, 30.0), phase=Phase.ANALYZING)
    asked = command(watching, Command.PROMOTE, at(1), by="ada", reason="").rollout
    late = at(2 + watching.plan.ready_within_seconds)
    paused = advance(asked, seen(asked, candidate_ready=1), late).rollout
    assert (paused.phase, paused.resume_to, paused.weight) == (Phase.PAUSED, Phase.SCALING, 50)
    assert "ready" in paused.reason


def test_who_asked_is_known_after_a_pause_and_not_blamed_for_a_rollback() -> None:
    watching = rollout(HALF, ALL, phase=Phase.ANALYZING, stable_kept=1)
    asked = command(watching, Command.PROMOTE, at(1), by="ada", reason="").rollout
    paused = command(asked, Command.PAUSE, at(2), by="bob", reason="").rollout
    again = command(paused, Command.RESUME, at(3), by="bob", reason="").rollout
    done = advance(again, seen(again), at(4)).transition
    assert done is not None
    assert done.by == "ada"
    back = advance(again, seen(again, verdict=FAIL), at(4))
    assert back.transition is not None
    assert (back.transition.by, back.rollout.asked_by) == (None, None)


def test_a_pause_while_replicas_start_keeps_the_split_of_the_step_before() -> None:
    scaling = rollout(HALF, ALL, phase=Phase.SCALING, scaling_to=1, stable_kept=1)
    paused = command(scaling, Command.PAUSE, at(1), by="ada", reason="").rollout
    assert paused.weight == 50
    assert command(paused, Command.RESUME, at(2), by="ada", reason="").rollout.phase is Phase.SCALING


@pytest.mark.parametrize(
    "steps",
    [
        (Step(50, 1.0), Step(5, 1.0)),
        (Step(50, 1.0, replicas=2), Step(60, 1.0, replicas=1)),
        (Step(50, 1.0, replicas=3),),
        (Step(50, 1.0, stable_replicas=0),),
        (Step(50, 1.0, stable_replicas=1), Step(100, 1.0, stable_replicas=2)),
    ],
)
def test_plans_that_would_take_capacity_from_users_are_refused(steps: tuple[Step, ...]) -> None:
    with pytest.raises(ValueError, match=r"must not|keeps a replica"):
        rollout(*steps, phase=Phase.PREPARING)


@pytest.mark.parametrize(("weight", "mirror"), [(0.005, 0), (101, 0), (-1, 0), (0, 100.5), (5, 5)])
def test_shares_that_no_gateway_can_set_are_refused(weight: float, mirror: float) -> None:
    with pytest.raises(ValueError, match=r"two decimals|serves nobody"):
        Step(weight, 1.0, mirror=mirror)


def test_states_that_were_stored_with_pairs_for_steps_can_be_read() -> None:
    stored = rollout(Step(50, 30.0), Step(100, 30.0), phase=Phase.ANALYZING).for_storage()
    stored["plan"]["steps"] = [[50, 30.0], [100, 30.0]]
    del stored["stable_kept"], stored["held_weight"], stored["scaling_to"]
    assert Rollout.from_storage(stored).plan.steps == (Step(50, 30.0), Step(100, 30.0))


def test_copies_are_held_against_the_share_that_was_asked_for() -> None:
    assert check_mirror(20, 3, 20) is SplitCheck.UNKNOWN
    assert check_mirror(20, 205, 1000) is SplitCheck.CONFIRMED
    assert check_mirror(20, 500, 1000) is SplitCheck.CONTRADICTED
    assert check_mirror(100, 1000, 1000) is SplitCheck.CONFIRMED


def test_a_warning_waits_for_a_person_who_leads_on_to_the_next_step() -> None:
    watching = rollout(Step(50, 30.0), Step(100, 30.0), phase=Phase.ANALYZING)
    warned = seen(watching, verdict=Verdict("warning", "latency is worse"))
    waiting = advance(watching, warned, at(3)).rollout
    assert (waiting.phase, waiting.reason) == (Phase.PAUSED, "a warning: latency is worse")
    on = command(waiting, Command.RESUME, at(4), by="ada", reason="known").rollout
    assert (on.phase, on.weight) == (Phase.SCALING, 50)
    shifted = advance(on, seen(on, verdict=WARNING), at(4)).rollout
    assert (shifted.phase, shifted.step) == (Phase.SHIFTING, 1)


def test_a_warning_may_be_passed_over_when_the_plan_says_so() -> None:
    watching = rollout(Step(50, 30.0), Step(100, 30.0), phase=Phase.ANALYZING)
    watching = watching.evolve(plan=replace(watching.plan, on_warning="continue"))
    moved = advance(watching, seen(watching, verdict=Verdict("warning", "latency is worse")), at(3)).rollout
    assert (moved.phase, moved.step) == (Phase.SHIFTING, 1)
