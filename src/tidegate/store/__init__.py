"""The store: deployments, revisions, rollouts, freezes and an append-only event log in one SQLite file."""

from tidegate.store.outbox import Outbox
from tidegate.store.outcomes import Known, Note, Outcomes, Ripe, Told
from tidegate.store.records import (
    Addressee,
    AttemptRow,
    DeploymentRow,
    Event,
    FreezeRow,
    NewEvent,
    NotificationRow,
    RevisionRow,
    RolloutRow,
)
from tidegate.store.retention import Keep, Retention
from tidegate.store.store import ActiveRolloutExists, StaleState, Store

__all__ = [
    "ActiveRolloutExists",
    "Addressee",
    "AttemptRow",
    "DeploymentRow",
    "Event",
    "FreezeRow",
    "Keep",
    "Known",
    "NewEvent",
    "Note",
    "NotificationRow",
    "Outbox",
    "Outcomes",
    "Retention",
    "RevisionRow",
    "Ripe",
    "RolloutRow",
    "StaleState",
    "Store",
    "Told",
]
