"""Rollouts in a store, without any model: for tests of what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tidegate.store import NewEvent, RolloutRow, Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def start(store: Store, name: str = "churn", to_revision: int | None = None) -> RolloutRow:
    return store.start_rollout(
        name,
        digest="d" * 64,
        request={"name": name},
        plan_state=lambda stable, candidate: {"phase": "preparing", "stable": stable, "candidate": candidate},
        to_revision=to_revision,
        happened=NewEvent("preparing", "begun"),
        now=NOW,
    )


def finish(store: Store, row: RolloutRow, phase: str = "promoted") -> RolloutRow:
    told = [NewEvent(phase, "done")]
    return store.save_transition(
        row, {"phase": phase}, {}, told, NOW, ended=True, promoted=row.to_revision if phase == "promoted" else None
    )


def save(store: Store, row: RolloutRow, state: Mapping[str, Any]) -> RolloutRow:
    return store.save_transition(row, state, {}, [NewEvent("x", "y")], NOW, ended=False)
