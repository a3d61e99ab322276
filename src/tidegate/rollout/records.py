"""The records of a rollout: what was planned, where it stands, what was seen, what is to be done.

All are frozen. `Rollout` is what is stored between two steps of the machine; its storage form holds plain JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

OnInconclusive = Literal["pause", "rollback", "continue"]


class Phase(StrEnum):
    """Where a rollout stands."""

    #: The candidate's replicas are starting; it gets no traffic.
    PREPARING = "preparing"
    #: The candidate is ready; stable's own rates are being measured; the candidate gets no traffic.
    BASELINE = "baseline"
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
    """One stage. `weight` is the candidate's whole percent; `duration_seconds` the most time that the judge gets."""

    weight: int
    duration_seconds: float


@dataclass(frozen=True)
class Plan:
    """What a rollout is to do, fixed when it starts.

    Attributes:
        candidate: revision on trial.
        stable: revision that serves; None for the first deployment of a name.
        steps: in order, weights strictly rising to 100. Empty means no trial: the candidate takes over once it is ready
            (the first deployment, or the return to a revision that was stable before).
        replicas: of the candidate.
        stable_replicas: of stable, kept through the whole rollout; 0 when `stable` is None.
        baseline_seconds: how long stable is measured before the first step.
        ready_within_seconds: the most time that the candidate's replicas may take to become ready.
        unready_seconds: how long a candidate that carries traffic may be without a single ready replica.
        max_restarts: deaths of candidate replicas that are tolerated over the rollout.
        on_inconclusive: what follows when a step's time is up and the judge can say neither pass nor fail.
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

    def __post_init__(self) -> None:
        weights = [step.weight for step in self.steps]
        if weights and (weights[-1] != 100 or weights[0] < 1 or sorted(set(weights)) != weights):
            raise ValueError(f"weights must rise strictly from at least 1 to 100, got {weights}")
        if self.stable is None and weights:
            raise ValueError("a rollout without a stable revision has no steps")


@dataclass(frozen=True)
class Verdict:
    """What the judge said at one look; `reason` is a sentence with the numbers."""

    outcome: Literal["pass", "fail", "inconclusive"]
    reason: str


@dataclass(frozen=True)
class Observation:
    """What was seen of the world at one instant.

    Attributes:
        candidate_ready, stable_ready: replicas that answer.
        candidate_restarts: deaths of candidate replicas so far, over the life of the revision.
        split: what the gateway confirmed to be in force; None when it could not be asked.
        split_check: what its counters say since the split came into force.
        verdict: None when the signals could not be measured at this look: never a pass, never a fail.
        held: why the rollout may not go forward now; it may still be paused and taken back. None: it may.
        refused: why the candidate is to be taken back, by somebody who was asked; None: nobody said so.
    """

    candidate_ready: int
    stable_ready: int
    candidate_restarts: int
    split: Mapping[int, int] | None
    split_check: SplitCheck
    verdict: Verdict | None
    held: str | None = None
    refused: str | None = None


@dataclass(frozen=True)
class EnsureReplicas:
    """Have exactly `count` replicas of `revision`."""

    revision: int
    count: int


@dataclass(frozen=True)
class SetSplit:
    """Give each revision its weight; an empty split takes the deployment off the gateway."""

    split: Mapping[int, int]


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


@dataclass(frozen=True)
class Rollout:
    """Where a rollout stands.

    Attributes:
        phase_since: when the phase was entered.
        step: index into `plan.steps`; -1 before the first.
        reason: why it is in this phase, a sentence.
        unready_since: since when the candidate has had no ready replica although it carries traffic, else None.
        restarts_before: deaths that the candidate's revision had on record before this rollout; None until it was seen.
        resume_to: for PAUSED, the phase that `resume` returns to.
        end: for ROLLING_BACK, the phase that it ends in.
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

    @classmethod
    def begin(cls, plan: Plan, now: datetime) -> Self:
        """Return the state in which every rollout starts."""
        return cls(plan=plan, phase=Phase.PREPARING, phase_since=now, reason="the candidate's replicas are starting")

    @property
    def is_terminal(self) -> bool:
        return self.phase in TERMINAL

    @property
    def weight(self) -> int:
        """The candidate's weight (percent) that this state asks for."""
        match self.phase:
            case Phase.PROMOTING | Phase.PROMOTED:
                return 100
            case Phase.SHIFTING | Phase.ANALYZING | Phase.PAUSED if self.step >= 0:
                return self.plan.steps[self.step].weight
            case _:
                return 0

    def split(self) -> dict[int, int]:
        """Return the split that this state asks for: revision to whole percent, summing to 100, or empty."""
        weight = self.weight
        split = {self.plan.candidate: weight} if weight else {}
        if self.plan.stable is not None and weight < 100:
            split[self.plan.stable] = 100 - weight
        return split

    def evolve(self, **changes: Any) -> Self:
        return replace(self, **changes)

    def for_storage(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        plan = {name: value for name, value in vars(self.plan).items() if name != "steps"}
        plan["steps"] = [[step.weight, step.duration_seconds] for step in self.plan.steps]
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
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild the state that `for_storage` gave."""
        plan = dict(stored["plan"])
        plan["steps"] = tuple(Step(int(weight), float(duration)) for weight, duration in plan["steps"])
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
        )
