"""What a command knows of its surroundings: the home that was chosen, the client for it, and who is at the keyboard."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tidegate.client import Client


def home_of(ctx: typer.Context) -> Path:
    """Return the home that `--home`, TIDEGATE_HOME or the default names."""
    from tidegate.client import home_folder

    return home_folder(ctx.find_root().params.get("home"))


def connect(ctx: typer.Context) -> Client:
    """Return a client of the running controller; Unavailable when there is none."""
    from tidegate.client import Client

    return Client.connect(home_of(ctx))


def login_name() -> str | None:
    """Return the name of the user at the keyboard, or None where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
