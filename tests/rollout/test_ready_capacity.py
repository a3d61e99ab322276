"""From any state, in any order of looks and commands: no share grows without replicas, and no error is a pass."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rollout.test_crash_anywhere import CANDIDATE, STABLE, START, all_plans, tests, verdicts
from tidegate.rollout import (
    ArmSeen,
    Command,
    NotAllowed,
    Observation,
    Phase,
    Plan,
    Rollout,
    SplitCheck,
    Verdict,
    advance,
    command,
    reweigh,
)
from tidegate.rollout.arms import chosen

REVISIONS = range(CANDIDATE, CANDIDATE + 4)


@dataclass(frozen=True)
class Look:
    """One look of the loop: ready replicas and the verdict of each revision on trial, in their order."""

    seconds: float
    ready: tuple[int, ...]
    verdicts: tuple[Verdict | None, ...]
    is_in_force: bool
    check: SplitCheck

    def of(self, rollout: Rollout) -> Observation:
        arms = {
            revision: ArmSeen(ready, 0, said)
            for revision, ready, said in zip(REVISIONS, self.ready, self.verdicts, strict=True)
        }
        split = rollout.split() if self.is_in_force else None
        mirror = rollout.mirror
        return Observation(self.ready[0], 3, 0, split, self.check, self.verdicts[0], mirror=mirror, arms=arms)


@dataclass(frozen=True)
class Ask:
    asked: Command
    arm: str | None


Move = Look | Ask | Mapping[str, float]

looks = st.builds(
    Look,
    seconds=st.sampled_from([0.0, 1.0, 31.0, 61.0]),
    ready=st.tuples(*[st.integers(0, 3)] * 4),
    verdicts=st.tuples(*[verdicts] * 4),
    is_in_force=st.booleans(),
    check=st.sampled_from(SplitCheck),
)
EVERY_COMMAND = [Ask(what, arm) for what in Command for arm in (None, "b")]
asks = st.sampled_from([ask for ask in EVERY_COMMAND if ask.asked is not Command.ABORT])
weights = st.dictionaries(st.sampled_from("bcde"), st.sampled_from([0, 1, 10, 30, 60]), min_size=1)
moves: st.SearchStrategy[Move] = st.one_of(asks, looks, weights)
trials = all_plans(least_steps=2) | all_plans(least_steps=2) | tests


@st.composite
def stands(draw: st.DrawFn) -> Rollout:
    """Return any trial, wherever it can stand before it is decided; often where a person is waited for."""
    plan = draw(trials)
    last = len(plan.steps) - 1
    step = draw(st.integers(-1, last) if draw(st.booleans()) else st.integers(0, max(0, last - 1)))
    split = [Phase.SHIFTING, Phase.ANALYZING] if step >= 0 else [Phase.PREPARING, Phase.BASELINE]
    phase = draw(st.sampled_from([*split, Phase.SCALING, *[Phase.PAUSED] * 3]))
    resume_to = scaling_to = None
    if phase is Phase.PAUSED:
        gate = [None] * 3 if step >= 0 else []
        resume_to = draw(st.sampled_from([*gate, Phase.SCALING, Phase.SHIFTING if step >= 0 else Phase.BASELINE]))
    if Phase.SCALING in (phase, resume_to):
        scaling_to = draw(st.integers(step + 1, last + 1))
    begun = Rollout.begin(plan, START).evolve(restarts_before=0)
    stands = begun.evolve(phase=phase, step=step, resume_to=resume_to, scaling_to=scaling_to)
    if stands.arms and scaling_to == last + 1:
        # Only a person ends a test, and names the arm that is to stay: without that none is promoted.
        return chosen(stands, draw(st.sampled_from(stands.arms)))
    return stands


def asked(rollout: Rollout, what: Ask | Mapping[str, float], now: datetime) -> Rollout:
    """Return what a person's command makes of the state; the same where it is refused."""
    with suppress(NotAllowed, ValueError):
        if isinstance(what, Ask):
            return command(rollout, what.asked, now, by="ada", reason="", arm=what.arm).rollout
        return reweigh(rollout, what, now, by="ada", reason="").rollout
    return rollout


def shares(rollout: Rollout) -> dict[int, float]:
    """Return what each revision on trial gets, of the requests or of their copies."""
    got = {revision: share for revision, share in rollout.split().items() if revision != STABLE}
    return {CANDIDATE: rollout.mirror} if rollout.mirror else got


def grown(before: Rollout, after: Rollout) -> list[int]:
    got = shares(before)
    return [revision for revision, share in shares(after).items() if share > got.get(revision, 0)]


@settings(max_examples=400, deadline=None)
@given(rollout=stands(), moved=st.lists(moves, min_size=1, max_size=5))
def test_no_share_grows_while_fewer_replicas_are_ready_than_are_asked_for(rollout: Rollout, moved: list[Move]) -> None:
    """Least of all by a command, as nobody looks at replicas then."""
    now = START
    for move in moved:
        assert not any(grown(rollout, asked(rollout, what, now)) for what in EVERY_COMMAND)
        if not isinstance(move, Look):
            before, rollout = rollout, asked(rollout, move, now)
            assert not grown(before, rollout)
            continue
        now += timedelta(seconds=move.seconds)
        before, rollout = rollout, advance(rollout, move.of(rollout), now).rollout
        for revision in grown(before, rollout):
            assert move.ready[revision - CANDIDATE] >= rollout.replicas


@settings(max_examples=300, deadline=None)
@given(plan=all_plans(least_steps=1), step=st.integers(0, 4), look=looks)
def test_a_step_that_could_not_be_measured_is_never_passed(plan: Plan, step: int, look: Look) -> None:
    error = Verdict("error", "could not be measured")
    begun = Rollout.begin(plan, START).evolve(restarts_before=0)
    before = begun.evolve(phase=Phase.ANALYZING, step=step % len(plan.steps))
    gets_none = not (before.weight or before.mirror)
    # A time for which a candidate is held that gets nothing needs no measurement; see `test_kinds_of_steps`.
    is_held = plan.steps[before.step].until == "time"
    for said in () if gets_none and is_held else (error,) if gets_none else (error, None):
        seen = replace(look.of(before), verdict=said)
        after = advance(before, seen, START + timedelta(seconds=look.seconds)).rollout
        if after.step > before.step or after.phase in (Phase.SCALING, Phase.PROMOTING):
            assert plan.on_inconclusive == "continue"
            assert "without a verdict" in after.reason
