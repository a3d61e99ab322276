"""Shell completion that asks the controller."""

from __future__ import annotations

import typer

from tidegate.contract.errors import TidegateError

#: A shell that waits longer than this for a completion feels broken.
PATIENCE_SECONDS = 1.0


def deployment_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the deployments whose name begins like this, with their phase; none while no controller runs."""
    from tidegate.client import Client

    try:
        with Client.connect(ctx.find_root().params.get("home"), timeout_seconds=PATIENCE_SECONDS) as client:
            found = [(status["name"], status.get("phase") or "") for status in client.list()]
    except TidegateError:
        return []
    return [(name, phase) for name, phase in found if name.startswith(incomplete)]
