"""From a request document to the steps that the engine goes through and a forecast simulates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tidegate.contract.quantities import Duration
from tidegate.contract.request import DeploymentRequest
from tidegate.contract.steps import KINDS
from tidegate.rollout import Step, strategies

_BEFORE_SWITCH = {"time": "preview", "person": "pause"}


def trial_steps(request: DeploymentRequest, stable_replicas: int, needed: float | None = None) -> tuple[Step, ...]:
    """Return what the engine goes through for the strategy, beside a stable revision with so many replicas.

    Args:
        request: what is asked for.
        stable_replicas: that stable has.
        needed: how many of them the throughput needs, maybe with a fraction; None where nobody knows. Then all count
            as needed: a rolling exchange goes on all the same, since a replica more may always be started.
    """
    match request.deployment_strategy:
        case "blue-green":
            return strategies.blue_green(
                preview_seconds=request.blue_green.preview.seconds,
                waits_for_person=request.blue_green.switch == "person",
                bake_seconds=request.blue_green.bake.seconds,
            )
        case "rolling":
            return strategies.rolling(
                replicas=request.infrastructure.resources.replicas,
                stable_replicas=stable_replicas,
                surge=request.rolling.max_surge,
                unavailable=request.rolling.max_unavailable,
                hold_seconds=request.rolling.hold.seconds,
                needed=stable_replicas if needed is None else needed,
            )
        case "ab-test":
            return strategies.ab_test(request.ab_test.challengers_weight)
        case _:
            return _asked_steps(request)


def kinds(request: DeploymentRequest, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what each of these steps is that `trial_steps` gave, for people.

    "weight", "shadow", "pause" and "bake" as a document has them; "preview" and "switch" of a blue-green, "exchange" of
    a rolling rollout, "arms" of an A/B test.
    """
    match request.deployment_strategy:
        case "blue-green":
            return tuple("switch" if step.weight else _BEFORE_SWITCH[step.until] for step in steps)
        case "rolling":
            return ("exchange",) * len(steps)
        case "ab-test":
            return ("arms",) * len(steps)
        case _:
            asked = request.trial if steps else ()
            return tuple(next(name for name in KINDS if getattr(step, name) is not None) for step in asked)


def _asked_steps(request: DeploymentRequest) -> tuple[Step, ...]:
    """Return the steps of a document for the engine; what holds stays as the step before had it."""
    longest = request.analysis.step_duration
    steps: list[Step] = []
    before = Step(0, 0.0)
    for asked in request.trial:
        if asked.weight is not None or asked.shadow is not None:
            seconds = (asked.duration or longest).seconds
            begun = Step(asked.weight or 0, seconds, mirror=asked.shadow or 0, replicas=asked.replicas)
        elif asked.pause == "person":
            begun = replace(before, until="person", duration_seconds=0.0)
        else:
            held = asked.bake if asked.bake is not None else asked.pause
            assert isinstance(held, Duration)  # noqa: S101 (a step is one thing)
            begun = replace(before, until="time", duration_seconds=held.seconds)
        steps.append(begun)
        before = begun
    return tuple(steps)
