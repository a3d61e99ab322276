"""What piles up with time: predictions, what came of them, and readings of drift; expired a partition at a time."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, Index, Integer, String

from tidegate.store.schema.base import tables_in
from tidegate.store.schema.types import Moment, Searched

_table = tables_in("telemetry")

# For how long the tables that are partitioned by time keep their rows; None for ever.
retention = _table(
    "retention",
    Column("table_name", String, primary_key=True),
    Column("days", Integer),
    CheckConstraint("days >= 1", name="rows_are_kept_for_a_day_at_least"),
)

# The log of predictions. It is written in bulk and has no key: a request id may come twice.
predictions = _table(
    "predictions",
    Column("at", Moment, nullable=False),
    Column("request_id", String, nullable=False),
    Column("deployment", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    # Columns by name, each a list with a value per row.
    Column("inputs", Searched, nullable=False),
    Column("outputs", Searched, nullable=False),
    Index("predictions_by_request", "request_id"),
    Index("predictions_of_a_deployment", "deployment", "at"),
    postgresql_partition_by="RANGE (at)",
)

# What is known of a request afterwards: what the model should have answered, or anything else of it.
observations = _table(
    "observations",
    Column("at", Moment, nullable=False),
    Column("request_id", String, nullable=False),
    Column("deployment", String, nullable=False),
    Column("value", Searched, nullable=False),
    Index("observations_by_request", "request_id"),
    postgresql_partition_by="RANGE (at)",
)

drift_readings = _table(
    "drift_readings",
    Column("at", Moment, nullable=False),
    Column("deployment", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("column", String, nullable=False),
    # Rows of the current window; of the reference see `data`.
    Column("rows", Integer, nullable=False),
    Column("psi", Float),
    Column("level", String, nullable=False),
    # All measures, with their significance.
    Column("data", Searched, nullable=False),
    Index("drift_readings_of_a_deployment", "deployment", "column", "at"),
    postgresql_partition_by="RANGE (at)",
)
