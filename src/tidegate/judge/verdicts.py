"""From evidence to a verdict, and to the sentence that says why."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tidegate.judge import bernoulli, shift
from tidegate.judge.evidence import Evidence, SignalEvidence
from tidegate.judge.looks import fail_threshold, pass_threshold, stable_guess
from tidegate.judge.metrics import Measurements, assess_metric
from tidegate.judge.records import (
    MetricPolicy,
    MetricVerdict,
    Outcome,
    Policy,
    ShiftPolicy,
    SignalPolicy,
    SignalVerdict,
    Tally,
    Verdict,
)
from tidegate.judge.shift_verdicts import assess_shift
from tidegate.judge.wording import of_requests, percent

#: Fewer bad events than this never fail a candidate, whatever the numbers say.
LEAST_BAD_EVENTS = 3

_NOTHING: Mapping[str, Any] = MappingProxyType({})

Said = tuple[SignalPolicy | ShiftPolicy | MetricPolicy, SignalVerdict | MetricVerdict]


def assess(
    policy: Policy,
    evidence: Evidence,
    idle: Collection[str] = (),
    unmeasured: Mapping[str, str] = _NOTHING,
    *,
    measurements: Mapping[str, Measurements] = _NOTHING,
    distributions: Mapping[str, shift.Features] = _NOTHING,
) -> Verdict:
    """Return what the evidence says now. Looking changes nothing, and may happen at any time.

    Args:
        idle: signals that are not measured in this step. What they showed before can still fail the candidate; they
            do not hold it back from passing.
        unmeasured: by signal, why it could not be measured at the last look. What it showed before can still fail the
            candidate; it does not pass.
        measurements: of the policy's metrics, by name; one that is missing was never measured.
        distributions: what is known of those that the policy compares, by signal.
    """
    judged: list[tuple[SignalPolicy | ShiftPolicy, SignalVerdict]] = [
        (signal, _assess(policy, signal, evidence.of(signal.name))) for signal in policy.signals
    ]
    judged += [
        (held, assess_shift(held, distributions.get(held.name, {}), policy.alpha_of(held), policy.beta))
        for held in policy.shifts
    ]
    judged = [(held, _unmeasured(said, unmeasured.get(held.name))) for held, said in judged]
    mix = _mix(policy, distributions, idle, unmeasured)
    if mix is not None and mix.outcome == "warning":
        judged = [(held, _beside_mix(held, said, mix.reason)) for held, said in judged]
    signals = (*(said for _, said in judged), *([mix] if mix is not None else []))
    metrics = tuple(assess_metric(held, measurements.get(held.name, Measurements())) for held in policy.metrics)
    said: list[Said] = [*judged, *zip(policy.metrics, metrics, strict=True)]
    not_waited_for = {*idle, *(held.name for held in policy.signals if not held.holds_back)}
    outcome, reason, score = _together([(held, one) for held, one in said if not held.is_dry_run], not_waited_for)
    return Verdict(outcome, reason, signals, score, metrics)


def _together(counted: Sequence[Said], idle: Collection[str]) -> tuple[Outcome, str, int]:
    """Return the worst of what counts, why, and the score."""
    failed = [said for held, said in counted if said.outcome == "fail" and held.is_critical]
    if failed:
        return "fail", _sentence(failed), 0
    score = _score(counted)
    # What failed in an earlier step is told in every later one.
    measured = [said for held, said in counted if held.name not in idle or said.outcome == "fail"]
    if not measured:
        return "inconclusive", "nothing is measured in this step", score
    for outcome in ("error", "inconclusive"):
        if found := [said for said in measured if said.outcome == outcome]:
            return found[0].outcome, _sentence(found), score
    warned = [said for said in measured if said.outcome in ("fail", "warning")]
    if warned:
        return "warning", _sentence(warned), score
    return "pass", _sentence(measured), score


def _mix(
    policy: Policy, distributions: Mapping[str, shift.Features], idle: Collection[str], unmeasured: Mapping[str, str]
) -> SignalVerdict | None:
    """Return whether candidate and stable see different requests; a warning if they demonstrably do."""
    held = policy.mix
    if held is None:
        return None
    said = assess_shift(held, distributions.get(held.name, {}), policy.alpha, policy.beta)
    if held.name in idle:
        told = "both revisions answer the same requests in this step, or one of them answers all"
        return replace(said, outcome="inconclusive", reason=f"{held.name}: {told}")
    if said.outcome != "fail":
        return _unmeasured(said, unmeasured.get(held.name))
    told = said.reason.removeprefix(f"{held.name}: ")
    return replace(said, outcome="warning", reason=f"{held.name}: candidate and stable see different requests: {told}")


def _beside_mix(held: SignalPolicy | ShiftPolicy, said: SignalVerdict, mix: str) -> SignalVerdict:
    """Return a fail with the difference of the requests named, and taken off the candidate where that may be why.

    Harm that no request excuses stays a fail.
    """
    if said.outcome != "fail":
        return said
    if not held.depends_on_inputs:
        return replace(said, reason=f"{said.reason} ({mix})")
    outcome: Outcome = "inconclusive" if held.is_critical else "warning"
    return replace(said, outcome=outcome, reason=f"{said.reason}; not blamed on the candidate ({mix})")


def _unmeasured(said: SignalVerdict, why: str | None) -> SignalVerdict:
    if why is None or said.outcome == "fail":
        return said
    return replace(said, outcome="error", reason=f"{said.signal}: could not be measured: {why}")


def _score(counted: Sequence[Said]) -> int:
    """Return 100 without any evidence of harm, less the further each signal is on its way to a fail."""
    weights = sum(held.weight for held, _ in counted)
    harm = sum(held.weight * min(1.0, said.harm) for held, said in counted)
    return round(100 * (1 - harm / weights)) if weights else 100


def _sentence(signals: Sequence[SignalVerdict | MetricVerdict]) -> str:
    """Return one sentence for several signals; what is true of more than one is said once."""
    names: dict[str, list[str]] = {}
    for signal in signals:
        names.setdefault(signal.reason.removeprefix(f"{signal.signal}: "), []).append(signal.signal)
    return "; ".join(f"{', '.join(named)}: {why}" for why, named in names.items())


def _assess(policy: Policy, signal: SignalPolicy, known: SignalEvidence) -> SignalVerdict:
    harm = min(known.worse.log, known.outside.log) / fail_threshold(policy, signal)
    safety = known.safe.log / pass_threshold(policy)
    outcome: Outcome = "inconclusive"
    if harm >= 1.0 and known.candidate.bad >= LEAST_BAD_EVENTS:
        outcome = "fail"
    elif safety >= 1.0 and known.step_candidate.requests >= signal.min_requests:
        outcome = "pass"
    needed = _still_needed(policy, signal, known) if outcome == "inconclusive" else 0
    candidate, stable = _shown(known, outcome)
    counts = _counts(signal, known, candidate, stable)
    return SignalVerdict(
        signal=signal.name,
        outcome=outcome,
        reason=f"{signal.name}: {_why(signal, known, counts, outcome, needed)}",
        candidate=candidate,
        stable=stable,
        concurrent=known.step_stable.requests > 0,
        candidate_rate=candidate.rate,
        stable_rate=stable.rate,
        objective=signal.objective,
        harm=max(0.0, harm),
        safety=max(0.0, safety),
        log_worse_than_stable=known.worse.log,
        log_outside_objective=known.outside.log,
        log_safe=known.safe.log,
        still_needed=needed,
    )


def _shown(known: SignalEvidence, outcome: Outcome) -> tuple[Tally, Tally]:
    """Return the counts that the verdict rests on: the step's, unless a fail needs those of earlier steps."""
    before = known.baseline + known.stable
    of_step = known.step_candidate.rate or 0.0
    if outcome == "fail" and (known.step_candidate.bad < LEAST_BAD_EVENTS or of_step < (known.candidate.rate or 0.0)):
        return known.candidate, known.stable if known.stable.requests else before
    return known.step_candidate, known.step_stable if known.step_stable.requests else before


