"""The records of a rollout: what was planned, where it stands, what was seen, what is to be done.

All are frozen. `Rollout` is what is stored between two steps of the machine; its storage form holds plain JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Self

OnInconclusive = Literal["pause", "rollback", "continue"]
OnWarning = Literal["pause", "continue"]

#: What opens the way to the next step: the judge's pass, time without harm, or a person.
Until = Literal["pass", "time", "person"]


class Phase(StrEnum):
    """Where a rollout stands."""

    #: The candidate's replicas are starting; it gets no traffic.
    PREPARING = "preparing"
    #: The candidate is ready; stable's own rates are being measured; the candidate gets no traffic.
    BASELINE = "baseline"
    #: The replicas that the next step needs are waited for; the split is still that of the step before.
    SCALING = "scaling"
    #: The gateway has been told the step's split and has not confirmed it yet.
    SHIFTING = "shifting"
    #: The split is in force; the judge is watching.
    ANALYZING = "analyzing"
    #: Waiting for a person; the split stays as it is and the judge goes on watching for harm.
    PAUSED = "paused"
    #: Decided for the candidate; the gateway is being given the final split.
    PROMOTING = "promoting"
    #: Ended: the candidate is the stable revision.
    PROMOTED = "promoted"
    #: Decided against the candidate; the gateway is being given back the old split.
    ROLLING_BACK = "rolling_back"
    #: Ended: Tidegate took the candidate back.
    ROLLED_BACK = "rolled_back"
    #: Ended: a person took the candidate back.
    ABORTED = "aborted"
    #: Ended: there was no stable revision to go back to and the candidate never became ready.
    FAILED = "failed"


TERMINAL = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED})


class Command(StrEnum):
    """What a person may ask of a running rollout."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"


