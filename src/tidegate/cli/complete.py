"""Shell completion that asks the controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from tidegate.contract.errors import TidegateError

if TYPE_CHECKING:
    from tidegate.client import Client

#: A shell that waits longer than this for a completion feels broken.
PATIENCE_SECONDS = 1.0


def deployment_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the deployments whose name begins like this, with their phase; none while no controller runs."""
    found = _asked(ctx, lambda client: [(status["name"], status.get("phase") or "") for status in client.list()])
    return [(name, phase) for name, phase in found if name.startswith(incomplete)]


def model_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the models of the registry whose name begins like this, with what they are for."""
    found = _asked(ctx, lambda client: [(one["name"], one["description"]) for one in client.registry.models()])
    return [(name, told) for name, told in found if name.startswith(incomplete)]


def references(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return `models:/NAME@ALIAS` for each alias of the registry, once `models:` is typed: else files are meant."""
    if not incomplete.startswith("models:"):
        return []

    def aliases(client: Client) -> list[tuple[str, str]]:
        return [
            (f"models:/{one['name']}@{alias}", f"version {number}")
            for one in client.registry.models()
            for alias, number in one["aliases"].items()
        ]

    return [(text, told) for text, told in _asked(ctx, aliases) if text.startswith(incomplete)]


def _asked(ctx: typer.Context, what: Callable[[Client], list[tuple[str, str]]]) -> list[tuple[str, str]]:
    from tidegate.client import Client

    try:
        with Client.connect(ctx.find_root().params.get("home"), timeout_seconds=PATIENCE_SECONDS) as client:
            return what(client)
    except TidegateError:
        return []
