"""Bundles of a server of somebody else's: `tests/support/http_app.py`, started by a command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.artifact.bundle import Bundle, read_bundle

APP = Path(__file__).parents[1] / "support" / "http_app.py"
SETTINGS: dict[str, Any] = {
    "command": ["{python}", "http_app.py", "{port}"],
    "healthPath": "/healthz",
    "predictPath": "/score",
    "sampleRequest": {"values": [1, 2]},
}

BundleOf = Callable[..., Bundle]


def bundles_in(shelf: Path) -> BundleOf:
    """Return what builds the bundle of the server with more settings, as a deployment does."""
    (shelf / "scores").mkdir()
    (shelf / "scores" / "http_app.py").write_text(APP.read_text())

    def build(**settings: Any) -> Bundle:
        request = BuildRequest(shelf / "scores", framework="command", trust=True, settings={**SETTINGS, **settings})
        return read_bundle(asyncio.run(build_bundle(request, shelf / "bundles")).folder)

    return build
