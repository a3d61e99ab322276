"""What a hook's answers mean for a rollout, and which hooks are asked where. Pure; `gates` does the asking.

The points are Flagger's (https://docs.flagger.app/usage/webhooks). A return to a past revision and a first revision
have no trial and ask nobody: a way back must not wait for a service that may be down as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tidegate.contract.notifications import Hook, HookType
from tidegate.contract.request import DeploymentRequest
from tidegate.rollout import Phase, Rollout

ON_TRIAL = (Phase.BASELINE, Phase.SCALING, Phase.SHIFTING, Phase.ANALYZING, Phase.PAUSED)


@dataclass(frozen=True)
class Answers:
    """What one hook has said at one point of a rollout so far.

    Attributes:
        status: of the last answer; None when the last call got none, or there was no call yet.
        detail: of the last call that was no 2xx.
        failures: calls in a row without a 2xx, up to now.
        calls: that have ended.
        waited_seconds: since the point was reached.
    """

    status: int | None = None
    detail: str = ""
    failures: int = 0
    calls: int = 0
    waited_seconds: float = 0.0


@dataclass(frozen=True)
class Ruling:
    """`go`, `hold` (ask again) or `refuse` (take the candidate back), and why."""

    outcome: Literal["go", "hold", "refuse"]
    reason: str = ""


GO = Ruling("go")


def ruling(hook: Hook, said: Answers) -> Ruling:
    """Return what follows from a hook's answers."""
    went_well = said.calls > 0 and said.status is not None and 200 <= said.status < 300
    last = said.detail or "it has not answered yet"
    match hook.type:
        case "confirm-rollout" | "confirm-traffic-increase" | "confirm-promotion":
            if went_well and said.status == 200:
                return GO
            if hook.wait_at_most is not None and said.waited_seconds >= hook.wait_at_most.seconds:
                return _used_up(hook, f"the hook {hook.name} did not confirm within {hook.wait_at_most}: {last}")
            return Ruling("hold", f"the hook {hook.name} has not confirmed: {last}")
        case "pre-rollout" | "rollout":
            if went_well or (said.calls == 0 and hook.type == "rollout"):
                return GO
            if said.failures > hook.retries:
                often = f"{said.failures} times in a row" if said.failures > 1 else "once"
                return _used_up(hook, f"the hook {hook.name} failed {often}: {last}")
            return Ruling("hold", f"the hook {hook.name} has not passed: {last}")
        case "rollback":
            return Ruling("refuse", f"the hook {hook.name} asked to take the candidate back") if went_well else GO
        case _:
            return GO  # told through the outbox, and not asked


def _used_up(hook: Hook, reason: str) -> Ruling:
    return Ruling("refuse", reason) if hook.on_failure == "rollback" else GO


def before_edge(before: Rollout, after: Rollout) -> tuple[HookType, ...]:
    """Return the types of hooks that are asked before a rollout takes this edge; a person has passed over them."""
    if not before.plan.steps or (before.phase is after.phase and before.step == after.step):
        return ()
    if before.asked_by is not None:
        return ()
    if after.phase is Phase.SHIFTING and after.step > before.step:
        return ("pre-rollout", "confirm-traffic-increase") if after.step == 0 else ("confirm-traffic-increase",)
    return ("confirm-promotion",) if after.phase is Phase.PROMOTING else ()


def meanwhile(rollout: Rollout) -> tuple[HookType, ...]:
    """Return the types of hooks that are asked again and again in this state."""
    if rollout.phase not in ON_TRIAL or not rollout.plan.steps:
        return ()
    return ("rollout", "rollback") if rollout.weight else ("rollback",)


def before_start(rollout: Rollout) -> tuple[HookType, ...]:
    """Return the types of hooks that are asked before the candidate's replicas start."""
    return ("confirm-rollout",) if rollout.phase is Phase.PREPARING and rollout.plan.steps else ()


def of_types(request: DeploymentRequest, types: tuple[HookType, ...]) -> list[Hook]:
    """Return the request's hooks of these types, in the order of the types and then of the request."""
    return [hook for kind in types for hook in request.hooks if hook.type == kind]
