"""The JSON documents that the API answers with, built from rows and from what the reconciler sees. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.controller.arms import arms_view, check_split
from tidegate.controller.drift.log_readings import AspectSeen, seen_views
from tidegate.controller.drift.readings import seen_view
from tidegate.controller.drift.watcher import DriftSeen
from tidegate.controller.evidence import Measured
from tidegate.controller.reconcile import Seen
from tidegate.rollout import Phase, Rollout
from tidegate.store import DeploymentRow, Event, RevisionRow, RolloutRow
from tidegate.target.base import CheckHealth, RevisionHealth


def status(
    deployment: DeploymentRow,
    last: RolloutRow | None,
    seen: Seen,
    url: str,
    *,
    drift: DriftSeen | None = None,
    aspects: Mapping[str, AspectSeen] | None = None,
) -> dict[str, Any]:
    """Return what a deployment is doing now.

    Args:
        last: its latest rollout, which may still be under way.
        drift: None where nobody asked for a watch.
        aspects: what the log of predictions says beside.
    """
    active = last if last is not None and last.ended_at is None else None
    rollout = Rollout.from_storage(active.state) if active is not None else None
    if rollout is not None:
        asked = rollout.split()
    else:
        asked = {deployment.stable: 100} if deployment.stable is not None else {}
    phase = active.phase if active is not None else ("serving" if deployment.stable is not None else "failed")
    return {
        "name": deployment.name,
        "url": url,
        "phase": phase,
        "stable": deployment.stable,
        "candidate": rollout.plan.candidate if rollout is not None else None,
        "split_asked": {str(revision): weight for revision, weight in asked.items()},
        "split_observed": Measured.from_storage(active.evidence).observed_percent() if active is not None else None,
        "replicas": {str(number): _health(health) for number, health in sorted(seen.health.items())},
        "rollout": rollout_view(last, seen if active is not None else None) if last is not None else None,
        "drift": None
        if drift is None
        else {**seen_view(drift.last, drift.trouble), "aspects": seen_views(aspects or {})},
        "trouble": seen.trouble,
        "created_at": deployment.created_at.isoformat(),
    }


def rollout_view(row: RolloutRow, seen: Seen | None) -> dict[str, Any]:
    """Return one rollout; `seen` is None for one that has ended."""
    rollout = Rollout.from_storage(row.state)
    measured = Measured.from_storage(row.evidence)
    verdict = seen.verdict if seen is not None else None
    return {
        "id": str(row.id),
        "deployment": row.deployment,
        "from_revision": row.from_revision,
        "to_revision": row.to_revision,
        "phase": row.phase,
        "step_index": rollout.step,
        "steps": [
            {
                "weight": step.weight,
                "mirror": step.mirror,
                "until": step.until,
                "duration_seconds": step.duration_seconds,
            }
            for step in rollout.plan.steps
        ],
        "weight": rollout.challengers_weight,
        "mirror": rollout.mirror,
        "waiting_for": _waiting_for(rollout, seen),
        "reason_required": rollout.plan.reason_required,
        "reason": rollout.reason,
        "started_at": row.started_at.isoformat(),
        "phase_since": rollout.phase_since.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at is not None else None,
        "verdict": verdict.as_dict() if verdict is not None else None,
        **(_test(rollout, measured, seen) if rollout.plan.arms else {}),
        "requests": {str(number): totals.as_dict() for number, totals in measured.total.items()},
        "ranges": measured.ranges.as_dict(),
        "requests_in_step": {str(number): totals.as_dict() for number, totals in measured.in_step.items()},
    }


def _waiting_for(rollout: Rollout, seen: Seen | None) -> str | None:
    if rollout.phase is Phase.PAUSED:
        return "a person"
    if seen is None or seen.held is not None or rollout.phase is not Phase.SCALING:
        return seen.held if seen is not None else None
    found = [health.ready if (health := seen.health.get(revision)) else 0 for revision in rollout.on_trial]
    whose = "each arm" if len(found) > 1 else "the candidate"
    return f"replicas of {whose} ({', '.join(map(str, found))} of {rollout.replicas} ready)"


def _test(rollout: Rollout, measured: Measured, seen: Seen | None) -> dict[str, Any]:
    """Return what is known of an A/B test: its arms, how they compare, and whether the split is as asked."""
    known = seen.of_arms(rollout) if seen is not None else {"arms": arms_view(rollout, {}), "comparison": None}
    return {**known, "split_check": check_split(measured, rollout).value}


def history(revisions: Sequence[RevisionRow], rollouts: Sequence[RolloutRow]) -> dict[str, Any]:
    """Return everything a deployment ever was, newest last."""
    return {
        "revisions": [
            {
                "number": revision.number,
                "digest": revision.digest,
                "created_at": revision.created_at.isoformat(),
                "artifact": revision.request["modelArtifact"]["path"],
                "request": dict(revision.request),
            }
            for revision in revisions
        ],
        "rollouts": [rollout_view(row, None) for row in rollouts],
    }


def event_view(event: Event) -> dict[str, Any]:
    """Return one event; ids of rollouts are text in the API."""
    return {**event.as_dict(), "rollout": str(event.rollout) if event.rollout is not None else None}


def _check(check: CheckHealth) -> dict[str, Any]:
    return {
        "name": check.name,
        "affects": check.affects,
        "critical": check.critical,
        "passing": check.passing,
        "detail": check.detail,
        "seconds": None if check.seconds is None else round(check.seconds, 1),
    }


def _health(health: RevisionHealth) -> dict[str, Any]:
    return {
        "wanted": len(health.replicas),
        "ready": health.ready,
        "restarts": health.restarts,
        "replicas": [
            {
                "index": replica.index,
                "address": replica.address,
                "grpc_address": replica.grpc_address,
                "pid": replica.pid,
                "ready": replica.ready,
                "restarts": replica.restarts,
                "last_exit": replica.last_exit,
                "unwell": replica.unwell,
                "checks": [_check(check) for check in replica.checks],
            }
            for replica in health.replicas
        ],
    }
