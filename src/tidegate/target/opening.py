"""Which target a controller has: one of processes, or, where an agent is named, one of containers as well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidegate.gateway.envoy import EnvoyGateway
from tidegate.health.base import Attempts
from tidegate.target.compose import ComposeTarget
from tidegate.target.local import LocalTarget
from tidegate.target.replicas import ReplicasTarget

#: Names the socket of the agent.
AGENT_VARIABLE = "TIDEGATE_AGENT"


def open_target(
    root: Path, gateway: EnvoyGateway, environment: Mapping[str, str], attempts: Attempts | None = None
) -> ReplicasTarget:
    """Return the target of the controller whose home this is.

    Args:
        environment: the controller's.
        attempts: see `ReplicasTarget`.
    """
    socket = environment.get(AGENT_VARIABLE)
    if not socket:
        return LocalTarget(root, gateway, attempts=attempts)
    return ComposeTarget(root, gateway, Path(socket), attempts=attempts)
