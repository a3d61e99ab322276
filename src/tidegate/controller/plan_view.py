"""What a dry run tells of a plan: its steps, its way back, what the judge holds it to, and who is asked and told. Pure.

Durations are in seconds; whatever may be a secret is named and not written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from tidegate import judge
from tidegate.contract.health import CustomCheck, HealthCheck
from tidegate.contract.quantities import Duration
from tidegate.contract.request import DeploymentRequest
from tidegate.controller import freezing, planning
from tidegate.rollout import Plan
from tidegate.store import FreezeRow, RevisionRow
from tidegate.trial.measurements import failed_beyond, failing
from tidegate.trial.resources import CPU, MEMORY, conditions
from tidegate.trial.rules import never_measured, rules
from tidegate.trial.steps import kinds


def plan_view(request: DeploymentRequest, stable: RevisionRow | None, needed: float | None = None) -> dict[str, Any]:
    """Return what the engine would go through, step by step, and what it would do when it must choose by itself.

    Args:
        request: what is asked for.
        stable: the revision that serves, or None.
        needed: as of `planning.plan_trial`.
    """
    plan = planning.plan_trial(request, stable, stable.number + 1 if stable is not None else 1, needed)
    return {
        "strategy": request.deployment_strategy,
        "replicas": plan.replicas,
        "stable_replicas": plan.stable_replicas,
        "workers": request.infrastructure.resources.workers,
        "ready_within_seconds": plan.ready_within_seconds,
        "max_restarts": plan.max_restarts,
        "baseline_seconds": plan.baseline_seconds,
        "arms": [{"name": arm.name, "weight": arm.weight} for arm in plan.arms],
        "steps": [
            {"kind": kind, **asdict(step)} for kind, step in zip(kinds(request, plan.steps), plan.steps, strict=True)
        ],
        "on_inconclusive": plan.on_inconclusive,
        "on_warning": plan.on_warning,
        "way_back": _way_back(plan),
        "reason_required": plan.reason_required,
        "checks": [_check(name, check) for name, check in request.health_checks.every().items()],
        "hooks": [
            {
                "name": hook.name,
                "type": hook.type,
                "where": hook.shown,
                "interval_seconds": hook.interval.seconds,
                "retries": hook.retries,
                "wait_at_most_seconds": _seconds(hook.wait_at_most),
                "on_failure": hook.on_failure,
            }
            for hook in request.hooks
        ],
        "notifications": [
            {"name": told.name, "where": told.shown, "when": list(told.when)} for told in request.notifications
        ],
    }


def _way_back(plan: Plan) -> dict[str, Any] | None:
    """Return where a rollout goes back to; `is_instant`: stable keeps its replicas, so the split is all it takes."""
    if plan.stable is None:
        return None
    kept = all(step.stable_replicas in (None, plan.stable_replicas) for step in plan.steps)
    return {"revision": plan.stable, "is_instant": kept}


def _check(name: str, check: HealthCheck) -> dict[str, Any]:
    return {
        "name": name,
        "asks": check.asked[0] if check.asked else None,
        "affects": check.affects if isinstance(check, CustomCheck) else name,
        "critical": isinstance(check, CustomCheck) and check.critical,
        "period_seconds": check.period.seconds,
        "timeout_seconds": check.timeout.seconds,
        "failure_threshold": check.failure_threshold,
    }


def _seconds(asked: Duration | None) -> float | None:
    return None if asked is None else asked.seconds


def freezes_view(freezes: Iterable[FreezeRow], name: str, now: datetime) -> list[dict[str, Any]]:
    """Return the freezes that hold for a deployment now, or will."""
    return [
        {**freezing.view(freeze), "holds": freeze.starts_at <= now}
        for freeze in freezing.pending(freezes, now)
        if freeze.deployment in (None, name)
    ]


def judge_view(request: DeploymentRequest, stable: RevisionRow | None, needed: float | None = None) -> dict[str, Any]:
    """Return what the candidate would be held to, with what follows from each kind of harm.

    What no step of the plan measures is left out. Arguments: as of `plan_view`.
    """
    policy, plan = rules(request), planning.plan_trial(request, stable, 1, needed)
    apart = never_measured(plan.steps)
    return {
        "alpha": policy.alpha,
        "requests_to_pass": planning.requests_to_pass(request),
        "signals": [
            {
                "signal": signal.name,
                "verb": signal.verb,
                "objective": signal.objective,
                "margin": signal.margin,
                "min_requests": signal.min_requests,
                **_counts_for(signal),
            }
            for signal in policy.signals
            if signal.name not in apart
        ],
        "shifts": [
            {
                "signal": held.name,
                "tolerance": held.tolerance,
                "margin": held.margin,
                "min_requests": held.min_requests,
                **_counts_for(held),
            }
            for held in policy.shifts
            # Without a limit there is nothing that a distance could be held against.
            if request.analysis.predictions.tolerance is not None and held.name not in apart
        ],
        "metrics": [
            {
                "metric": metric.name,
                "fails_when": failing(metric),
                "failure_limit": metric.failure_limit,
                "too_many": failed_beyond(metric.failure_limit),
                "interval_seconds": metric.interval.seconds,
                "weight": metric.weight,
                "critical": metric.critical,
                "dry_run": metric.dry_run,
            }
            for metric in request.analysis.metrics
            if metric.counted is None
        ],
        "resources": _resources(request),
    }


def _counts_for(held: judge.SignalPolicy | judge.ShiftPolicy) -> Mapping[str, Any]:
    return {"weight": held.weight, "critical": held.is_critical, "dry_run": held.is_dry_run}


def _resources(request: DeploymentRequest) -> list[dict[str, Any]]:
    watched = {MEMORY: request.analysis.resources.memory, CPU: request.analysis.resources.cpu}
    told = conditions(request.analysis.resources)
    return [
        {
            "resource": name,
            "fails_when": told[name],
            "weight": one.weight,
            "critical": one.critical,
            "dry_run": one.dry_run,
        }
        for name, one in watched.items()
        if one is not None
    ]
