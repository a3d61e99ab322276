"""From a request document to what the engine, the judge and the target are to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidegate import judge
from tidegate.contract.analysis import Inputs, SignalSettings
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.contract.serving import Batching
from tidegate.controller.health import checks_of
from tidegate.gateway.base import Forced, RevisionRef, Sticky
from tidegate.judge import shift
from tidegate.rollout import Arm, Plan, Rollout, Step
from tidegate.store import RevisionRow
from tidegate.target.base import Answering, RevisionSpec
from tidegate.target.opening import AGENT_VARIABLE
from tidegate.target.process import CACHE_URL_VARIABLE, KEY_VARIABLE, STORE_SINK
from tidegate.trial.rules import DISAGREEMENT, INPUTS, OUTCOMES, PREDICTIONS, never_measured, rules
from tidegate.trial.steps import trial_steps

#: How long a candidate that carries traffic may be without a ready replica. The judge sees the failed requests long
#: before; this is for a candidate that gets none to fail.
UNREADY_SECONDS = 5.0

#: Requests of stable for one of the candidate where the least is asked that shows distributions to be alike.
_STABLE_PER_CANDIDATE = 100

#: Name of the one challenger of an A/B test that names none.
CANDIDATE = "candidate"

#: What a signal is measured in, where not every step measures it.
_MEASURED_IN = {
    DISAGREEMENT: "a step {shadow: 20} before the first weight",
    OUTCOMES: "a step with a weight",
    PREDICTIONS: "a step with a weight between 0 and 100",
    INPUTS: "a step with a weight between 0 and 100",
}

_REDIS_SCHEMES = ("redis", "rediss", "unix")


def refuse_unsupported(request: DeploymentRequest) -> None:
    """Raise InvalidInput for what the schema knows and this version cannot do."""
    platform = request.infrastructure.platform
    if platform not in ("local", "compose"):
        raise InvalidInput(
            f"this version cannot deploy to the platform {platform!r}",
            subject="infrastructure.platform",
            expected="local or compose",
            got=platform,
        )


def refuse_what_containers_cannot(request: DeploymentRequest, environment: Mapping[str, str], store: str) -> None:
    """Raise InvalidInput for what replicas that are containers could not do.

    Args:
        environment: the controller's.
        store: the address that replicas have of the store.
    """
    if request.infrastructure.platform != "compose":
        return
    if not environment.get(AGENT_VARIABLE):
        raise InvalidInput(
            "this controller has no agent, which starts replicas as containers",
            subject="infrastructure.platform",
            expected=f"the agent's socket in the environment of the controller, as {AGENT_VARIABLE}",
            got="compose",
            hint="deploy to the platform local, or to the controller of stack/docker-compose.yml",
        )
    log, watched = request.prediction_log, request.analysis.resources
    if watched.memory is not None or watched.cpu is not None:
        raise InvalidInput(
            "what containers take of memory and processor is not measured yet",
            subject="analysis.resources",
            expected="none, on the platform compose",
        )
    if log.sink is not None and log.sink.partition(":")[0] not in ("store", "postgresql"):
        raise InvalidInput(
            "a replica in a container has no folder of its own that outlives it",
            subject="predictionLog.sink",
            expected="store: or postgresql:URL, on the platform compose",
            got=log.sink.partition(":")[0],
        )
    if log.personal.key_file is not None:
        raise InvalidInput(
            "a replica in a container does not see the controller's files",
            subject="predictionLog.personal.keyFile",
            expected=f"the key in the environment of the controller, as {KEY_VARIABLE}",
        )
    if (log.sink == STORE_SINK or request.features is not None) and not store.startswith("postgresql"):
        raise InvalidInput(
            "replicas in containers reach the store over the network, and this one is a file",
            subject="features" if request.features is not None else "predictionLog.sink",
            expected="a controller with a PostgreSQL store, see tidegate up --store",
        )


def refuse_unreachable_cache(request: DeploymentRequest, url: str | None, *, has_client: bool) -> None:
    """Raise InvalidInput for a cache in Redis that replicas could not reach.

    Args:
        url: of Redis, from the controller's environment; None when it is not there.
        has_client: whether Redis' client is installed.
    """
    if request.cache.store != "redis":
        return
    if not url:
        raise InvalidInput(
            f"cache.store is redis, and the controller has no {CACHE_URL_VARIABLE}",
            subject="cache.store",
            expected=f"the URL of Redis in the environment of the controller, as {CACHE_URL_VARIABLE}",
            hint=f"tidegate down, then {CACHE_URL_VARIABLE}=redis://HOST:6379/0 tidegate up; or cache.store memory",
        )
    if urlsplit(url).scheme not in _REDIS_SCHEMES:
        raise InvalidInput(
            f"{CACHE_URL_VARIABLE} of the controller is no URL of Redis",
            subject=CACHE_URL_VARIABLE,
            expected=f"one that begins with {', '.join(f'{scheme}://' for scheme in _REDIS_SCHEMES)}",
        )
    if not has_client:
        raise InvalidInput(
            "a cache in Redis needs Redis' client, which is not installed",
            subject="cache.store",
            hint="pip install 'tidegate[redis]'",
        )


def refuse_what_a_command_ignores(request: DeploymentRequest) -> None:
    """Raise InvalidInput for settings that only Tidegate's own server can keep: a command answers by itself."""
    asked = {
        "batching": request.batching != Batching(),
        "cache": request.cache.store != "off",
        "features": request.features is not None,
        "predictionLog": request.prediction_log.sink is not None,
        "drift": request.drift is not None,
        "infrastructure.resources.workers": request.infrastructure.resources.workers > 1,
    }
    ignored = [name for name, is_asked in asked.items() if is_asked]
    if ignored:
        raise InvalidInput(
            f"{' and '.join(ignored)} cannot be set for a server that is started by a command: requests are handed on "
            "to it as they are",
            subject=ignored[0],
            hint=f"leave out {', '.join(ignored)}; what the command itself offers is its own affair",
        )


