"""A/B tests with several challengers: an arm that does harm goes alone, and a person ends the test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.rollout import (
    Advance,
    Arm,
    ArmSeen,
    Checked,
    ClockSetting,
    Command,
    EnsureReplicas,
    NotAllowed,
    Observation,
    Phase,
    Plan,
    ReasonMissing,
    RemoveReplicas,
    Rollout,
    SplitCheck,
    Verdict,
    advance,
    check_shares,
    command,
    reweigh,
    strategies,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STABLE, B, C, D = 1, 2, 3, 4
ARMS = (Arm(B, 20, "b"), Arm(C, 20, "c"), Arm(D, 10, "d"))
READY = ArmSeen(2, 0, None)
HARM = Verdict("fail", "errors: 9 of 40 failed")

PLAN = Plan(
    candidate=B,
    stable=STABLE,
    steps=strategies.ab_test(50),
    replicas=2,
    stable_replicas=2,
    baseline_seconds=0.0,
    ready_within_seconds=60.0,
    unready_seconds=5.0,
    max_restarts=3,
    on_inconclusive="pause",
    arms=ARMS,
)


def seen(rollout: Rollout, **arms: ArmSeen) -> Observation:
    """All is well, the split is as asked, and the arms are ready unless they are named."""
    by_revision = {arm.revision: arms.get(arm.name, READY) for arm in ARMS}
    return Observation(2, 2, 0, rollout.split(), SplitCheck.UNKNOWN, None, arms=by_revision)


def after(rollout: Rollout, seconds: float = 0.0, /, **arms: ArmSeen) -> Advance:
    return advance(rollout, seen(rollout, **arms), NOW + timedelta(seconds=seconds))


def running() -> Rollout:
    rollout = Rollout.begin(PLAN, NOW)
    for _ in range(3):
        rollout = after(rollout).rollout
    return rollout


def test_every_arm_gets_its_share_when_all_are_ready() -> None:
    waiting = after(Rollout.begin(PLAN, NOW), c=replace(READY, ready=1)).rollout
    assert (waiting.phase, waiting.split()) == (Phase.PREPARING, {STABLE: 100})
    rollout = running()
    assert (rollout.phase, rollout.waits_at_step) == (Phase.PAUSED, True)
    assert rollout.split() == {STABLE: 50, B: 20, C: 20, D: 10}
    assert "20 % of the users get b" in rollout.reason


def test_an_arm_that_does_harm_goes_alone_and_its_users_go_to_stable() -> None:
    out = after(running(), c=replace(READY, verdict=HARM))
    assert out.rollout.phase is Phase.SHIFTING
    assert out.rollout.split() == {STABLE: 70, B: 20, D: 10}
    assert out.rollout.gone == {"c": HARM.reason}
    assert out.transition is not None
    assert "arm c is out: errors: 9 of 40 failed" in out.transition.reason
    # Its replicas answer until the split without it is in force.
    assert out.rollout.leaving == (C,)
    assert RemoveReplicas(C) not in out.actions
    assert EnsureReplicas(C, 2) not in out.actions
    back = after(out.rollout)
    assert (back.rollout.phase, back.rollout.waits_at_step, back.rollout.leaving) == (Phase.PAUSED, True, ())
    assert RemoveReplicas(C) in back.actions


def test_the_first_arm_may_go_like_any_other() -> None:
    rollout = after(running(), b=replace(READY, verdict=HARM)).rollout
    assert (rollout.plan.candidate, rollout.on_trial) == (C, (C, D))


def test_an_arm_whose_replicas_keep_dying_or_never_come_is_out_and_the_test_goes_on() -> None:
    died = after(running(), d=replace(READY, restarts=4)).rollout
    assert "died 4 times" in died.gone["d"]
    rollout = Rollout.begin(PLAN, NOW)
    late = after(rollout, 61.0, c=replace(READY, ready=0))
    assert late.rollout.phase is Phase.PREPARING
    assert late.rollout.gone == {"c": "0 of 2 replicas were ready after 60 s"}
    assert late.transition is not None
    assert after(late.rollout).rollout.phase is Phase.BASELINE


def test_an_arm_that_lost_a_replica_before_the_first_split_is_waited_for_and_then_goes_alone() -> None:
    rollout = after(Rollout.begin(PLAN, NOW)).rollout
    short = {"c": replace(READY, ready=1)}
    waiting = after(rollout, **short).rollout
    assert (waiting.phase, waiting.split()) == (Phase.SCALING, {STABLE: 100})
    assert after(waiting, 59.0, **short).rollout.phase is Phase.SCALING
    out = after(waiting, 61.0, **short).rollout
    assert set(out.gone) == {"c"}
    assert after(out, 61.0).rollout.split() == {STABLE: 70, B: 20, D: 10}


def test_an_arm_that_fails_its_golden_requests_never_meets_a_user() -> None:
    failed = replace(READY, checks=Checked(passed=False, reason="2 of 5 golden requests failed"))
    rollout = after(Rollout.begin(PLAN, NOW), b=failed).rollout
    assert rollout.gone == {"b": "2 of 5 golden requests failed"}
    assert rollout.on_trial == (C, D)


def test_when_all_challengers_are_out_the_test_is_rolled_back() -> None:
    bad = replace(READY, verdict=HARM)
    at_once = after(running(), b=bad, c=bad, d=bad).rollout
    assert (at_once.phase, at_once.split()) == (Phase.ROLLING_BACK, {STABLE: 100})
    assert set(at_once.gone) == {"b", "c", "d"}
    rollout = running()
    for arm in ("b", "d", "c"):
        rollout = after(after(rollout, **{arm: bad}).rollout).rollout
    assert rollout.phase is Phase.ROLLED_BACK
    removed = {action.revision for action in after(rollout).actions if isinstance(action, RemoveReplicas)}
    assert removed == {B, C, D}


def test_a_person_promotes_one_arm_and_nobody_loses_a_replica_before_the_split_is_in_force() -> None:
    chosen = command(running(), Command.PROMOTE, NOW, by="ada", reason="sells more", arm="c")
    waiting = chosen.rollout
    assert (waiting.phase, waiting.plan.candidate, waiting.split()) == (Phase.SCALING, C, {STABLE: 80, C: 20})
    assert after(waiting, c=replace(READY, ready=1)).transition is None
    with pytest.raises(NotAllowed, match="decided already, by ada"):
        command(waiting, Command.PROMOTE, NOW, by="bob", reason="", arm="b")
    with pytest.raises(NotAllowed, match="decided already, by ada"):
        reweigh(waiting, {"c": 30}, NOW, by="bob", reason="")
    moved = after(waiting, b=replace(READY, ready=0))
    rollout = moved.rollout
    assert (rollout.phase, rollout.plan.candidate, rollout.split()) == (Phase.PROMOTING, C, {C: 100})
    assert rollout.reason == "ada asked to promote arm c: sells more"
    for one in (chosen, moved):
        assert not any(isinstance(action, RemoveReplicas) for action in one.actions)
    done = after(rollout)
    assert done.rollout.phase is Phase.PROMOTED
    assert {action.revision for action in done.actions if isinstance(action, RemoveReplicas)} == {STABLE, B, D}


@pytest.mark.parametrize("asked", [Command.PROMOTE, Command.RESUME])
def test_a_person_has_to_say_which_of_several_arms(asked: Command) -> None:
    with pytest.raises(NotAllowed, match="say which arm: b, c, d"):
        command(running(), asked, NOW, by="ada", reason="")


def test_an_arm_that_is_out_cannot_be_promoted() -> None:
    rollout = after(running(), c=replace(READY, verdict=HARM)).rollout
    with pytest.raises(NotAllowed, match="arm c is out: errors: 9 of 40 failed"):
        command(rollout, Command.PROMOTE, NOW, by="ada", reason="", arm="c")
    with pytest.raises(NotAllowed, match="there is no arm z"):
        command(rollout, Command.PROMOTE, NOW, by="ada", reason="", arm="z")


def test_weights_change_while_the_test_runs_and_stable_gets_the_rest() -> None:
    asked = reweigh(running(), {"b": 30, "d": 0.5}, NOW, by="ada", reason="b looks good").rollout
    assert (asked.phase, asked.split()) == (Phase.SCALING, {STABLE: 50, B: 20, C: 20, D: 10})
    moved = after(asked)
    assert moved.rollout.split() == {STABLE: 49.5, B: 30, C: 20, D: 0.5}
    assert moved.rollout.reason == "ada set the weights: b 30 %, d 0.5 %: b looks good"
    assert moved.transition is not None
    assert moved.transition.by == "ada"
    assert after(moved.rollout).rollout.waits_at_step


def test_weights_that_only_fall_are_in_force_at_once() -> None:
    moved = reweigh(running(), {"b": 10}, NOW, by="ada", reason="").rollout
    assert (moved.phase, moved.split()) == (Phase.SHIFTING, {STABLE: 60, B: 10, C: 20, D: 10})


def test_a_weight_rises_only_onto_replicas_that_are_all_ready_and_the_other_arms_are_not_waited_for() -> None:
    asked = reweigh(running(), {"b": 30}, NOW, by="ada", reason="").rollout
    short = after(asked, 30.0, b=replace(READY, ready=1)).rollout
    assert (short.phase, short.split()) == (Phase.SCALING, {STABLE: 50, B: 20, C: 20, D: 10})
    full = after(asked, 30.0, c=replace(READY, ready=1)).rollout
    assert (full.phase, full.split()) == (Phase.SHIFTING, {STABLE: 40, B: 30, C: 20, D: 10})


def test_an_arm_whose_replicas_do_not_come_for_its_weight_goes_alone_and_the_others_get_theirs() -> None:
    asked = reweigh(running(), {"b": 30, "c": 10, "d": 20}, NOW, by="ada", reason="").rollout
    short = {"b": replace(READY, ready=1)}
    out = after(asked, 61.0, **short).rollout
    assert (out.phase, set(out.gone), out.split()) == (Phase.SCALING, {"b"}, {STABLE: 70, C: 20, D: 10})
    assert after(out, 61.0).rollout.split() == {STABLE: 70, C: 10, D: 20}


def test_an_arm_that_does_harm_while_it_was_to_gain_leaves_nothing_to_wait_for() -> None:
    asked = reweigh(running(), {"b": 30, "c": 10}, NOW, by="ada", reason="").rollout
    out = after(asked, b=replace(READY, verdict=HARM))
    assert (out.rollout.phase, out.rollout.split()) == (Phase.SHIFTING, {STABLE: 80, C: 10, D: 10})
    assert out.transition is not None
    assert out.transition.by is None


def test_a_pause_holds_weights_that_are_to_rise_and_later_ones_take_their_place() -> None:
    asked = reweigh(running(), {"b": 30}, NOW, by="ada", reason="").rollout
    paused = command(asked, Command.PAUSE, NOW, by="ada", reason="").rollout
    held = after(paused, c=replace(READY, verdict=HARM)).rollout
    assert (held.phase, held.split()) == (Phase.PAUSED, {STABLE: 70, B: 20, D: 10})
    on = command(held, Command.RESUME, NOW, by="ada", reason="").rollout
    assert after(on).rollout.split() == {STABLE: 60, B: 30, D: 10}
    other = reweigh(held, {"d": 30}, NOW, by="ada", reason="").rollout
    assert after(other).rollout.split() == {STABLE: 40, B: 30, D: 30}
    lower = reweigh(held, {"b": 5}, NOW, by="ada", reason="").rollout
    assert (lower.phase, lower.split()) == (Phase.SHIFTING, {STABLE: 85, B: 5, D: 10})
    assert after(lower).rollout.waits_at_step


def demanding(rollout: Rollout) -> Rollout:
    return rollout.evolve(plan=replace(rollout.plan, reason_required=True))


@pytest.mark.parametrize("weights", [{"b": 21}, {"b": 30, "c": 5}, {"d": 10.01, "c": 0}])
def test_weights_that_give_an_arm_more_take_a_reason_where_the_plan_demands_it(weights: dict[str, float]) -> None:
    rollout = demanding(running())
    with pytest.raises(ReasonMissing):
        reweigh(rollout, weights, NOW, by="ada", reason=" ")
    assert reweigh(rollout, weights, NOW, by="ada", reason="b looks good").rollout != rollout
    assert reweigh(running(), weights, NOW, by="ada", reason="").rollout != running()


@pytest.mark.parametrize("weights", [{"b": 20}, {"b": 10, "c": 5}, {"c": 0}])
def test_weights_that_give_no_arm_more_take_no_reason(weights: dict[str, float]) -> None:
    asked = reweigh(demanding(running()), weights, NOW, by="ada", reason="")
    assert asked.rollout.phase is Phase.SHIFTING


@pytest.mark.parametrize("asked", [Command.PROMOTE, Command.RESUME])
def test_to_choose_an_arm_takes_a_reason_where_the_plan_demands_it(asked: Command) -> None:
    rollout = demanding(running())
    with pytest.raises(ReasonMissing):
        command(rollout, asked, NOW, by="ada", reason="", arm="c")
    assert command(rollout, asked, NOW, by="ada", reason="the best", arm="c").rollout.plan.candidate == C


def test_more_than_what_an_arm_is_on_its_way_to_takes_a_reason_and_what_it_has_now_takes_none() -> None:
    rising = demanding(reweigh(running(), {"b": 40}, NOW, by="ada", reason="").rollout)
    with pytest.raises(ReasonMissing):
        reweigh(rising, {"b": 30}, NOW, by="bob", reason="")
    assert reweigh(rising, {"b": 20}, NOW, by="bob", reason="").rollout.phase is Phase.SHIFTING
    falling = demanding(reweigh(running(), {"b": 10, "c": 30}, NOW, by="ada", reason="").rollout)
    with pytest.raises(ReasonMissing):
        reweigh(falling, {"b": 20}, NOW, by="bob", reason="")


def test_weights_that_end_the_pause_of_an_arm_on_its_way_to_more_take_a_reason() -> None:
    rising = reweigh(running(), {"b": 40}, NOW, by="ada", reason="").rollout
    held = demanding(command(rising, Command.PAUSE, NOW, by="bob", reason="").rollout)
    with pytest.raises(ReasonMissing):
        reweigh(held, {"c": 10}, NOW, by="carl", reason="")
    assert reweigh(held, {"b": 20, "c": 10}, NOW, by="carl", reason="").rollout.phase is Phase.SHIFTING
    assert reweigh(demanding(rising), {"c": 10}, NOW, by="carl", reason="").rollout.phase is Phase.SCALING


def test_a_weight_of_zero_takes_an_arm_out() -> None:
    rollout = reweigh(running(), {"c": 0, "b": 70}, NOW, by="ada", reason="").rollout
    assert rollout.split() == {STABLE: 70, B: 20, D: 10}
    assert after(rollout).rollout.split() == {STABLE: 20, B: 70, D: 10}
    assert rollout.gone == {"c": "ada set its weight to 0"}


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"z": 10.0}, "there is no arm z"),
        ({"b": 90.0}, "at most 100 together"),
        ({"b": -1.0}, "above 0"),
        ({"b": 0.001}, "two decimals"),
        ({"b": 0.0, "c": 0.0, "d": 0.0}, "to end the test, abort it"),
    ],
)
def test_weights_that_cannot_be_change_nothing(weights: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        reweigh(running(), weights, NOW, by="ada", reason="")


def test_the_weights_of_another_strategy_are_its_steps() -> None:
    canary = Rollout.begin(replace(PLAN, arms=()), NOW)
    with pytest.raises(NotAllowed, match="only those of an A/B test"):
        reweigh(canary, {"b": 10}, NOW, by="ada", reason="")


def test_the_shares_of_several_arms_are_each_held_to_their_weight() -> None:
    asked = {STABLE: 60, B: 20, C: 19.5, D: 0.5}
    assert check_shares(asked, {STABLE: 20}) is SplitCheck.UNKNOWN
    assert check_shares(asked, {STABLE: 6003, B: 1990, C: 1960, D: 47}) is SplitCheck.CONFIRMED
    assert check_shares(asked, {STABLE: 6000, B: 1500, C: 2450, D: 50}) is SplitCheck.CONTRADICTED
    assert check_shares(asked, {STABLE: 5900, B: 2000, C: 1950, 9: 150}) is SplitCheck.CONTRADICTED


def test_times_of_arms_move_with_the_clock() -> None:
    down = running().evolve(arms=(replace(ARMS[0], unready_since=NOW), *ARMS[1:]))
    before = down.on_clock(ClockSetting("boot", 1000.0))
    moved = before.on_clock(ClockSetting("boot", 4600.0))
    assert moved.arms[0].unready_since == NOW + timedelta(hours=1)


def test_arms_that_cannot_be_tried_together_are_refused() -> None:
    with pytest.raises(ValueError, match="a revision of its own"):
        replace(PLAN, arms=(Arm(B, 20, "b"), Arm(B, 20, "c")))
    with pytest.raises(ValueError, match="stable is none"):
        replace(PLAN, arms=(Arm(B, 20, "b"), Arm(STABLE, 20, "c")))
