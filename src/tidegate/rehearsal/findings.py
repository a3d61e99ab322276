"""What a rehearsal found: one finding for each fault, from the rollout's report and the sender's own records. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidegate.contract.faults import Fault, FaultKind
from tidegate.contract.quantities import Duration
from tidegate.contract.request import DeploymentRequest
from tidegate.rehearsal.script import blind_spots
from tidegate.rehearsal.traffic import Answered, Sent

#: Signals that are not the judge's.
GOLDEN, DEATHS, READINESS, HEALTH = "golden requests", "replica deaths", "readiness", "health checks"


class Ending(StrEnum):
    """How the rollout of a faulty copy ended."""

    ROLLED_BACK = "rolled back"
    WAITS = "waits for a person"
    PROMOTED = "promoted"
    TIME_LIMIT = "not detected in time"
    ENDED = "ended by somebody"


@dataclass(frozen=True)
class Answers:
    """What the sender saw while the faulty copy was on trial.

    Attributes:
        sent: all requests.
        failed, wrong, slow: of those that the faulty copy answered, or that nobody did; each request counts once.
        failed_of_stable: failed with stable's name on them, so stable was harmed.
    """

    sent: int = 0
    failed: int = 0
    wrong: int = 0
    slow: int = 0
    failed_of_stable: int = 0

    @property
    def bad(self) -> int:
        return self.failed + self.wrong + self.slow


@dataclass(frozen=True)
class Finding:
    """What came of one fault.

    Attributes:
        signals: what took the copy back; empty when nothing did.
        reason: in the engine's words.
        seconds: from the first request that could reach the copy to the decision; None when there was none of the two.
        percent: of the requests went to the copy when it was decided; 0 before and during a shadow.
        in_force_ms: from the decision to the split without the copy.
        back_to: the revision of the user's deployment that the copy of stable stands for; None when not rolled back.
        rollout_seconds: from the beginning of the rollout to its end.
        advice: what to change so that it is detected next time.
    """

    fault: Fault
    ending: Ending
    signals: tuple[str, ...]
    reason: str
    seconds: float | None
    percent: float
    in_force_ms: float | None
    back_to: int | None
    rollout_seconds: float
    answers: Answers
    advice: tuple[str, ...] = ()

    @property
    def detected(self) -> bool:
        return self.ending is Ending.ROLLED_BACK

    @property
    def holds(self) -> bool:
        """Whether the net held: the copy was taken back, and stable failed nobody."""
        return self.detected and self.answers.failed_of_stable == 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "fault": self.fault.text,
            "kind": self.fault.kind.value,
            "detected": self.detected,
            "ending": self.ending.value,
            "signals": list(self.signals),
            "reason": self.reason,
            "seconds": self.seconds,
            "percent": self.percent,
            "in_force_ms": self.in_force_ms,
            "back_to": self.back_to,
            "rollout_seconds": self.rollout_seconds,
            "requests": asdict(self.answers) | {"bad": self.answers.bad},
            "advice": list(self.advice),
        }


def answers_of(sent: Sequence[Sent], stable: int) -> Answers:
    """Count what became of the requests of one trial; `stable` is the revision of the healthy copy."""
    theirs = Counter(one.answered for one in sent if one.revision != stable)
    failed_of_stable = sum(one.answered is Answered.FAILED for one in sent if one.revision == stable)
    return Answers(
        sent=len(sent),
        failed=theirs[Answered.FAILED],
        wrong=theirs[Answered.WRONG],
        slow=theirs[Answered.SLOW],
        failed_of_stable=failed_of_stable,
    )


def finding_of(
    fault: Fault, ending: Ending, report: Mapping[str, Any], answers: Answers, *, stands_for: int, time_limit: Duration
) -> Finding:
    """Return what came of a fault.

    Args:
        report: of the rollout (`Client.report`), at the moment that `ending` was settled.
        stands_for: the user's revision that the healthy copy was made of.
    """
    events = report["events"]
    decided = next((event for event in reversed(events) if event["kind"] == "rolling_back"), None)
    met = next((event for event in events if _has_traffic(event)), None)
    ended = decided if ending is Ending.ROLLED_BACK else None
    back = report["rollback"] if ending is Ending.ROLLED_BACK else None
    return Finding(
        fault=fault,
        ending=ending,
        signals=signals_of(report) if ending is Ending.ROLLED_BACK else (),
        reason=_reason(ending, report, time_limit),
        seconds=_between(met, ended),
        percent=float(back["weight_before"]) if back is not None else 0.0,
        in_force_ms=back["split_in_force_ms"] if back is not None else None,
        back_to=stands_for if ending is Ending.ROLLED_BACK else None,
        rollout_seconds=_between(events[0], ended or events[-1]) or 0.0,
        answers=answers,
    )


def signals_of(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what made the engine take a candidate back, from the report of the rollout."""
    checks = report.get("checks")
    if checks is not None and checks.get("passed") is False:
        return (GOLDEN,)
    decided = next((event for event in reversed(report["events"]) if event["kind"] == "rolling_back"), None)
    verdict = (decided or {}).get("data", {}).get("verdict")
    # The engine quotes the verdict that it acts on; replicas that die or stay away come before it.
    if verdict is not None and verdict["outcome"] == "fail" and verdict["reason"] in decided["message"]:  # type: ignore[index]
        return tuple(signal["signal"] for signal in verdict["signals"] if signal["outcome"] == "fail")
    if decided is not None and decided["message"].startswith("the critical check "):
        return (HEALTH,)
    return (DEATHS,) if any(event["kind"] == "replica_died" for event in report["events"]) else (READINESS,)