def _counts(signal: SignalPolicy, known: SignalEvidence, candidate: Tally, stable: Tally) -> str:
    tried = f"{candidate.bad:,} of {candidate.requests:,} candidate {of_requests(candidate.requests)} {signal.verb}"
    if candidate.rate is not None:
        tried += f" ({percent(candidate.rate)})"
    return f"{tried} {_beside(known, stable)}; objective {percent(signal.objective)}"


def _beside(known: SignalEvidence, stable: Tally) -> str:
    if stable.rate is None:
        return "and nothing is known of stable"
    seen = f"against {stable.bad:,} of {stable.requests:,} on stable"
    return f"{seen}{'' if known.step_stable.requests else ' before'} ({percent(stable.rate)})"


def _why(signal: SignalPolicy, known: SignalEvidence, counts: str, outcome: Outcome, needed: int) -> str:
    seen = known.step_candidate.requests
    if outcome != "inconclusive":
        return counts
    if not seen:
        return "no traffic has reached the candidate in this step"
    if seen < signal.min_requests:
        return f"{seen:,} of {signal.min_requests:,} candidate requests needed so far"
    if needed:
        return f"{counts}; too early to tell, at least {needed:,} more {of_requests(needed)} needed"
    return f"{counts}; neither harm nor safety is shown yet"


def _still_needed(policy: Policy, signal: SignalPolicy, known: SignalEvidence) -> int:
    """Return how many more requests it takes to pass if all are good: a lower bound, 0 if that is not known.

    One good request adds at most -log(1 - edge) to the evidence when the edge is a fixed rate. Where stable itself
    is outside the objective the edge moves with stable, and no such bound is given.
    """
    short = max(0, signal.min_requests - known.step_candidate.requests)
    if stable_guess(signal, known) > signal.objective:
        return short
    edge = bernoulli.clip(signal.objective + signal.margin)
    missing = pass_threshold(policy) - known.safe.log
    return max(short, math.ceil(missing / (-signal.tempering * math.log1p(-edge)))) if missing > 0.0 else short
