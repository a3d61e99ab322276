"""Settings of one runtime alone: only known names, so that a typing error is no silent default."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from tidegate.contract.errors import InvalidInput


def require_known(settings: Mapping[str, Any], known: Collection[str], runtime: str) -> None:
    """Refuse settings that a runtime does not have.

    Raises:
        InvalidInput: there is one; the nearest known one is named.
    """
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InvalidInput(
                f"The runtime {runtime} has no setting {name!r}.",
                subject=f"modelArtifact.settings.{name}",
                expected=f"one of {', '.join(sorted(known))}" if known else "no settings at all",
                got=name,
                hint=f"Did you mean {near[0]}?" if near else None,
            )
