"""The command `tidegate` in this process, built once: to build it takes longer than most of its tests."""

from __future__ import annotations

from functools import cache
from typing import Any

from typer.main import get_command

from tidegate.cli.main import app


@cache
def commands() -> Any:
    """Return the command `tidegate`."""
    return get_command(app)
