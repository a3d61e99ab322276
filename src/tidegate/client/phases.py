"""What a rollout's phase means to somebody who waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The rollout has ended and will not change any more.
TERMINAL_PHASES = frozenset({"promoted", "rolled_back", "aborted", "failed"})


def is_terminal(rollout: Mapping[str, Any]) -> bool:
    return rollout.get("phase") in TERMINAL_PHASES


def is_waiting_for_person(rollout: Mapping[str, Any]) -> bool:
    """True when the rollout stands still until somebody promotes, resumes or aborts it."""
    return rollout.get("phase") == "paused"
