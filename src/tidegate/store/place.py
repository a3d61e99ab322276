"""Where the store of a home is: what a person said last holds until another is said."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tidegate.contract.errors import Unavailable
from tidegate.store.address import VARIABLE, Address, address_of_argument, parse_address, whole

FILE, DATABASE = "store.json", "tidegate.db"


def place_of(home: Path, argument: str | None = None, environment: Mapping[str, str] = os.environ) -> Address:
    """Return where the store is: as the argument says, else TIDEGATE_STORE, else where it was, else the home's file.

    Raises:
        InvalidInput: what was said is no store.
        Unavailable: where it was cannot be read.
    """
    if argument is not None:
        return address_of_argument(argument)
    told = environment.get(VARIABLE, "")
    return parse_address(told, VARIABLE) if told else (_remembered(home) or home / DATABASE)


def remembered_form(address: Address) -> str:
    """Return what `place_of` reads again: without the password, which is for `PGPASSFILE` or the variable to hold."""
    return whole(address if isinstance(address, Path) else address._replace(password=None))


def _remembered(home: Path) -> Address | None:
    file = home / FILE
    try:
        return parse_address(json.loads(file.read_text(encoding="utf-8"))["store"], str(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"{file} does not say where the store is",
            subject=str(file),
            hint=f"say it again: tidegate up --store URL, or set {VARIABLE}",
        ) from error
