"""The store: deployments, revisions, rollouts, freezes, an append-only event log, and the model registry."""

from tidegate.store.aspect_readings import AspectReadings, AspectRow
from tidegate.store.drift_readings import DriftColumn, DriftReading, DriftReadings
from tidegate.store.model_records import (
    AliasMove,
    Deployed,
    ModelRow,
    NewVersion,
    StageChange,
    VersionLink,
    VersionRow,
)
from tidegate.store.outbox import Outbox
from tidegate.store.outcome_log import Told
from tidegate.store.outcomes import Known, Note, Outcomes, Ripe
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
from tidegate.store.registry import Registry
from tidegate.store.retention import Keep, Retention
from tidegate.store.store import ActiveRolloutExists, StaleState, Store

__all__ = [
    "ActiveRolloutExists",
    "Addressee",
    "AliasMove",
    "AspectReadings",
    "AspectRow",
    "AttemptRow",
    "Deployed",
    "DeploymentRow",
    "DriftColumn",
    "DriftReading",
    "DriftReadings",
    "Event",
    "FreezeRow",
    "Keep",
    "Known",
    "ModelRow",
    "NewEvent",
    "NewVersion",
    "Note",
    "NotificationRow",
    "Outbox",
    "Outcomes",
    "Registry",
    "Retention",
    "RevisionRow",
    "Ripe",
    "RolloutRow",
    "StageChange",
    "StaleState",
    "Store",
    "Told",
    "VersionLink",
    "VersionRow",
]
