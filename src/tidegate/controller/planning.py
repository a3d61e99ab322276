"""From a request document to what the engine, the judge and the target are to do. Pure."""

from __future__ import annotations

from pathlib import Path

from tidegate import judge
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller import evidence
from tidegate.gateway.base import RevisionRef
from tidegate.rollout import Plan, Step
from tidegate.store import RevisionRow
from tidegate.target.base import RevisionSpec

#: How long a candidate that carries traffic may be without a ready replica. The judge sees the failed requests long
#: before; this is for a candidate that gets none to fail.
UNREADY_SECONDS = 5.0


def refuse_unsupported(request: DeploymentRequest) -> None:
    """Raise InvalidInput for what the schema knows and this version cannot do."""
    platform = request.infrastructure.platform
    if platform != "local":
        raise InvalidInput(
            f"this version cannot deploy to the platform {platform!r}",
            subject="infrastructure.platform",
            expected="local",
            got=platform,
        )
    if request.deployment_strategy != "canary":
        raise InvalidInput(
            f"this version does not know the strategy {request.deployment_strategy!r} yet",
            subject="deploymentStrategy",
            expected="canary",
            got=request.deployment_strategy,
        )


def request_of(revision: RevisionRow) -> DeploymentRequest:
    """Return the request that made the revision."""
    return parse_request(revision.request)


def plan_trial(request: DeploymentRequest, stable: RevisionRow | None, candidate: int) -> Plan:
    """Plan the rollout of a new revision: with a trial where a stable revision serves, at once where none does."""
    steps: tuple[Step, ...] = ()
    if stable is not None:
        longest = request.analysis.step_duration
        steps = tuple(Step(step.weight, (step.duration or longest).seconds) for step in request.steps)
    return _plan(request, stable, candidate, steps)


def plan_return(request: DeploymentRequest, stable: RevisionRow, candidate: int) -> Plan:
    """Plan the return to a revision that was stable before: as soon as its replicas are ready, without a trial."""
    return _plan(request, stable, candidate, ())


def _plan(request: DeploymentRequest, stable: RevisionRow | None, candidate: int, steps: tuple[Step, ...]) -> Plan:
    return Plan(
        candidate=candidate,
        stable=stable.number if stable is not None else None,
        steps=steps,
        replicas=replicas(request),
        stable_replicas=replicas(request_of(stable)) if stable is not None else 0,
        baseline_seconds=request.analysis.baseline.seconds,
        ready_within_seconds=request.health_checks.ready_within.seconds,
        unready_seconds=UNREADY_SECONDS,
        max_restarts=request.health_checks.max_restarts,
        on_inconclusive=request.analysis.on_inconclusive,
    )


def replicas(request: DeploymentRequest) -> int:
    return request.infrastructure.resources.replicas


def rules(request: DeploymentRequest) -> judge.Policy:
    """Return what the judge is to hold the candidate to."""
    analysis = request.analysis
    return evidence.policy(
        budget=float(request.error_budget),
        latency=str(request.serving_requirements.latency_p99),
        alpha=analysis.alpha.ratio,
        margin=analysis.margin.ratio,
        min_requests=analysis.min_requests,
    )


def requests_to_pass(request: DeploymentRequest) -> int:
    """Return how many requests of a step the candidate must answer, all of them well, before the judge can pass it."""
    policy = rules(request)
    unseen = judge.assess(policy, judge.begin_step(policy, judge.begin(policy, {})))
    return max(signal.still_needed for signal in unseen.signals)


def too_short_steps(request: DeploymentRequest) -> tuple[str, ...]:
    """Return a warning for each step that the declared throughput gives too few requests for a verdict."""
    needed = requests_to_pass(request)
    throughput = request.serving_requirements.throughput
    warnings = []
    for step in request.steps:
        duration = step.duration or request.analysis.step_duration
        brings = throughput.rps * step.weight / 100 * duration.seconds
        if brings < needed:
            warnings.append(
                f"at {throughput} a step of {duration} with {step.weight} % brings about {brings:.0f} requests, and a "
                f"pass takes {needed} at least: give it more time (--step-duration), more weight (--steps) or a wider "
                "margin (analysis.margin)"
            )
    return tuple(warnings)


def spec(name: str, revision: RevisionRow, bundles: Path) -> RevisionSpec:
    """Return what it takes to run the revision."""
    request = request_of(revision)
    return RevisionSpec(
        ref=RevisionRef(name, revision.number),
        bundle=bundles / revision.digest,
        model_name=name,
        model_version=request.model_artifact.version or str(revision.number),
        latency_objective_ms=request.serving_requirements.latency_p99.ms,
        threads=request.infrastructure.resources.threads,
    )
