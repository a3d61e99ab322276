"""An A/B test with several challengers: as many rollouts of one candidate each, in step.

Each arm goes through the machine as if it were the only candidate. Where all of them take the same edge, the test takes
it; an arm that would be rolled back is taken out, with its share of the users going back to stable, and the others go
on; when the last one would be, the test is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from tidegate.rollout.records import Arm, Observation, Phase, Rollout, check_arms, hundredths

#: One look of the machine at a single candidate: the state with what it noted, and the state that follows.
Alone = Callable[[Rollout, Observation, datetime], tuple[Rollout, Rollout]]


def together(rollout: Rollout, seen: Observation, now: datetime, alone: Alone) -> tuple[Rollout, Rollout]:
    """Let every arm look; return the state with what they noted, and the state that follows."""
    looks = [(arm, *alone(rollout.of(arm.revision), seen.of(arm.revision), now)) for arm in rollout.arms]
    arms = tuple(
        replace(arm, unready_since=noted.unready_since, restarts_before=noted.restarts_before)
        for arm, noted, _ in looks
    )
    noted = rollout.evolve(arms=arms)
    back = {arm.name: moved.reason for arm, _, moved in looks if moved.phase is Phase.ROLLING_BACK}
    if back and len(back) < len(looks):
        return noted, without(noted, back, now)
    edges = {(moved.phase, moved.step) for _, _, moved in looks}
    if len(edges) > 1:
        # Some have to wait for the others: where one needs replicas for the next step first, all let it have the time.
        to_scale = rollout.phase is not Phase.SCALING
        short = (moved for _, _, moved in looks if to_scale and moved.phase is Phase.SCALING)
        return noted, next((moved.evolve(plan=noted.plan, arms=arms) for moved in short), noted)
    lead = next(moved for arm, _, moved in looks if arm.revision == rollout.plan.candidate)
    reason = _together(back) if len(back) > 1 else lead.reason
    if lead.phase is Phase.SHIFTING:
        arms = tuple(map(_changed, arms))
    return noted, lead.evolve(
        arms=arms, reason=reason, gone={**noted.gone, **back} if len(rollout.plan.arms) > 1 else noted.gone
    )


def needs_replicas(rollout: Rollout) -> bool:
    """Say whether the candidate of a state that waits for replicas needs its own to be ready.

    Where weights of an A/B test change, the arms that gain nothing have nothing to wait for.
    """
    own = (arm for arm in rollout.arms if arm.revision == rollout.plan.candidate)
    return rollout.scaling_to != rollout.step or any(map(_gains, own))


def without(rollout: Rollout, out: Mapping[str, str], now: datetime) -> Rollout:
    """Return the state of the test without some of its arms.

    Args:
        out: by the name of each arm that goes, why. At least one arm stays.
    """
    kept = tuple(arm for arm in rollout.arms if arm.name not in out)
    left = rollout if any(arm.revision == rollout.plan.candidate for arm in kept) else rollout.of(kept[0].revision)
    # Before the first step nobody is split, so nothing has to be waited for.
    leaving = tuple(arm.revision for arm in rollout.arms if arm.name in out and rollout.present is not None)
    changed = left.evolve(arms=kept, gone={**rollout.gone, **out}, leaving=(*rollout.leaving, *leaving))
    return _with_split(changed, _together({f"arm {name} is out": why for name, why in out.items()}), now)


def reweighed(rollout: Rollout, weights: Mapping[str, float], by: str, note: str, now: datetime) -> Rollout:
    """Return the state of the test with other weights, or on its way to them, where arms that gain need replicas.

    They change together, so that users go from arm to arm and not by way of stable; an arm that is taken out goes now.

    Args:
        weights: percent by the name of an arm; those that are not named keep theirs, one with 0 is taken out.
        by: who asked for it.

    Raises:
        ValueError: there is no such arm, or the weights cannot be.
    """
    names = [arm.name for arm in rollout.arms]
    if unknown := [name for name in weights if name not in names]:
        raise ValueError(f"there is no arm {unknown[0]} in the test; those that are in it: {', '.join(names)}")
    out = {name: f"{by} set its weight to 0" for name, weight in weights.items() if weight == 0}
    if len(out) == len(names):
        raise ValueError("one arm at least keeps a weight above 0; to end the test, abort it")
    left = without(rollout, out, now) if out else rollout
    arms = tuple(replace(arm, weight=hundredths(weights.get(arm.name, arm.weight))) for arm in map(_changed, left.arms))
    check_arms(arms)
    if hundredths(sum(arm.weight for arm in arms)) == 100:
        raise ValueError("something of 100 is left for stable, which the arms are compared with")
    if rollout.present is not None:
        arms = tuple(replace(before, next_weight=after.weight) for before, after in zip(left.arms, arms, strict=True))
    return _with_split(left.evolve(arms=arms), note, now, by)


def gives_more(rollout: Rollout, weights: Mapping[str, float]) -> bool:
    """Say whether weights give an arm more users than it has, or than it is on its way to."""
    present = {
        arm.name: arm.weight if arm.next_weight is None else min(arm.weight, arm.next_weight) for arm in rollout.arms
    }
    return any(weight > present[name] for name, weight in weights.items())


def chosen(rollout: Rollout, arm: Arm) -> Rollout:
    """Return the state of the test with one arm left, which is the candidate."""
    leaving = tuple(other.revision for other in rollout.arms if other != arm)
    kept = replace(arm, next_weight=None)
    return rollout.of(arm.revision).evolve(arms=(kept,), leaving=(*rollout.leaving, *leaving))


def _changed(arm: Arm) -> Arm:
    return arm if arm.next_weight is None else replace(arm, weight=arm.next_weight, next_weight=None)


def _gains(arm: Arm) -> bool:
    return arm.next_weight is not None and arm.next_weight > arm.weight


def _with_split(rollout: Rollout, reason: str, now: datetime, by: str | None = None) -> Rollout:
    """Return the state that brings the split in force, where there is one; before the first step nothing is split.

    Args:
        by: who asks for it; None: nobody does, and what is waited for goes on.
    """
    if rollout.present is None:
        return rollout.evolve(reason=reason)
    if not any(map(_gains, rollout.arms)):
        changes = {"phase": Phase.SHIFTING, "phase_since": now, "resume_to": None, "scaling_to": None, "asked_by": None}
        return rollout.evolve(arms=tuple(map(_changed, rollout.arms)), reason=reason, **changes)
    waiting = rollout.evolve(reason=reason, scaling_to=rollout.step, asked_by=rollout.asked_by if by is None else by)
    if by is None:
        return waiting  # as long as before, and paused where it was
    return waiting.evolve(phase=Phase.SCALING, phase_since=now, resume_to=None)


def _together(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in reasons.items())
