"""What is said of a reason that a rollout demands of who lets it go on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def reason_asked(rollout: Mapping[str, Any]) -> str:
    """Return what is typed after `tidegate promote NAME` and `tidegate resume NAME`; nothing where none is demanded."""
    return ' --reason "…"' if rollout.get("reason_required") else ""