def advised(finding: Finding, request: DeploymentRequest) -> tuple[str, ...]:
    """Return what to change so that the fault is detected next time; nothing where it was."""
    if finding.detected:
        return ()
    kind = finding.fault.kind
    blind = blind_spots(request, [kind]).get(kind, ())
    if blind:
        return blind
    advice = []
    objective = request.serving_requirements.latency_p99
    if kind is FaultKind.LATENCY and finding.fault.amount < objective.seconds:
        advice.append(
            f"{finding.fault} may stay within the objective of {objective}, and then is no harm: a stricter latencyP99 "
            "(--p99) would see it"
        )
    if kind is FaultKind.ERRORS and finding.fault.amount <= float(request.error_budget):
        advice.append("so few errors are within the objective: a stricter availability would see them")
    if kind in (FaultKind.CRASH, FaultKind.MEMORY_LEAK):
        advice.append(
            f"replicas may die {request.health_checks.max_restarts} times before the candidate is taken back: a lower "
            "healthChecks.maxRestarts"
        )
    if kind is FaultKind.MEMORY_LEAK:
        advice.append("longer steps: a leak shows with the number of requests")
    if finding.ending is Ending.WAITS:
        advice.append("analysis.onInconclusive: rollback (--on-inconclusive) takes it back instead of waiting")
    if finding.ending is Ending.TIME_LIMIT:
        advice.append("a longer --time-limit, when the steps take longer than that")
    if kind in (FaultKind.ERRORS, FaultKind.LATENCY):
        advice.append("more traffic, or longer steps: `tidegate forecast` says what each step can see")
    return tuple(advice)


def _has_traffic(event: Mapping[str, Any]) -> bool:
    data = event.get("data") or {}
    is_begun = event["kind"] in ("analyzing", "paused")
    return is_begun and (data.get("weight", 0) > 0 or data.get("mirror", 0) > 0)


def _between(first: Mapping[str, Any] | None, last: Mapping[str, Any] | None) -> float | None:
    if first is None or last is None:
        return None
    return round((datetime.fromisoformat(last["at"]) - datetime.fromisoformat(first["at"])).total_seconds(), 3)


def _reason(ending: Ending, report: Mapping[str, Any], time_limit: Duration) -> str:
    if ending is Ending.TIME_LIMIT:
        return f"not detected within {time_limit}; {report['reason']}"
    if ending is Ending.PROMOTED:
        return f"promoted with the fault in it: {report['reason']}"
    return str(report["reason"])