def refuse_one_port_for_several(request: DeploymentRequest, port: int) -> None:
    """Raise InvalidInput when a command is to listen on a port of its own in several replicas, on one machine.

    Args:
        request: what is asked for.
        port: the setting of the command; 0 when each replica gets a free one.
    """
    if port and replicas(request) > 1:
        raise InvalidInput(
            f"{replicas(request)} replicas of a command cannot listen on one port",
            subject="modelArtifact.settings.port",
            expected="no port, or one replica",
            got=f"port {port} and {replicas(request)} replicas",
            hint="leave port out: each replica then gets a free one, as {port} in the command and as PORT; or set "
            "infrastructure.resources.replicas (--replicas) to 1",
        )


def request_of(revision: RevisionRow) -> DeploymentRequest:
    """Return the request that made the revision."""
    return parse_request(revision.request)


def plan_trial(
    request: DeploymentRequest, stable: RevisionRow | None, candidate: int, needed: float | None = None
) -> Plan:
    """Plan the rollout of a new revision: with a trial where a stable revision serves, at once where none does.

    Args:
        request: what is asked for.
        stable: the revision that serves, or None.
        candidate: number of the new one.
        needed: replicas of stable that the throughput needs; None where nobody knows, see `trial_steps`.
    """
    steps = () if stable is None else trial_steps(request, replicas(request_of(stable)), needed)
    challengers = arms(request, candidate) if steps else ()
    return _plan(request, stable, candidate, steps, challengers, reason_required=request.gates.require_reason)


def arms(request: DeploymentRequest, first: int) -> tuple[Arm, ...]:
    """Return the challengers of an A/B test, numbered from `first` on; none for another strategy."""
    if request.deployment_strategy != "ab-test":
        return ()
    asked = request.ab_test
    if not asked.arms:
        return (Arm(first, asked.challengers_weight, CANDIDATE),)
    return tuple(Arm(number, arm.weight, arm.name) for number, arm in enumerate(asked.arms, first))


def forced(request: DeploymentRequest, rollout: Rollout) -> tuple[Forced, ...]:
    """Return the requests that get an arm whatever the split says: of arms that take part in the split."""
    matches = {arm.name: arm.match for arm in request.ab_test.arms if arm.match is not None}
    split = rollout.split()
    return tuple(
        Forced(arm.revision, match.value, match.header, match.cookie)
        for arm in rollout.arms
        if arm.revision in split and (match := matches.get(arm.name)) is not None
    )


def plan_return(request: DeploymentRequest, stable: RevisionRow, candidate: int) -> Plan:
    """Plan the return to a revision that was stable before: as soon as its replicas are ready, without a trial.

    It takes back, so nobody is asked why.
    """
    return _plan(request, stable, candidate, ())


def _plan(
    request: DeploymentRequest,
    stable: RevisionRow | None,
    candidate: int,
    steps: tuple[Step, ...],
    challengers: tuple[Arm, ...] = (),
    *,
    reason_required: bool = False,
) -> Plan:
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
        on_warning=request.analysis.on_warning,
        arms=challengers,
        reason_required=reason_required,
    )


def sticky(request: DeploymentRequest) -> Sticky | None:
    """Return what users are told apart by; None to split at random."""
    asked = request.traffic.sticky_by
    return None if asked is None else Sticky(asked.header, asked.cookie)


