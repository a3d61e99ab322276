"""Whether replicas bear the throughput that a request states, from what was measured when their models were checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tidegate.artifact.bundle import Manifest, read_bundle
from tidegate.contract.errors import TidegateError
from tidegate.contract.findings import Finding
from tidegate.contract.request import DeploymentRequest
from tidegate.controller.planning import replicas, request_of
from tidegate.gate import readiness
from tidegate.store import RevisionRow
from tidegate.trial import capacity
from tidegate.trial.steps import trial_steps


def stable_needs(request: DeploymentRequest, stable: RevisionRow | None, bundles: Path) -> float | None:
    """Return how many replicas of stable the request's throughput needs, with a fraction; None where nobody knows."""
    if stable is None:
        return None
    try:
        measured = read_bundle(bundles / stable.digest).manifest.cpu_seconds
    except TidegateError:
        return None
    return capacity.replicas_needed(_asked(request), measured, _lanes(request_of(stable)))


def throughput(request: DeploymentRequest, manifests: Sequence[Manifest], cores: float) -> Finding:
    """Compare what the candidate's replicas answer with the throughput that the request states.

    Args:
        manifests: of the bundles that are tried together, at least one; each of them may get all requests in the end.
        cores: of this machine.
    """
    count = replicas(request)
    answered = capacity.revision_rate(_slowest(manifests), _lanes(request), count, cores)
    return readiness.throughput(answered, _asked(request), count, capacity.UTILISATION)


def warnings(
    request: DeploymentRequest, stable: RevisionRow | None, needed: float | None, manifests: Sequence[Manifest]
) -> tuple[str, ...]:
    """Return what is otherwise than the request says, or too little for it, while the candidate takes over.

    Args:
        needed: what `stable_needs` returned.
        manifests: of the candidates, one but for an A/B test.
    """
    if stable is None:
        return ()
    held_back = _held_back(request, stable, needed)
    return (*(() if held_back is None else (held_back,)), *_thin_steps(request, manifests))


def _held_back(request: DeploymentRequest, stable: RevisionRow, needed: float | None) -> str | None:
    """Say that a rolling exchange lets fewer replicas be missing than the request permits, and why; None otherwise."""
    count = replicas(request_of(stable))
    if trial_steps(request, count, needed) == trial_steps(request, count, 0.0):
        return None
    whose, asked = f"revision {stable.number}", request.rolling.max_unavailable
    if needed is None:
        why = f"how many requests a replica of {whose} answers was not measured, so all {count} count as needed"
    else:
        why = (
            f"{request.serving_requirements.throughput} need {capacity.whole(needed)} replicas of {whose}, which has "
            f"{count}: each answers about {readiness.per_second(_asked(request) / needed)} at "
            f"{100 * capacity.UTILISATION:.0f} % use"
        )
    return f"{why}; fewer may be missing during the exchange than rolling.maxUnavailable says ({asked})"


def _thin_steps(request: DeploymentRequest, manifests: Sequence[Manifest]) -> tuple[str, ...]:
    """Return a warning for each step whose replicas answer less than the share of the requests that it gives them."""
    each = capacity.replica_rate(_slowest(manifests), _lanes(request)) if manifests else None
    if each is None:
        return ()
    told = []
    for step in request.trial:
        share = step.weight or step.shadow
        if share is None or step.replicas is None:
            continue
        gets, answers = _asked(request) * share / 100, step.replicas * each
        if gets > answers and step.replicas < replicas(request):
            told.append(
                f"a step with {share:g} % gets {readiness.per_second(gets)}, and its replicas ({step.replicas}) answer "
                f"about {readiness.per_second(answers)} at {100 * capacity.UTILISATION:.0f} % use: give it "
                f"{min(capacity.whole(gets / each), replicas(request))}"
            )
    return tuple(told)


def _asked(request: DeploymentRequest) -> float:
    return float(request.serving_requirements.throughput.rps)


def _lanes(request: DeploymentRequest) -> int:
    """Return how many requests one replica answers side by side."""
    resources = request.infrastructure.resources
    return resources.workers * resources.threads


def _slowest(manifests: Sequence[Manifest]) -> float | None:
    """Return the longest processor time that was measured; None where one was not."""
    measured = [manifest.cpu_seconds for manifest in manifests]
    known = [seconds for seconds in measured if seconds is not None]
    return max(known) if len(known) == len(measured) else None
