"""The schema: tables, and the triggers and indexes by which the database itself refuses what must not happen."""

from typing import Any, Literal

from sqlalchemy import Column, Table

from tidegate.store.schema import delivery, features, registry, telemetry
from tidegate.store.schema.base import SCHEMAS, WITHOUT_SCHEMAS, Guard, metadata

Span = Literal["day", "month"]

GUARDS: tuple[Guard, ...] = (*delivery.GUARDS, *registry.GUARDS)
#: Tables that are partitioned by `at` in PostgreSQL: what one partition covers, and for how many days rows are kept
#: unless `telemetry.retention` says otherwise; None for ever.
PARTITIONED: tuple[tuple[Table, Span, int | None], ...] = (
    (features.feature_history, "month", None),
    (telemetry.predictions, "day", 90),
    (telemetry.outcomes, "day", 90),
    (telemetry.drift_readings, "month", 400),
)
#: Tables without partitions whose rows are deleted when they are too old: when a row is of, and for how many days it is
#: kept unless `telemetry.retention` says otherwise; None for ever.
EXPIRING: tuple[tuple[Table, Column[Any], int | None], ...] = (
    (features.feature_quarantine, features.feature_quarantine.c.received_at, 90),
)

__all__ = [
    "EXPIRING",
    "GUARDS",
    "PARTITIONED",
    "SCHEMAS",
    "WITHOUT_SCHEMAS",
    "Guard",
    "Span",
    "delivery",
    "features",
    "metadata",
    "registry",
    "telemetry",
]
