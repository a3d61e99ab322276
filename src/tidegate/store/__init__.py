"""The store: deployments, revisions, rollouts and an append-only event log in one SQLite file."""

from tidegate.store.records import DeploymentRow, Event, NewEvent, RevisionRow, RolloutRow
from tidegate.store.store import ActiveRolloutExists, StaleState, Store

__all__ = [
    "ActiveRolloutExists",
    "DeploymentRow",
    "Event",
    "NewEvent",
    "RevisionRow",
    "RolloutRow",
    "StaleState",
    "Store",
]
