"""Replicas as containers of a Compose project, behind one Envoy; those of the local platform beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tidegate.agent.client import AgentClient
from tidegate.boot import seconds_since_boot
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.health.base import Attempts
from tidegate.target.containers import ContainerRunner
from tidegate.target.processes import ProcessRunner
from tidegate.target.replicas import SILENT_SECONDS, ReplicasTarget


class ComposeTarget(ReplicasTarget):
    """A `Target` of containers, and of processes: which of them, each revision says. One rollout may lead from one to
    the other.

    Args:
        home, gateway, attempts, silent_seconds, clock: see `ReplicasTarget`.
        socket: the agent's.
    """

    def __init__(
        self,
        home: Path,
        gateway: EnvoyGateway,
        socket: Path,
        *,
        attempts: Attempts | None = None,
        silent_seconds: float = SILENT_SECONDS,
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        super().__init__(
            home,
            gateway,
            {"local": ProcessRunner(), "compose": ContainerRunner(home.absolute(), AgentClient(socket))},
            attempts=attempts,
            silent_seconds=silent_seconds,
            clock=clock,
        )
