"""What piles up with time: predictions, what came of them, and readings of drift; expired a partition at a time."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, Index, Integer, String

from tidegate.store.schema.base import tables_in
from tidegate.store.schema.types import Flag, Moment, Searched, SearchedOrNone

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

# What came of requests, as it was told, with a row for each news: `store.outcome_log` says what of it holds. `at` is
# when it was told, by the clock of the controller, so that rows lie in the partitions that there are.
outcomes = _table(
    "outcomes",
    Column("at", Moment, nullable=False),
    Column("request_id", String, nullable=False),
    Column("deployment", String, nullable=False),
    Column("happened_at", Moment, nullable=False),
    Column("bad", Flag),
    # What the model should have answered.
    Column("actual", SearchedOrNone),
    CheckConstraint("bad IS NOT NULL OR actual IS NOT NULL", name="an_outcome_says_something"),
    CheckConstraint("bad IN (0, 1)", name="what_is_told_is_good_or_bad").ddl_if(dialect="sqlite"),
    Index("outcomes_by_request", "request_id"),
    Index("outcomes_of_a_deployment", "deployment", "at"),
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
