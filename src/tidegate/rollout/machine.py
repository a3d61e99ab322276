"""The state machine of a rollout.

```
 preparing ─► baseline ─► shifting ─► analyzing ─► (scaling or shifting, next step) … ─► promoting ─► promoted
     │            │           │  ▲        │  ▲
     │            └─────┬─────┘  └─ paused ◄─┘ (a person, a warning, no verdict, a split that is not what was asked)
     ▼                  ▼             ▼
     └────────────► rolling_back ─► rolled_back | aborted | failed
```

Traffic moves only onto replicas that are ready: a step that brings the candidate more of it waits in `scaling` for all
that it asks for, and so does what a person asks for, as nobody looks at replicas between two ticks. Stable gives up
replicas only after the split that does without them is in force, and a rollback to a stable that gave some up moves as
much as those that are ready can take, and the rest as they come.

An A/B test with several challengers takes the same edges (`arms`): harm takes out the arm that does it, and the last
one out rolls the test back.

`advance` takes at most one edge. Its actions are those that the *resulting* state needs, all of them, every time: a
controller that crashed between two of them performs them again, and the world ends up as the state says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.rollout import arms
from tidegate.rollout.records import (
    Action,
    Arm,
    Command,
    EnsureReplicas,
    Observation,
    Phase,
    RemoveReplicas,
    Rollout,
    SplitCheck,
    Transition,
    Verdict,
    hundredths,
)


class NotAllowed(Exception):  # noqa: N818  (named for what the caller is told)
    """The command makes no sense in the phase that the rollout is in; nothing was changed."""

    def __init__(self, asked: str, phase: Phase, why: str) -> None:
        super().__init__(f"cannot {asked} a rollout that is {phase}: {why}")
        self.asked = asked
        self.phase = phase


class ReasonMissing(Exception):  # noqa: N818  (as above)
    """The plan demands a reason for what was asked, and none was given; nothing was changed."""


@dataclass(frozen=True)
class Advance:
    """What one step of the machine gave. `transition` is None when the phase stays."""

    rollout: Rollout
    actions: tuple[Action, ...]
    transition: Transition | None


#: How long a step that ends by time waits for a look that can measure, before it counts as one that could not be.
UNMEASURED_SECONDS = 10.0


def advance(rollout: Rollout, seen: Observation, now: datetime) -> Advance:
    """Take the edge that the observation calls for, if any, and return the actions that the new state needs."""
    if rollout.is_terminal:
        return Advance(rollout, actions(rollout), None)
    in_step = rollout.arms and rollout.phase is not Phase.ROLLING_BACK
    noted, moved = arms.together(rollout, seen, now, _alone) if in_step else _alone(rollout, seen, now)
    went_on = moved.phase in (Phase.SHIFTING, Phase.PROMOTING) and moved.on_trial == noted.on_trial
    return Advance(moved, actions(moved), _transition(noted, moved, noted.asked_by if went_on else None))


def _alone(rollout: Rollout, seen: Observation, now: datetime) -> tuple[Rollout, Rollout]:
    """Return the state with what the look noted, and the state that follows."""
    noted = _note(rollout, seen, now)
    return noted, _as_far_as_allowed(noted, _HANDLERS[noted.phase](noted, seen, now), seen, now)


def command(
    rollout: Rollout, asked: Command, now: datetime, *, by: str, reason: str, arm: str | None = None
) -> Advance:
    """Do what a person asks.

    Args:
        by: who asks, for the record.
        reason: why, for the record; may be blank where the plan demands none.
        arm: name of the challenger to promote; None where there is one.

    Raises:
        NotAllowed: the phase does not permit it.
        ReasonMissing: the phase permits it, and the plan demands a reason.
    """
    what = f"{asked} arm {arm}" if arm is not None else asked.value
    note = f"{by} asked to {what}" + (f": {reason}" if reason else "")
    of = rollout
    if asked is Command.PROMOTE or (asked is Command.RESUME and rollout.waits_at_step and len(rollout.arms) > 1):
        of = _chosen(rollout, asked, arm)
    elif arm is not None:
        raise NotAllowed(asked, rollout.phase, f"to {asked} concerns all arms")
    moved = _COMMANDS[asked](of, note, now, by)
    if asked in _GO_ON:
        _refuse_unexplained(rollout, reason)
    return Advance(moved, actions(moved), _transition(rollout, moved, by))


def reweigh(rollout: Rollout, weights: Mapping[str, float], now: datetime, *, by: str, reason: str) -> Advance:
    """Give the arms of an A/B test other weights, as a person asks; an arm with 0 is taken out.

    Args:
        weights: percent by the name of an arm; those that are not named keep theirs, and stable gets the rest.

    Raises:
        NotAllowed: there is no such test, or it is decided.
        ValueError: there is no such arm, or the weights cannot be.
        ReasonMissing: an arm would get more users, and the plan demands a reason.
    """
    asked = "set the weights of"
    if not rollout.arms:
        raise NotAllowed(asked, rollout.phase, "only those of an A/B test can be set")
    _refuse_promoted(rollout, asked, also_paused=True)
    listed = ", ".join(f"{name} {weight:g} %" for name, weight in weights.items())
    note = f"{by} set the weights: {listed}" + (f": {reason}" if reason else "")
    moved = arms.reweighed(rollout, weights, by, note, now)
    # Weights end a pause, and with it that of an arm which was on its way to more.
    goes_on = rollout.phase is Phase.PAUSED and moved.phase is Phase.SCALING
    if goes_on or arms.gives_more(rollout, weights):
        _refuse_unexplained(rollout, reason)
    return Advance(moved, actions(moved), _transition(rollout, moved, by))


def _refuse_unexplained(rollout: Rollout, reason: str) -> None:
    if rollout.plan.reason_required and not reason.strip():
        raise ReasonMissing


def _chosen(rollout: Rollout, asked: Command, name: str | None) -> Rollout:
    """Return the state in which the arm of that name is the candidate, and the only one."""
    _refuse_promoted(rollout, asked)
    names = [arm.name for arm in rollout.arms]
    if name is None:
        if len(names) > 1:
            raise NotAllowed(asked, rollout.phase, f"say which arm: {', '.join(names)}")
        return rollout
    found: Arm | None = next((arm for arm in rollout.arms if arm.name == name), None)
    if found is None:
        why = f"arm {name} is out: {rollout.gone[name]}" if name in rollout.gone else f"there is no arm {name}"
        raise NotAllowed(asked, rollout.phase, f"{why}; those that are in: {', '.join(names) or 'none'}")
    return arms.chosen(rollout, found)


def actions(rollout: Rollout) -> tuple[Action, ...]:
    """Return all that the world needs to agree with the state, in the order in which it is safe to do.

    Replicas come before traffic; a revision's replicas go only in a state in which it has no traffic and which was
    reached through a confirmed split.
    """
    plan = rollout.plan
    wanted: list[Action] = []
    if plan.stable is not None and rollout.phase is not Phase.PROMOTED:
        wanted.append(EnsureReplicas(plan.stable, rollout.stable_replicas))
    if rollout.phase in (Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED):
        tried = (*rollout.on_trial, *rollout.leaving, *rollout.left)
        return (*wanted, rollout.traffic(), *map(RemoveReplicas, tried))
    if rollout.phase is Phase.ROLLING_BACK:
        if rollout.held_weight:
            wanted.append(EnsureReplicas(plan.candidate, rollout.replicas))
        return (*wanted, rollout.traffic(), *map(RemoveReplicas, rollout.left))
    wanted += [EnsureReplicas(revision, rollout.replicas) for revision in rollout.on_trial]
    wanted.append(rollout.traffic())
    if rollout.phase is Phase.PROMOTED and plan.stable is not None:
        wanted += [RemoveReplicas(revision) for revision in (plan.stable, *rollout.leaving)]
    wanted += [RemoveReplicas(revision) for revision in rollout.left]
    return tuple(wanted)


def _as_far_as_allowed(before: Rollout, after: Rollout, seen: Observation, now: datetime) -> Rollout:
    """Return `after`, unless the edge to it is held back or the candidate was refused.

    A way back is never held, nor is what a person asked for.
    """
    if before.phase in _DECIDED or after.phase is Phase.ROLLING_BACK:
        return after
    if seen.refused is not None:
        return _roll_back(before, seen.refused, now)
    forward = after.phase is Phase.PROMOTING or after.step > before.step
    return before if seen.held is not None and forward and before.asked_by is None else after


def _note(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    """Keep what later decisions need to remember."""
    if rollout.restarts_before is None:
        rollout = rollout.evolve(restarts_before=seen.candidate_restarts)
    # Where stable has no ready replica either (the machine was restarted), there is nothing better to go back to.
    all_down = rollout.plan.stable is not None and seen.stable_ready == 0 and rollout.stable_replicas > 0
    if seen.candidate_ready > 0 or rollout.weight == 0 or all_down:
        return rollout if rollout.unready_since is None else rollout.evolve(unready_since=None)
    return rollout if rollout.unready_since is not None else rollout.evolve(unready_since=now)


def _transition(before: Rollout, after: Rollout, by: str | None) -> Transition | None:
    is_same_test = [arm.revision for arm in before.arms] == [arm.revision for arm in after.arms]
    if before.phase is after.phase and before.step == after.step and is_same_test:
        return None
    return Transition(before.phase, after.phase, after.phase_since, after.reason, by)


def _enter(
    rollout: Rollout, phase: Phase, reason: str, now: datetime, *, asked_by: str | None = None, **changes: object
) -> Rollout:
    return rollout.evolve(phase=phase, phase_since=now, reason=reason, asked_by=asked_by, **changes)


def _elapsed(rollout: Rollout, now: datetime) -> float:
    """Seconds in this phase; a clock that was set back counts as no time, never as negative time."""
    return max(0.0, (now - rollout.phase_since) / timedelta(seconds=1))


def _roll_back(rollout: Rollout, reason: str, now: datetime, end: Phase | None = None) -> Rollout:
    if end is None:
        end = Phase.ROLLED_BACK if rollout.plan.stable is not None else Phase.FAILED
    # Stable with all its replicas takes everything at once; what it can take with fewer is for the next look to say.
    held = rollout.weight if rollout.stable_kept is not None else 0
    return _enter(rollout, Phase.ROLLING_BACK, reason, now, end=end, resume_to=None, scaling_to=None, held_weight=held)


def _in_force(rollout: Rollout, seen: Observation) -> bool:
    """Say whether the gateway confirms all of the traffic that the state asks for."""
    return seen.split is not None and dict(seen.split) == rollout.split() and seen.mirror == rollout.mirror


def _broken(rollout: Rollout, seen: Observation, now: datetime) -> str | None:
    """Return why the candidate cannot stay whatever the judge says, or None."""
    plan = rollout.plan
    deaths = seen.candidate_restarts - (rollout.restarts_before or 0)
    if deaths > plan.max_restarts:
        told = f"the candidate's replicas died {deaths} times, more than the {plan.max_restarts} that are tolerated"
        return f"{told} ({seen.unwell})" if seen.unwell else told
    # Nobody holds up a return to a revision that was stable.
    if seen.critical is not None and (plan.steps or plan.stable is None):
        return seen.critical
    if rollout.unready_since is not None:
        down = (now - rollout.unready_since) / timedelta(seconds=1)
        if down >= plan.unready_seconds:
            told = f"no replica of the candidate was ready for {down:.1f} s while it carried traffic"
            return f"{told} ({seen.unwell})" if seen.unwell else told
    return None


def _preparing(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    plan = rollout.plan
    if reason := _broken(rollout, seen, now):
        return _roll_back(rollout, reason, now)
    checks = seen.checks
    if checks is not None and not checks.passed:
        return _roll_back(rollout, checks.reason, now)
    if seen.candidate_ready >= rollout.replicas and checks is None:
        # As much time again as the replicas had: this is for checks that cannot be made, not for slow ones.
        if _elapsed(rollout, now) >= 2 * plan.ready_within_seconds:
            return _roll_back(rollout, "the checks before traffic could not be made in time", now)
        return rollout
    if seen.candidate_ready >= rollout.replicas:
        if not plan.steps:
            return _enter(rollout, Phase.PROMOTING, "the replicas are ready", now)
        return _enter(rollout, Phase.BASELINE, "the replicas are ready; measuring stable", now)
    if _elapsed(rollout, now) >= plan.ready_within_seconds:
        return _roll_back(rollout, _not_ready(rollout, seen), now)
    return rollout


def _not_ready(rollout: Rollout, seen: Observation) -> str:
    found = f"{seen.candidate_ready} of {rollout.replicas} replicas were ready"
    told = f"{found} after {rollout.plan.ready_within_seconds:g} s"
    return f"{told} ({seen.unwell})" if seen.unwell else told


def _baseline(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    if reason := _broken(rollout, seen, now):
        return _roll_back(rollout, reason, now)
    if _elapsed(rollout, now) < rollout.plan.baseline_seconds:
        return rollout
    return _next_step(rollout, "baseline captured", now, seen.candidate_ready)


def _next_step(rollout: Rollout, reason: str, now: datetime, ready: int | None, asked_by: str | None = None) -> Rollout:
    """Go to the next step, after the replicas for it where some are missing.

    Args:
        ready: how many of the candidate's replicas are; None where nobody looked, and more traffic waits for a look.
        asked_by: who asked for it; None: nobody did.
    """
    step = rollout.step + 1
    if step >= len(rollout.plan.steps):
        return _promote(rollout, reason, now, ready, asked_by)
    following = _enter(rollout, Phase.SHIFTING, reason, now, step=step, resume_to=None)
    gets_more = following.weight > rollout.weight or following.mirror > rollout.mirror
    is_short = gets_more and (ready is None or ready < following.replicas)
    if following.replicas > rollout.replicas or is_short:
        return _enter(rollout, Phase.SCALING, reason, now, scaling_to=step, resume_to=None, asked_by=asked_by)
    return following


def _promote(rollout: Rollout, reason: str, now: datetime, ready: int | None, asked_by: str | None = None) -> Rollout:
    """Go to 100 %, after the replicas for it where there are fewer, or fewer are ready for more than they get now."""
    is_short = rollout.weight < 100 and (ready is None or ready < rollout.plan.replicas)
    if rollout.scaling_to is not None or rollout.replicas < rollout.plan.replicas or is_short:
        last = len(rollout.plan.steps)
        return _enter(rollout, Phase.SCALING, reason, now, scaling_to=last, resume_to=None, asked_by=asked_by)
    return _enter(rollout, Phase.PROMOTING, reason, now, resume_to=None)


def _scaling(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    if reason := _harmful(rollout, seen, now):
        return _roll_back(rollout, reason, now)
    if seen.candidate_ready >= rollout.replicas or not arms.needs_replicas(rollout):
        step = len(rollout.plan.steps) if rollout.scaling_to is None else rollout.scaling_to
        if step >= len(rollout.plan.steps):
            return _enter(rollout, Phase.PROMOTING, rollout.reason, now, scaling_to=None)
        return _enter(rollout, Phase.SHIFTING, rollout.reason, now, step=step, scaling_to=None)
    if _elapsed(rollout, now) >= rollout.plan.ready_within_seconds:
        if rollout.asked_by is not None and rollout.weight and not rollout.arms:
            # What it has already it serves well: a wish for more is no reason to take it back.
            return _pause(rollout, _not_ready(rollout, seen), now)
        return _roll_back(rollout, _not_ready(rollout, seen), now)
    return rollout


def _shifting(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    if reason := _harmful(rollout, seen, now):
        return _roll_back(rollout, reason, now)
    if not _in_force(rollout, seen):
        return rollout
    rollout = rollout.evolve(leaving=())
    step = rollout.plan.steps[rollout.step]
    # Only now may stable do without the replicas that the split before still needed.
    kept = rollout.stable_kept if step.stable_replicas is None else step.stable_replicas
    if step.until == "person":
        reason = f"{_where(rollout)}; this step waits for a person"
        return _enter(rollout, Phase.PAUSED, reason, now, resume_to=None, stable_kept=kept)
    return _enter(rollout, Phase.ANALYZING, _where(rollout), now, stable_kept=kept)


def _where(rollout: Rollout) -> str:
    if rollout.mirror:
        return f"{rollout.mirror:g} % of requests are copied to the candidate"
    if rollout.arms:
        return ", ".join(f"{arm.weight:g} % of the users get {arm.name}" for arm in rollout.arms)
    return f"{rollout.weight:g} % of requests go to the candidate"


def _harmful(rollout: Rollout, seen: Observation, now: datetime) -> str | None:
    if reason := _broken(rollout, seen, now):
        return reason
    if seen.verdict is not None and seen.verdict.outcome == "fail":
        return seen.verdict.reason
    return None


def _analyzing(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    if reason := _harmful(rollout, seen, now):
        return _roll_back(rollout, reason, now)
    verdict, step = seen.verdict, rollout.plan.steps[rollout.step]
    is_over = _elapsed(rollout, now) >= step.duration_seconds
    if is_over and seen.split_check is SplitCheck.CONTRADICTED:
        asked = rollout.mirror or rollout.weight
        reason = f"the requests counted by the gateway do not agree with the {asked:g} % that were asked for"
        return _pause(rollout, reason, now)
    if verdict is not None and verdict.outcome in ("pass", "warning"):
        is_due = is_over if step.until == "time" else seen.split_check is SplitCheck.CONFIRMED
        if is_due:
            return _passed(rollout, verdict, now, seen.candidate_ready)
    if not is_over:
        return rollout
    if step.until == "time":
        if _may_go_by_time(rollout, verdict):
            return _next_step(rollout, _time_passed(rollout, verdict), now, seen.candidate_ready)
        if _elapsed(rollout, now) < step.duration_seconds + UNMEASURED_SECONDS:
            return rollout
    return _undecided(rollout, verdict, now, seen.candidate_ready)


def _passed(rollout: Rollout, verdict: Verdict, now: datetime, ready: int) -> Rollout:
    """Go on after a pass, or stop for a person where there is a warning with it that the plan does not pass over."""
    if verdict.outcome == "warning" and rollout.plan.on_warning == "pause":
        # Who resumes has seen it: the same evidence would only pause the same step again.
        return _enter(rollout, Phase.PAUSED, f"a warning: {verdict.reason}", now, resume_to=None)
    is_held = rollout.plan.steps[rollout.step].until == "time"
    return _next_step(rollout, _time_passed(rollout, verdict) if is_held else verdict.reason, now, ready)


def _may_go_by_time(rollout: Rollout, verdict: Verdict | None) -> bool:
    """Say whether a step that asks for time may end without a pass: not where its candidate could not be measured."""
    if not rollout.weight and not rollout.mirror:
        return True
    return verdict is not None and verdict.outcome == "inconclusive"


def _time_passed(rollout: Rollout, verdict: Verdict | None) -> str:
    """Return why a step that asks for time is over, with no more than what was seen in it."""
    passed = f"{rollout.plan.steps[rollout.step].duration_seconds:g} s passed"
    if verdict is not None and verdict.outcome == "pass":
        return f"{passed} without harm: {verdict.reason}"
    if verdict is not None and verdict.outcome == "warning":
        return f"{passed} with a warning: {verdict.reason}"
    if verdict is None or not (rollout.weight or rollout.mirror):
        return f"{passed} without requests of users to the candidate"
    return f"{passed}; the verdict is inconclusive: {verdict.reason}"


def _undecided(rollout: Rollout, verdict: Verdict | None, now: datetime, ready: int) -> Rollout:
    """Do what the plan says of a step whose time is up and that nobody may call passed."""
    said = verdict.reason if verdict is not None else "the signals could not be measured"
    reason = f"the step's time is up without a verdict: {said}"
    match rollout.plan.on_inconclusive:
        case "rollback":
            return _roll_back(rollout, reason, now)
        case "continue":
            is_last = rollout.step + 1 >= len(rollout.plan.steps)
            told = f"{'promoted' if is_last else 'went on'} without a verdict, the step's time being up: {said}"
            return _next_step(rollout, told, now, ready)
        case "pause":
            return _pause(rollout, reason, now)


def _pause(rollout: Rollout, reason: str, now: datetime) -> Rollout:
    is_shifted = rollout.step >= 0 and rollout.scaling_to is None
    resume_to = Phase.SHIFTING if is_shifted else rollout.phase
    return _enter(rollout, Phase.PAUSED, reason, now, resume_to=resume_to, asked_by=rollout.asked_by)


def _paused(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    reason = _harmful(rollout, seen, now)
    return _roll_back(rollout, reason, now) if reason else rollout


def _promoting(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    if reason := _harmful(rollout, seen, now):
        return _roll_back(rollout, reason, now)
    if _in_force(rollout, seen) and seen.candidate_ready > 0:
        return _enter(rollout, Phase.PROMOTED, rollout.reason, now)
    return rollout


def _rolling_back(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    held = _held_weight(rollout, seen, now)
    if held != rollout.held_weight:
        return rollout.evolve(held_weight=held)
    if held == 0 and _in_force(rollout, seen):
        return _enter(rollout, rollout.end or Phase.ROLLED_BACK, rollout.reason, now)
    return rollout


def _held_weight(rollout: Rollout, seen: Observation, now: datetime) -> float:
    """Return the percent that a candidate on its way out keeps, because stable's replicas for it are not ready yet.

    A stable that does not come back in time gets everything all the same: then there is nothing better to wait for,
    and the candidate was found to do harm.
    """
    if rollout.held_weight == 0 or seen.candidate_ready == 0:
        return 0
    if _elapsed(rollout, now) >= rollout.plan.ready_within_seconds:
        return 0
    share = min(1.0, seen.stable_ready / max(rollout.plan.stable_replicas, 1))
    return min(rollout.held_weight, hundredths(100 * (1 - share)))


_HANDLERS: dict[Phase, Callable[[Rollout, Observation, datetime], Rollout]] = {
    Phase.PREPARING: _preparing,
    Phase.BASELINE: _baseline,
    Phase.SCALING: _scaling,
    Phase.SHIFTING: _shifting,
    Phase.ANALYZING: _analyzing,
    Phase.PAUSED: _paused,
    Phase.PROMOTING: _promoting,
    Phase.ROLLING_BACK: _rolling_back,
}

_DECIDED = {
    Phase.PROMOTING,
    Phase.ROLLING_BACK,
    Phase.PROMOTED,
    Phase.ROLLED_BACK,
    Phase.ABORTED,
    Phase.FAILED,
}


def _refuse_decided(rollout: Rollout, asked: str) -> None:
    if rollout.phase in _DECIDED:
        raise NotAllowed(asked, rollout.phase, f"it is decided already: {rollout.reason}")


def _refuse_promoted(rollout: Rollout, asked: str, *, also_paused: bool = False) -> None:
    """Refuse what is decided, and a promotion by a person that waits for replicas: it is only held or taken back.

    Args:
        also_paused: whether one that was paused meanwhile is refused as well.
    """
    _refuse_decided(rollout, asked)
    is_last = rollout.scaling_to == len(rollout.plan.steps)
    waits = Phase.SCALING in (rollout.phase, rollout.resume_to if also_paused else None)
    if waits and is_last and rollout.asked_by is not None:
        raise NotAllowed(asked, rollout.phase, f"it is decided already, by {rollout.asked_by}, and waits for replicas")


def _do_promote(rollout: Rollout, note: str, now: datetime, by: str) -> Rollout:
    _refuse_promoted(rollout, Command.PROMOTE)
    if Phase.PREPARING in (rollout.phase, rollout.resume_to):
        raise NotAllowed(Command.PROMOTE, rollout.phase, "the candidate's replicas are not ready yet")
    return _promote(rollout, note, now, None, by)


def _do_pause(rollout: Rollout, note: str, now: datetime, _: str) -> Rollout:
    _refuse_decided(rollout, Command.PAUSE)
    if rollout.phase is Phase.PAUSED:
        raise NotAllowed(Command.PAUSE, rollout.phase, "it is paused already")
    return _pause(rollout, note, now)


def _do_resume(rollout: Rollout, note: str, now: datetime, by: str) -> Rollout:
    if rollout.phase is not Phase.PAUSED:
        raise NotAllowed(Command.RESUME, rollout.phase, "it is not paused")
    if rollout.resume_to is None:  # it waits at its step
        return _next_step(rollout, note, now, None, by)
    return _enter(rollout, rollout.resume_to, note, now, resume_to=None, asked_by=rollout.asked_by)


def _do_abort(rollout: Rollout, note: str, now: datetime, _: str) -> Rollout:
    _refuse_decided(rollout, Command.ABORT)
    return _roll_back(rollout, note, now, end=Phase.ABORTED)


#: By these more users may meet the candidate; all others hold it or take it back, and nobody is kept from that.
_GO_ON = frozenset({Command.PROMOTE, Command.RESUME})

_COMMANDS: dict[Command, Callable[[Rollout, str, datetime, str], Rollout]] = {
    Command.PROMOTE: _do_promote,
    Command.PAUSE: _do_pause,
    Command.RESUME: _do_resume,
    Command.ABORT: _do_abort,
}
