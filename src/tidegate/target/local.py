"""Replicas as processes of this machine, behind one Envoy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tidegate.boot import seconds_since_boot
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.health.base import Attempts
from tidegate.target.process import Command, server_command
from tidegate.target.processes import ProcessRunner
from tidegate.target.replicas import SILENT_SECONDS, ReplicasTarget


class LocalTarget(ReplicasTarget):
    """A `Target` of processes.

    Args:
        home, gateway, attempts, silent_seconds, clock: see `ReplicasTarget`.
        command: returns the command line of a replica, by default that of Tidegate's own server.
    """

    def __init__(
        self,
        home: Path,
        gateway: EnvoyGateway,
        *,
        command: Command = server_command,
        attempts: Attempts | None = None,
        silent_seconds: float = SILENT_SECONDS,
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        super().__init__(
            home,
            gateway,
            {"local": ProcessRunner(command)},
            attempts=attempts,
            silent_seconds=silent_seconds,
            clock=clock,
        )