def replicas(request: DeploymentRequest) -> int:
    return request.infrastructure.resources.replicas


def requests_to_pass(request: DeploymentRequest) -> int:
    """Return how many requests of a step the candidate must answer, all of them well, before the judge can pass it."""
    policy, apart = rules(request), never_measured(trial_steps(request, replicas(request)))
    unseen = judge.assess(policy, judge.begin_step(policy, judge.begin(policy, {})))
    return max(
        *(signal.still_needed for signal in unseen.signals if signal.signal not in apart),
        *(
            shift.requests_for_bound(held.tolerance + held.margin, 1, _STABLE_PER_CANDIDATE, policy.beta)
            for held in policy.shifts
            if not held.is_dry_run and held.name not in apart
        ),
    )


def never_measured_limits(
    request: DeploymentRequest, stable: RevisionRow, needed: float | None = None
) -> tuple[str, ...]:
    """Return a warning for each guard that the request asks for and that no step of its rollout measures.

    Args:
        request: what is asked for.
        stable: the revision that serves.
        needed: as of `plan_trial`.
    """
    analysis, strategy = request.analysis, request.deployment_strategy
    asked = {
        DISAGREEMENT: analysis.disagreement is not None,
        OUTCOMES: analysis.outcomes is not None,
        PREDICTIONS: analysis.predictions.tolerance is not None,
        INPUTS: analysis.inputs.compare and analysis.inputs != Inputs(),
    }
    way = "add" if strategy in ("canary", "shadow") else f"{strategy} has none here, deploymentStrategy canary can have"
    apart = never_measured(trial_steps(request, replicas(request_of(stable)), needed))
    warnings = [
        f"analysis.{name} is set, and no step measures it: {way} {_MEASURED_IN[name]}" for name in apart if asked[name]
    ]
    warnings += [
        f"analysis.signals.{name} is set, and {name} is not judged without analysis.{name}: set that, too"
        for name in (DISAGREEMENT, OUTCOMES)
        if not asked[name] and getattr(analysis.signals, name) != SignalSettings()
    ]
    return tuple(warnings)


def too_short_steps(request: DeploymentRequest) -> tuple[str, ...]:
    """Return a warning for each step that the declared throughput gives too few requests for a verdict."""
    needed = requests_to_pass(request)
    throughput = request.serving_requirements.throughput
    warnings = []
    for step in request.trial:
        share = step.weight or step.shadow
        if share is None:
            continue
        duration = step.duration or request.analysis.step_duration
        brings = throughput.rps * share / 100 * duration.seconds
        if brings < needed:
            warnings.append(
                f"at {throughput} a step of {duration} with {share:g} % brings about {brings:.0f} requests, and a "
                f"pass takes {needed} at least: give it more time (--step-duration), more weight (--steps) or a wider "
                "margin (analysis.margin)"
            )
    return tuple(warnings)


def spec(
    name: str, revision: RevisionRow, request: DeploymentRequest, bundle: Path, golden: Path, *, grpc: bool
) -> RevisionSpec:
    """Return what it takes to run the revision.

    Args:
        request: that made it.
        bundle: its bundle.
        golden: the folder with the copies of golden requests.
        grpc: whether it answers gRPC.
    """
    return RevisionSpec(
        ref=RevisionRef(name, revision.number),
        bundle=bundle,
        model_name=name,
        model_version=request.model_artifact.version or str(revision.number),
        latency_objective_ms=request.serving_requirements.latency_p99.ms,
        threads=request.infrastructure.resources.threads,
        answering=answering(request),
        workers=request.infrastructure.resources.workers,
        grpc=grpc,
        checks=checks_of(request, golden),
        platform=request.infrastructure.platform,
    )


def _features(request: DeploymentRequest) -> dict[str, Any]:
    features = request.features
    if features is None:
        return {}
    return {
        "features_view": features.view,
        "features_entity": features.entity,
        "features_max_age_seconds": features.max_age.seconds,
    }


def answering(request: DeploymentRequest) -> Answering:
    """Return how the replicas are to answer. Theirs is the gateway's time limit: who waits there waits no longer."""
    return Answering(
        timeout_seconds=request.traffic.timeout.seconds,
        batch_requests=request.batching.max_requests,
        batch_rows=request.batching.max_rows,
        cache=request.cache.store,
        cache_ttl_seconds=request.cache.ttl.seconds,
        cache_bytes=request.cache.max_size.bytes,
        **_features(request),
        prediction_sink=request.prediction_log.sink,
        prediction_share=request.prediction_log.sample.ratio,
        prediction_dropped=request.prediction_log.personal.drop,
        prediction_hashed=request.prediction_log.personal.hash,
        prediction_key_file=request.prediction_log.personal.key_file,
    )