class SplitCheck(StrEnum):
    """What the gateway's counters say of the split that was asked for."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    #: Too few requests to say.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Step:
    """One stage.

    Attributes:
        weight: percent of the requests that go to the candidate, to the hundredth.
        duration_seconds: the most time that the judge gets (until `pass`), or how long the step is held (`time`);
            meaningless where a person ends it.
        until: what ends the step well and opens the way to the next. Harm takes the candidate back in every one.
        mirror: percent of stable's requests that are copied to the candidate, whose answers to them nobody gets.
        replicas: of the candidate, in this step; None for all that the plan has.
        stable_replicas: that stable keeps once the step's split is in force; None for all of them.
    """

    weight: float
    duration_seconds: float
    until: Until = "pass"
    mirror: float = 0
    replicas: int | None = None
    stable_replicas: int | None = None

    def __post_init__(self) -> None:
        for what, value in (("weight", self.weight), ("mirror", self.mirror)):
            if not 0 <= value <= 100 or not is_hundredths(value):
                raise ValueError(f"a {what} lies from 0 to 100 with at most two decimals, got {value}")
        if self.mirror and self.weight:
            raise ValueError("requests are mirrored to a candidate that serves nobody yet")


@dataclass(frozen=True)
class Arm:
    """One challenger of an A/B test.

    Attributes:
        revision: that its users get.
        weight: percent of the users, to the hundredth.
        name: by which people speak of it.
        next_weight: its weight once the replicas of all arms that gain are ready; None: it stays as it is.
        unready_since, restarts_before: as of a `Rollout`, for this revision.
    """

    revision: int
    weight: float
    name: str = ""
    unready_since: datetime | None = None
    restarts_before: int | None = None
    next_weight: float | None = None

    def for_storage(self) -> dict[str, Any]:
        since = self.unready_since.isoformat() if self.unready_since else None
        return {**vars(self), "unready_since": since}

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Self:
        since = stored["unready_since"]
        return cls(**{**stored, "unready_since": datetime.fromisoformat(since) if since else None})


@dataclass(frozen=True)
class Plan:
    """What a rollout is to do, fixed when it starts; of an A/B test the candidate changes, see there.

    Attributes:
        candidate: revision on trial. Of an A/B test the first challenger that is still in it, and in the end the one
            that was chosen.
        stable: revision that serves; None for the first deployment of a name.
        steps: in order; weights never fall, nor do the candidate's replicas. Empty means no trial: the candidate takes
            over once it is ready (the first deployment, or the return to a revision that was stable before).
        replicas: of the candidate, once it is promoted.
        stable_replicas: of stable when the rollout begins; 0 when `stable` is None.
        baseline_seconds: how long stable is measured before the first step.
        ready_within_seconds: the most time that the candidate's replicas may take to become ready.
        unready_seconds: how long a candidate that carries traffic may be without a single ready replica.
        max_restarts: deaths of candidate replicas that are tolerated over the rollout.
        on_inconclusive: what follows when a step's time is up and the judge can say neither pass nor fail.
        on_warning: what follows when a step passes but for signals that are not critical.
        arms: the challengers with which an A/B test begins; empty for every other strategy. Each has `replicas`.
        reason_required: a person by whose decision more users may meet the candidate must say why.
    """

    candidate: int
    stable: int | None
    steps: tuple[Step, ...]
    replicas: int
    stable_replicas: int
    baseline_seconds: float
    ready_within_seconds: float
    unready_seconds: float
    max_restarts: int
    on_inconclusive: OnInconclusive
    on_warning: OnWarning = "pause"
    arms: tuple[Arm, ...] = ()
    reason_required: bool = False

    def __post_init__(self) -> None:
        check_arms(self.arms)
        revisions = [arm.revision for arm in self.arms]
        if revisions and (self.candidate not in revisions or self.stable in revisions):
            raise ValueError(f"the candidate is one of the arms and stable is none, got {revisions}")
        weights = [step.weight for step in self.steps]
        if weights != sorted(weights):
            raise ValueError(f"weights must not fall, got {weights}")
        if self.stable is None and weights:
            raise ValueError("a rollout without a stable revision has no steps")
        counts = [self.replicas if step.replicas is None else step.replicas for step in self.steps]
        if counts != sorted(counts) or any(not 1 <= count <= self.replicas for count in counts):
            raise ValueError(f"the candidate's replicas must not fall, from 1 to {self.replicas}, got {counts}")
        kept = [self.stable_replicas if step.stable_replicas is None else step.stable_replicas for step in self.steps]
        if kept != sorted(kept, reverse=True) or any(not 0 <= count <= self.stable_replicas for count in kept):
            raise ValueError(f"stable's replicas must not rise, from {self.stable_replicas} to 0, got {kept}")
        if any(count == 0 and weight < 100 for count, weight in zip(kept, weights, strict=True)):
            raise ValueError("stable keeps a replica as long as it gets requests")


@dataclass(frozen=True)
class Verdict:
    """What the judge said at one look; `reason` is a sentence with the numbers."""

    outcome: Literal["pass", "warning", "fail", "inconclusive", "error"]
    reason: str


@dataclass(frozen=True)
class Checked:
    """What came of checks on the candidate before any user meets it; `reason` is a sentence with the numbers."""

    passed: bool
    reason: str


NOTHING_TO_CHECK = Checked(passed=True, reason="")


@dataclass(frozen=True)
class ArmSeen:
    """What was seen of one arm at one instant; as in `Observation`, of this revision."""

    ready: int
    restarts: int
    verdict: Verdict | None
    checks: Checked | None = NOTHING_TO_CHECK
    unwell: str | None = None
    critical: str | None = None


@dataclass(frozen=True)
class Observation:
    """What was seen of the world at one instant.

    Attributes:
        candidate_ready, stable_ready: replicas that answer.
        candidate_restarts: deaths of candidate replicas so far, over the life of the revision.
        split: what the gateway confirmed to be in force; None when it could not be asked.
        mirror: percent of stable's requests that it confirmed to be copied to the candidate.
        split_check: what its counters say since the split came into force.
        verdict: None before the first; `error` when the signals could not be measured at this look.
        checks: what came of the checks before traffic; None while they have not been made.
        held: why the rollout may not go forward now; it may still be paused and taken back. None: it may.
        refused: why the candidate is to be taken back, by somebody who was asked; None: nobody said so.
        unwell: what checks of running replicas say against one of the candidate, for messages; None: nothing.
        critical: why one of them takes the candidate back; None: none does.
        arms: of an A/B test, what was seen of each revision that is still in it.
    """

    candidate_ready: int
    stable_ready: int
    candidate_restarts: int
    split: Mapping[int, float] | None
    split_check: SplitCheck
    verdict: Verdict | None
    mirror: float = 0
    checks: Checked | None = NOTHING_TO_CHECK
    held: str | None = None
    refused: str | None = None
    unwell: str | None = None
    critical: str | None = None
    arms: Mapping[int, ArmSeen] = field(default_factory=dict)

    def of(self, revision: int) -> Self:
        """Return what was seen, with this arm as the candidate."""
        arm = self.arms[revision]
        return replace(
            self,
            candidate_ready=arm.ready,
            candidate_restarts=arm.restarts,
            verdict=arm.verdict,
            checks=arm.checks,
            unwell=arm.unwell,
            critical=arm.critical,
        )


@dataclass(frozen=True)
class EnsureReplicas:
    """Have exactly `count` replicas of `revision`."""

    revision: int
    count: int


@dataclass(frozen=True)
class SetSplit:
    """Give each revision its weight; an empty split takes the deployment off the gateway.

    Attributes:
        trial: revision that has the preview address; None for none.
        mirror: percent of the requests that are copied to it.
    """

    split: Mapping[int, float]
    trial: int | None = None
    mirror: float = 0


@dataclass(frozen=True)
class RemoveReplicas:
    """End the replicas of a revision that gets no traffic."""

    revision: int


Action = EnsureReplicas | SetSplit | RemoveReplicas


@dataclass(frozen=True)
class Transition:
    """One edge taken: which, when, why, and who asked for it (None: Tidegate itself)."""

    source: Phase
    target: Phase
    at: datetime
    reason: str
    by: str | None = None


#: A clock that is kept right by small corrections is not moved by more than this between two looks at it.
CORRECTED_SECONDS = 0.1


@dataclass(frozen=True)
class ClockSetting:
    """How the clock is set: when this boot of the machine began according to it, in seconds since 1970.

    It stays what it is as time passes, and changes when somebody sets the clock.
    """

    boot: str
    booted_at: float


@dataclass(frozen=True)
class Rollout:
    """Where a rollout stands.

    Attributes:
        phase_since: when the phase was entered.
        step: index into `plan.steps`; -1 before the first.
        reason: why it is in this phase, a sentence.
        unready_since: since when the candidate has had no ready replica although it carries traffic, else None.
        restarts_before: deaths that the candidate's revision had on record before this rollout; None until it was seen.
        resume_to: for PAUSED, the phase that `resume` returns to; None at a gate that waits for a person, where it
            leads to the next step.
        end: for ROLLING_BACK, the phase that it ends in.
        scaling_to: for SCALING, and a pause in it, the step whose replicas are waited for; as many as there are steps
            for the promotion, the present one for other weights of arms.
        asked_by: for SCALING, and a pause in it, who asked for what the replicas are waited for; None: nobody did.
        stable_kept: replicas that stable is down to; None while it has all of them.
        held_weight: for ROLLING_BACK, percent that the candidate keeps until stable has replicas for it again.
        clock: how the clock was set by which the times above are; None where nobody said so.
        arms: of an A/B test, the challengers that are still in it, with their present weights.
        leaving: revisions that were taken out of it, as long as the split without them is not known to be in force.
        gone: why each that was taken out is out, by its name.
    """

    plan: Plan
    phase: Phase
    phase_since: datetime
    step: int = -1
    reason: str = ""
    unready_since: datetime | None = None
    restarts_before: int | None = None
    resume_to: Phase | None = None
    end: Phase | None = None
    scaling_to: int | None = None
    asked_by: str | None = None
    stable_kept: int | None = None
    held_weight: float = 0
    clock: ClockSetting | None = None
    arms: tuple[Arm, ...] = ()
    leaving: tuple[int, ...] = ()
    gone: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, plan: Plan, now: datetime, clock: ClockSetting | None = None) -> Self:
        """Return the state in which every rollout starts."""
        whose = "the challengers'" if len(plan.arms) > 1 else "the candidate's"
        reason = f"{whose} replicas are starting"
        return cls(plan=plan, phase=Phase.PREPARING, phase_since=now, reason=reason, clock=clock, arms=plan.arms)

    def on_clock(self, clock: ClockSetting) -> Self:
        """Return this state with its times as the clock tells them now.

        When the clock was set meanwhile, they move along with it, so that as much time has gone by as before: a step
        is neither over at once nor without an end. What went by over a reboot is known from the clock alone.
        """
        if self.clock is None or self.clock.boot != clock.boot:
            return self.evolve(clock=clock)
        moved = clock.booted_at - self.clock.booted_at
        if abs(moved) < CORRECTED_SECONDS:
            return self
        by = timedelta(seconds=moved)
        unready_since = self.unready_since + by if self.unready_since is not None else None
        arms = tuple(
            replace(arm, unready_since=arm.unready_since + by if arm.unready_since is not None else None)
            for arm in self.arms
        )
        return self.evolve(clock=clock, phase_since=self.phase_since + by, unready_since=unready_since, arms=arms)

    def of(self, revision: int) -> Self:
        """Return the state of an A/B test with this arm as the candidate."""
        arm = next(arm for arm in self.arms if arm.revision == revision)
        return replace(
            self,
            plan=replace(self.plan, candidate=revision),
            unready_since=arm.unready_since,
            restarts_before=arm.restarts_before,
        )

    @property
    def on_trial(self) -> tuple[int, ...]:
        """The revisions that are tried against stable."""
        return tuple(arm.revision for arm in self.arms) or (self.plan.candidate,)

    @property
    def left(self) -> tuple[int, ...]:
        """The revisions of an A/B test that are out of it and known to get no requests."""
        still = (*self.on_trial, *self.leaving)
        return tuple(arm.revision for arm in self.plan.arms if arm.revision not in still)

    @property
    def challengers_weight(self) -> float:
        """Percent of the requests that do not go to stable."""
        stable = 0 if self.plan.stable is None else self.split().get(self.plan.stable, 0)
        return rest_of(stable) if self.split() else 0

    @property
    def is_terminal(self) -> bool:
        return self.phase in TERMINAL

    @property
    def present(self) -> Step | None:
        """The step whose split this state asks for; None where there is none: before the first, or when decided."""
        match self.phase:
            case Phase.SCALING | Phase.SHIFTING | Phase.ANALYZING | Phase.PAUSED if self.step >= 0:
                return self.plan.steps[self.step]
            case _:
                return None

    @property
    def waits_at_step(self) -> bool:
        """Whether a person is waited for with the step's traffic in force: at a gate, or after a warning."""
        return self.phase is Phase.PAUSED and self.resume_to is None

    @property
    def weight(self) -> float:
        """The candidate's weight (percent) that this state asks for."""
        match self.phase:
            case Phase.PROMOTING | Phase.PROMOTED:
                return 100
            case Phase.ROLLING_BACK:
                return self.held_weight
            case _ if self.present is None:
                return 0
            case _:
                own = (arm.weight for arm in self.arms if arm.revision == self.plan.candidate)
                return next(own, self.present.weight)

    @property
    def mirror(self) -> float:
        """Percent of stable's requests that are copied to the candidate in this state."""
        return self.present.mirror if self.present is not None else 0

    @property
    def replicas(self) -> int:
        """Replicas of the candidate that this state asks for, unless it is on its way out."""
        step = max(self.step, 0) if self.scaling_to is None else self.scaling_to
        if self.phase in (Phase.PROMOTING, Phase.PROMOTED) or step >= len(self.plan.steps):
            return self.plan.replicas
        asked = self.plan.steps[step].replicas
        return self.plan.replicas if asked is None else asked

    @property
    def stable_replicas(self) -> int:
        """Replicas of stable that this state asks for."""
        is_back = self.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.ABORTED)
        return self.plan.stable_replicas if self.stable_kept is None or is_back else self.stable_kept

    def split(self) -> dict[int, float]:
        """Return the split that this state asks for: revision to percent, summing to 100, or empty."""
        split = {self.plan.candidate: self.weight} if self.weight else {}
        if self.present is not None and self.arms:
            split = {arm.revision: arm.weight for arm in self.arms}
        weight = hundredths(sum(split.values()))
        if self.plan.stable is not None and weight < 100:
            split[self.plan.stable] = rest_of(weight)
        return split

    def traffic(self) -> SetSplit:
        """Return the action that puts this state's traffic in force."""
        is_tried = self.plan.stable is not None and not self.is_terminal and self.phase is not Phase.ROLLING_BACK
        return SetSplit(self.split(), self.plan.candidate if is_tried else None, self.mirror)

    def evolve(self, **changes: Any) -> Self:
        return replace(self, **changes)

    def for_storage(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        plan = {name: value for name, value in vars(self.plan).items() if name not in ("steps", "arms")}
        plan["steps"] = [vars(step) for step in self.plan.steps]
        plan["arms"] = [arm.for_storage() for arm in self.plan.arms]
        return {
            "plan": plan,
            "phase": self.phase.value,
            "phase_since": self.phase_since.isoformat(),
            "step": self.step,
            "reason": self.reason,
            "unready_since": self.unready_since.isoformat() if self.unready_since else None,
            "restarts_before": self.restarts_before,
            "resume_to": self.resume_to.value if self.resume_to else None,
            "end": self.end.value if self.end else None,
            "scaling_to": self.scaling_to,
            "asked_by": self.asked_by,
            "stable_kept": self.stable_kept,
            "held_weight": self.held_weight,
            "clock": vars(self.clock) if self.clock is not None else None,
            "arms": [arm.for_storage() for arm in self.arms],
            "leaving": list(self.leaving),
            "gone": dict(self.gone),
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild the state that `for_storage` gave."""
        plan = dict(stored["plan"])
        plan["steps"] = tuple(_step(stored_step) for stored_step in plan["steps"])
        plan["arms"] = tuple(Arm.from_storage(arm) for arm in plan.get("arms", ()))
        unready_since = stored["unready_since"]
        return cls(
            plan=Plan(**plan),
            phase=Phase(stored["phase"]),
            phase_since=datetime.fromisoformat(stored["phase_since"]),
            step=stored["step"],
            reason=stored["reason"],
            unready_since=datetime.fromisoformat(unready_since) if unready_since else None,
            restarts_before=stored["restarts_before"],
            resume_to=Phase(stored["resume_to"]) if stored["resume_to"] else None,
            end=Phase(stored["end"]) if stored["end"] else None,
            scaling_to=stored.get("scaling_to"),
            asked_by=stored.get("asked_by"),
            stable_kept=stored.get("stable_kept"),
            held_weight=stored.get("held_weight", 0),
            clock=ClockSetting(**stored["clock"]) if stored.get("clock") else None,
            arms=tuple(Arm.from_storage(arm) for arm in stored.get("arms", ())),
            leaving=tuple(stored.get("leaving", ())),
            gone=dict(stored.get("gone", {})),
        )


def check_arms(arms: Sequence[Arm]) -> None:
    """Raise ValueError for challengers that cannot be tried together."""
    revisions, weights = [arm.revision for arm in arms], [arm.weight for arm in arms]
    if len(set(revisions)) != len(revisions):
        raise ValueError(f"each arm is a revision of its own, got {revisions}")
    if any(not 0 < weight <= 100 or not is_hundredths(weight) for weight in weights):
        raise ValueError(f"an arm has a weight above 0 with at most two decimals, got {weights}")
    if hundredths(sum(weights)) > 100:
        raise ValueError(f"the weights of the arms are at most 100 together, got {weights}")


def is_hundredths(percent: float) -> bool:
    """Say whether a percentage has at most two decimals."""
    return abs(percent * 100 - round(percent * 100)) < 1e-6


def rest_of(weight: float) -> float:
    """Return what a weight leaves of 100 percent, exact to the hundredth; whole where it is whole."""
    return hundredths(100 - weight)


def hundredths(percent: float) -> float:
    """Return a percentage rounded to the hundredth; a whole one as an integer."""
    rounded = round(percent, 2)
    return int(rounded) if rounded == int(rounded) else rounded


def _step(stored: Any) -> Step:
    """Rebuild a step; a pair of weight and seconds is how rollouts were stored that knew nothing else."""
    return Step(**stored) if isinstance(stored, Mapping) else Step(stored[0], stored[1])
