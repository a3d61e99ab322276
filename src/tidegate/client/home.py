"""Where the controller of this user keeps its state, and how to reach it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.contract.errors import Unavailable

START_HINT = "Start it with: tidegate up"


@dataclass(frozen=True)
class ControllerAddress:
    """Where the controller listens and what proves that the caller may speak to it."""

    url: str
    token: str = field(repr=False)


def home_folder(home: Path | str | None = None) -> Path:
    """Return the state folder: `home`, else TIDEGATE_HOME, else the user's data folder. It may not exist."""
    chosen = home or os.environ.get("TIDEGATE_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("tidegate")


def last_ports(home: Path) -> tuple[int | None, int | None]:
    """Return the ports of the controller and the gateway when they ran last; None where that is unknown."""
    try:
        known = json.loads((home / "ports.json").read_text(encoding="utf-8"))
        return int(known["port"]), int(known["gateway_port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def read_address(home: Path) -> ControllerAddress:
    """Read the controller's address and token from the files it wrote into its home.

    Raises:
        Unavailable: there is no such file (no controller was started in this home), or it cannot be read.
    """
    record, secret = home / "controller.json", home / "token"
    try:
        url = json.loads(record.read_text(encoding="utf-8"))["url"]
        token = secret.read_text(encoding="utf-8").strip()
    except FileNotFoundError as missing:
        raise Unavailable("The controller is not running.", subject=str(home), hint=START_HINT) from missing
    except PermissionError as denied:
        raise Unavailable(
            f"{denied.filename} cannot be read.",
            subject=str(denied.filename),
            expected="a home that belongs to you",
            hint="Choose a home of your own: tidegate --home DIR … (or TIDEGATE_HOME)",
        ) from denied
    except (ValueError, KeyError, TypeError) as damaged:
        raise Unavailable(
            f"{record} is damaged.",
            subject=str(record),
            hint="Write it anew with: tidegate down && tidegate up",
        ) from damaged
    return ControllerAddress(url=str(url).rstrip("/"), token=token)
