"""Which gateway a controller has: one whose Envoys it starts itself, or one in a container of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidegate.gateway.base import DEFAULT_ENVOYS, LOOPBACK
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.parent_client import ParentsChildren
from tidegate.gateway.process import PARENT_VARIABLE


def open_gateway(
    folder: Path,
    environment: Mapping[str, str],
    host: str = LOOPBACK,
    port: int = 8080,
    envoys: int = DEFAULT_ENVOYS,
) -> EnvoyGateway:
    """Return the gateway of this folder; see `EnvoyGateway`.

    Args:
        environment: the controller's.
    """
    socket = environment.get(PARENT_VARIABLE)
    starter = ParentsChildren(Path(socket)) if socket else None
    return EnvoyGateway(folder, host, port, envoys=envoys, starter=starter)
