"""The store: deployments, revisions, rollouts, freezes and an append-only event log in one SQLite file."""

from tidegate.store.records import DeploymentRow, Event, FreezeRow, NewEvent, RevisionRow, RolloutRow
from tidegate.store.store import ActiveRolloutExists, StaleState, Store

__all__ = [
    "ActiveRolloutExists",
    "DeploymentRow",
    "Event",
    "FreezeRow",
    "NewEvent",
    "RevisionRow",
    "RolloutRow",
    "StaleState",
    "Store",
]
