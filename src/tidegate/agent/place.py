"""Where replicas run, read off the agent's own container: it is said once, and nobody can ask for another. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.agent.specification import FOLDERS, SECRETS, SECRETS_FOLDER, Mount, Place
from tidegate.contract.errors import Unavailable

COMPOSE_PROJECT, COMPOSE_NETWORK = "com.docker.compose.project", "com.docker.compose.network"


def project_of(own: Mapping[str, Any]) -> str:
    """Return the Compose project of a container as the engine shows it (`GET /containers/ID/json`).

    Raises:
        Unavailable: it belongs to none.
    """
    project = (own["Config"].get("Labels") or {}).get(COMPOSE_PROJECT)
    if not project:
        raise Unavailable(
            "the agent's container was not started by Docker Compose",
            subject=str(own.get("Name", "")).lstrip("/"),
            expected=f"a label {COMPOSE_PROJECT}",
            hint="docker compose up -d agent",
        )
    return str(project)


def place_of(own: Mapping[str, Any], networks: Sequence[Mapping[str, Any]], network: str) -> Place:
    """Return where replicas run.

    Args:
        own: the agent's container, as the engine shows it.
        networks: those of the project.
        network: the name that the Compose file has for the one of replicas.

    Raises:
        Unavailable: the agent's container has not all that replicas need.
    """
    project = project_of(own)
    named = [str(found["Name"]) for found in networks if (found.get("Labels") or {}).get(COMPOSE_NETWORK) == network]
    if len(named) != 1:
        raise Unavailable(
            f"the project {project!r} has no network {network!r}, which replicas are to be in",
            subject=network,
            expected="one",
            got=", ".join(named) or "none",
        )
    mounts = {str(found["Destination"]): found for found in own.get("Mounts") or ()}
    if missing := sorted(folder for folder in FOLDERS if mounts.get(folder, {}).get("Type") != "volume"):
        raise Unavailable(
            f"the agent's container has no volume at {' and '.join(missing)}, which replicas are to have",
            subject="agent",
            hint="see the service agent in stack/docker-compose.yml",
        )
    return Place(
        project,
        str(own["Image"]),
        str(own["Config"]["Image"]),
        named[0],
        tuple(Mount("volume", str(mounts[at]["Name"]), at, writable) for at, writable in sorted(FOLDERS.items())),
        {
            name: Mount("bind", str(mounts[at]["Source"]), at)
            for name in SECRETS
            if mounts.get(at := f"{SECRETS_FOLDER}/{name}", {}).get("Type") == "bind"
        },
    )
