"""The result document of a deployment, from what is in the store and what is seen of the world."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tidegate.artifact.bundle import read_bundle
from tidegate.contract.metrics import Metric
from tidegate.contract.quantities import Duration, Memory
from tidegate.contract.request import DeploymentRequest
from tidegate.contract.result import (
    AlertRef,
    DeploymentConfig,
    DeploymentResult,
    Monitoring,
    RollbackTrigger,
    RolloutOutcome,
    ScheduledStep,
    ServingEndpoint,
    TrafficConfig,
    UsedResources,
)
from tidegate.controller import planning, sizing
from tidegate.controller.monitoring import alert_names
from tidegate.controller.protocols import answers_grpc
from tidegate.controller.service import Service
from tidegate.observe.catalogue import metric_names
from tidegate.rollout import Rollout, Step
from tidegate.store import RolloutRow
from tidegate.target.base import RevisionHealth
from tidegate.trial.measurements import failed_beyond, failing
from tidegate.trial.resources import SUSTAINED, triggers
from tidegate.trial.rules import DISAGREEMENT, OUTCOMES, never_measured, rules
from tidegate.trial.steps import trial_steps


def build(service: Service, name: str) -> dict[str, Any]:
    """Return the DeploymentResult document.

    Raises:
        NotFound: no such deployment.
    """
    store, home = service.store, service.home
    deployment = store.deployment(name)
    last = store.last_rollout(deployment.id)
    number = deployment.stable if deployment.stable is not None else (last.to_revision if last is not None else 1)
    revision = store.revision(deployment.id, number)
    request = planning.request_of(revision)
    bundle = home.bundles / revision.digest
    spec = planning.spec(name, revision, request, bundle, home.golden, grpc=answers_grpc(bundle))
    manifest = read_bundle(bundle).manifest
    needed = sizing.stable_needs(request, revision, home.bundles)
    url = service.target.url(name)
    health = service.supervisor.seen(name).health.get(number)
    replicas = len(health.replicas) if health is not None else planning.replicas(request)
    document = DeploymentResult(
        name=name,
        revision=number,
        deployment_config=DeploymentConfig(
            container_image=_image(health),
            replicas=replicas,
            resources=UsedResources(
                replicas=replicas,
                workers=spec.workers,
                threads=spec.threads,
                memory_per_replica=Memory(manifest.memory_bytes) if manifest.memory_bytes else None,
            ),
            strategy=request.deployment_strategy,
            platform=request.infrastructure.platform,
            bundle=f"sha256:{revision.digest}",
            runtime=manifest.runtime,
            model_version=spec.model_version,
        ),
        serving_endpoint=ServingEndpoint(
            url=url,
            health_endpoint=f"{url}/v2/health/ready",
            metrics_endpoint=f"{service.url}/v1/deployments/{name}/metrics",
            predict_endpoint=f"{url}/predict",
            infer_endpoint=f"{url}/v2/models/{name}/infer",
            preview_endpoint=service.target.preview_url(name) if last is not None and last.ended_at is None else None,
            grpc_endpoint=service.target.grpc_address() if _answers_grpc(health) else None,
        ),
        traffic_config=_traffic(last, request, _on_trial(service, last) or request, needed),
        monitoring=Monitoring(
            metrics=metric_names(),
            alerts=tuple(AlertRef(name=alert, file=str(home.rules(name))) for alert in alert_names(request)),
            dashboards=(str(home.dashboard(name)),),
        ),
        rollout=_outcome(service, last),
    )
    return document.as_document()


def _image(health: RevisionHealth | None) -> str | None:
    return next((replica.image for replica in health.replicas if replica.image), None) if health is not None else None


def _answers_grpc(health: RevisionHealth | None) -> bool:
    return health is not None and any(replica.grpc_address is not None for replica in health.replicas)


def _on_trial(service: Service, last: RolloutRow | None) -> DeploymentRequest | None:
    """Return the request of the candidate, whose service level the judge holds it to."""
    if last is None or last.ended_at is not None:
        return None
    return planning.request_of(service.store.revision(last.deployment_id, last.to_revision))


def _traffic(
    last: RolloutRow | None, serving: DeploymentRequest, judged: DeploymentRequest, needed: float | None
) -> TrafficConfig:
    """Return the split now and the latest rollout's schedule; after a first deployment, that of the next one.

    Args:
        needed: replicas of what serves that the throughput needs; None where nobody knows.
    """
    rollout = Rollout.from_storage(last.state) if last is not None else None
    under_way = rollout is not None and not rollout.is_terminal
    if rollout is not None and rollout.plan.steps:
        steps, reason_required = rollout.plan.steps, rollout.plan.reason_required
    else:
        steps, reason_required = trial_steps(serving, planning.replicas(serving), needed), serving.gates.require_reason
    return TrafficConfig(
        canary_percent=rollout.weight if rollout is not None and under_way else 0,
        shadow_percent=rollout.mirror if rollout is not None and under_way else 0,
        rollout_schedule=tuple(_scheduled(step) for step in steps),
        reason_required=reason_required,
        rollback_triggers=_triggers(judged, never_measured(steps)),
    )


def _scheduled(step: Step) -> ScheduledStep:
    return ScheduledStep(
        weight=step.weight,
        shadow=step.mirror or None,
        until=step.until,
        duration=None if step.until == "person" else Duration.of_seconds(step.duration_seconds),
        replicas=step.replicas,
    )


def _triggers(request: DeploymentRequest, apart: Collection[str]) -> tuple[RollbackTrigger, ...]:
    """Return what takes a candidate back, in the words and with the numbers that the judge and the engine use.

    Args:
        request: of the candidate.
        apart: signals that no step measures.
    """
    checks = request.health_checks
    bad = {
        "errors": "5xx answers",
        "latency": f"answers slower than {request.serving_requirements.latency_p99}",
        "rejections": "4xx answers",
        DISAGREEMENT: "copied requests that are answered otherwise than by stable",
        OUTCOMES: "requests that come to a bad outcome",
        **{metric.name: "what it counts as bad" for metric in request.analysis.metrics},
    }
    judged = (
        RollbackTrigger(
            signal=signal.name,
            condition=f"the share of {bad[signal.name]} is above stable's and above {signal.objective:.4%}, "
            f"at {request.analysis.alpha} false alarms over a whole rollout",
            threshold=signal.objective,
        )
        for signal in rules(request).signals
        if signal.fails_candidates and signal.name not in apart
    )
    shifted = (
        RollbackTrigger(
            signal=shift.name,
            condition=f"an output is distributed otherwise than stable's by more than {shift.tolerance:.4%} (total "
            f"variation distance) while the requests are alike, at {request.analysis.alpha} false alarms over a whole "
            "rollout",
            threshold=shift.tolerance,
        )
        for shift in rules(request).shifts
        if shift.fails_candidates and shift.name not in apart
    )
    return (
        *judged,
        *shifted,
        *(_limit(metric) for metric in request.analysis.metrics if _takes_back(metric)),
        *(
            RollbackTrigger(signal=name, condition=condition, threshold=float(SUSTAINED))
            for name, condition in triggers(request.analysis.resources).items()
        ),
        RollbackTrigger(
            signal="restarts",
            condition=f"the candidate's replicas die more than {checks.max_restarts} times",
            threshold=float(checks.max_restarts),
        ),
        RollbackTrigger(
            signal="readiness",
            condition=f"the replicas are not ready within {checks.ready_within}, or none is for "
            f"{planning.UNREADY_SECONDS:g} s while they carry traffic",
            threshold=checks.ready_within.seconds,
        ),
    )


def _takes_back(metric: Metric) -> bool:
    return metric.critical and not metric.dry_run and metric.counted is None


def _limit(metric: Metric) -> RollbackTrigger:
    return RollbackTrigger(
        signal=metric.name,
        condition=f"{failed_beyond(metric.failure_limit)}: {failing(metric)}",
        threshold=float(metric.failure_limit),
    )


def _outcome(service: Service, last: RolloutRow | None) -> RolloutOutcome | None:
    if last is None:
        return None
    report = service.home.report(last.deployment, last.id, "json")
    return RolloutOutcome(
        id=str(last.id),
        phase=last.phase,
        reason=Rollout.from_storage(last.state).reason,
        report_path=str(report) if report.exists() else None,
    )
