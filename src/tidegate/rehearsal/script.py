"""What a rehearsal does, decided before it begins: the copy's request, its faults, its traffic. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from tidegate.contract.errors import NotReady
from tidegate.contract.faults import Fault, FaultKind, parse_fault
from tidegate.contract.findings import Level
from tidegate.contract.health import CustomCheck, HealthCheck
from tidegate.contract.quantities import Throughput
from tidegate.contract.request import AbTest, DeploymentRequest, ModelArtifact, Registry
from tidegate.contract.serving import Cache, PredictionLog
from tidegate.gate import readiness
from tidegate.trial.rules import DISAGREEMENT, PREDICTIONS, never_measured
from tidegate.trial.steps import trial_steps

#: What is injected when nothing is said.
EVERY_FAULT = tuple(FaultKind)
#: Of what the machine could do, the part that a rehearsal takes unless it is told a rate: the rest is for users.
SHARE_OF_THE_MACHINE = 0.25
_LEAST_RPS = 2.0


def faults_of(words: Sequence[str], request: DeploymentRequest) -> tuple[Fault, ...]:
    """Read the faults of a rehearsal; without words every kind once. Raises InvalidInput."""
    objective = request.serving_requirements.latency_p99
    return tuple(parse_fault(word, objective=objective, field="--fault") for word in words or EVERY_FAULT)


def copy_of(request: DeploymentRequest, bundle: PurePath, take: int) -> DeploymentRequest:
    """Return the request that deploys a copy of what the request deployed, so that nobody else hears of it.

    Args:
        bundle: its folder, in the home in which the copy is deployed.
        take: 0 for stable, then 1, 2, … for candidates: each is a revision of its own.
    """
    artifact = ModelArtifact(path=str(bundle), version=f"rehearsal-{take}")
    return request.model_copy(
        update={
            "model_artifact": artifact,
            "notifications": (),
            "hooks": (),
            "prediction_log": PredictionLog(),
            "drift": None,
            "cache": Cache(),
            "infrastructure": request.infrastructure.model_copy(update={"platform": "local"}),
            "registry": Registry(),
            "ab_test": AbTest(weight=request.ab_test.challengers_weight) if request.ab_test.arms else request.ab_test,
            "analysis": request.analysis.model_copy(update={"metrics": (), "outcomes": None}),
            "gates": request.gates.model_copy(update={"vulnerabilities": None, "allow_breaking": False}),
        }
    )


def left_out(request: DeploymentRequest) -> tuple[str, ...]:
    """Return a sentence for each part of the deployment that its copies do without."""
    found = []
    if request.notifications or request.hooks:
        found.append("nobody is notified and no hook is asked")
    if request.analysis.metrics:
        found.append("metrics of your own (analysis.metrics) are not measured: they tell of what serves, not of copies")
    if request.analysis.outcomes is not None:
        found.append("no outcomes are waited for: nobody tells any of copies")
    if request.prediction_log.sink is not None:
        found.append("predictions are not logged")
    if request.drift is not None:
        found.append("nobody watches for drift")
    if request.infrastructure.platform != "local":
        found.append("replicas are processes: containers have the names of those that serve")
    if request.ab_test.arms:
        found.append("one challenger has the weight of all")
    if request.cache.store != "off":
        found.append("answers are not cached: equal requests would hide a fault")
    return tuple(found)


def refuse_too_little_memory(request: DeploymentRequest, model_bytes: int, leak_bytes: int, free_bytes: int) -> None:
    """Raise NotReady when the copies of stable and candidate do not fit beside what runs.

    Args:
        model_bytes: what the model adds to a process.
        leak_bytes: what a leak may hold in each process of the candidate; 0 without one.
    """
    resources = request.infrastructure.resources
    # As if both had half the leak each: together they hold as much.
    finding = readiness.memory(model_bytes + leak_bytes // 2, 2 * resources.replicas, resources.workers, free_bytes)
    if finding.level is Level.FAIL:
        raise NotReady(
            f"a rehearsal of {request.name!r} cannot begin: beside what serves, copies of stable and candidate are "
            f"needed; {finding.reason}",
            subject=request.name,
            hint="rehearse on a machine like this one, or end what takes memory",
        )


def rate(asked: Throughput | None, request: DeploymentRequest, answer_seconds: float, cores: int) -> tuple[float, str]:
    """Return how many requests to send per second, and why so many.

    Args:
        asked: what the user says; None for the deployment's throughput, as far as the machine bears it.
        answer_seconds: how long one answer takes, client and gateway included, while nothing else is asked.
        cores: of this machine.
    """
    if asked is not None:
        return asked.rps, f"{asked}, as asked"
    throughput = request.serving_requirements.throughput
    borne = max(_LEAST_RPS, SHARE_OF_THE_MACHINE * cores / max(answer_seconds, 1e-4))
    if throughput.rps <= borne:
        return throughput.rps, f"{throughput}, the deployment's throughput"
    told = f"{borne:.0f}rps, a quarter of what this machine bears; the deployment's throughput is {throughput}"
    return borne, told


def blind_spots(request: DeploymentRequest, kinds: Sequence[FaultKind]) -> dict[FaultKind, tuple[str, ...]]:
    """Return what to add to a request, for each kind of fault that nothing in it can see."""
    found: dict[FaultKind, tuple[str, ...]] = {}
    if FaultKind.WRONG_ANSWERS in kinds and not sees_wrong_answers(request):
        found[FaultKind.WRONG_ANSWERS] = (
            f"golden requests: tidegate golden record {request.name}, then gates.golden (--golden)",
            "a shadow step before the first weight, with a limit: steps: [{shadow: 20}, …], analysis.disagreement: 1%",
            "where predictions must not change: analysis.predictions: {tolerance: 10%, critical: true}",
        )
    return found


def sees_wrong_answers(request: DeploymentRequest) -> bool:
    """Say whether the request holds the candidate to its answers, before or during the steps."""
    has_checks = any(map(_asks_golden, request.health_checks.every().values()))
    return has_checks or request.gates.golden is not None or _compares(request) or _limits_shifts(request)


def _compares(request: DeploymentRequest) -> bool:
    """Say whether answers to copied requests are held to stable's."""
    signal = request.analysis.signals.disagreement
    is_limited = request.analysis.disagreement is not None and signal.critical and not signal.dry_run
    return is_limited and DISAGREEMENT not in _never_measured(request)


def _limits_shifts(request: DeploymentRequest) -> bool:
    """Say whether the distribution of predictions is held to stable's, while both serve."""
    held = request.analysis.predictions
    is_limited = held.tolerance is not None and held.critical and not held.dry_run
    return is_limited and PREDICTIONS not in _never_measured(request)


def _never_measured(request: DeploymentRequest) -> tuple[str, ...]:
    """Return what no step of a rollout between two copies measures: they have as many replicas."""
    return never_measured(trial_steps(request, request.infrastructure.resources.replicas))


def _asks_golden(check: HealthCheck) -> bool:
    """Say whether a health check holds a replica to its answers, and does something when they are wrong."""
    is_told_only = isinstance(check, CustomCheck) and check.affects == "nothing" and not check.critical
    return check.golden is not None and not is_told_only
