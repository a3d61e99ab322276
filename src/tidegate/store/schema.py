"""The schema: tables, and the triggers and indexes by which the database itself refuses what must not happen."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    text,
)

#: Kept in SQLite's `user_version`. A file with a larger number was written by a newer Tidegate and is refused.
#: Tables that are only added leave it as it is: each opening makes those that are missing, and an older Tidegate
#: neither sees nor hurts them.
SCHEMA_VERSION = 1

metadata = MetaData()

# Times are ISO 8601 text in UTC with microseconds: they sort as text and read well in any SQLite shell.

deployments = Table(
    "deployments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("stable", Integer),
    Column("created_at", String, nullable=False),
    Column("deleted_at", String),
    Index("one_living_deployment_per_name", "name", unique=True, sqlite_where=text("deleted_at IS NULL")),
)

revisions = Table(
    "revisions",
    metadata,
    Column("deployment_id", Integer, ForeignKey("deployments.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", String, nullable=False),
    Column("request", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    CheckConstraint("number >= 1", name="revision_numbers_start_at_one"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("deployment_id", Integer, ForeignKey("deployments.id"), nullable=False),
    Column("from_revision", Integer),
    Column("to_revision", Integer, nullable=False),
    Column("phase", String, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("0")),
    Column("state", JSON, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("started_at", String, nullable=False),
    Column("ended_at", String),
    ForeignKeyConstraint(["deployment_id", "to_revision"], ["revisions.deployment_id", "revisions.number"]),
    CheckConstraint(
        "(ended_at IS NOT NULL) = (phase IN ('promoted', 'rolled_back', 'aborted', 'failed'))",
        name="a_rollout_has_ended_exactly_in_a_terminal_phase",
    ),
    Index("rollouts_of_a_deployment", "deployment_id", "id"),
    Index("one_active_rollout_per_deployment", "deployment_id", unique=True, sqlite_where=text("ended_at IS NULL")),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("deployment_id", Integer, ForeignKey("deployments.id"), nullable=False),
    Column("rollout_id", Integer, ForeignKey("rollouts.id")),
    Column("revision", Integer),
    Column("kind", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Index("events_of_a_deployment", "deployment_id", "seq"),
    sqlite_autoincrement=True,
)

freezes = Table(
    "freezes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("deployment", String),
    Column("reason", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("starts_at", String, nullable=False),
    Column("ends_at", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("removed_at", String),
    Column("removed_by", String),
    CheckConstraint("ends_at > starts_at", name="a_freeze_ends_after_its_start"),
)

# What the judge saw on its way, thinned; for plots, and never read by a decision.
looks = Table(
    "looks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rollout_id", Integer, ForeignKey("rollouts.id"), nullable=False),
    Column("at", String, nullable=False),
    Column("data", JSON, nullable=False),
    Index("looks_of_a_rollout", "rollout_id", "id"),
    sqlite_autoincrement=True,
)

# The outbox: what is to be told to whom, written in the transaction of the event that it tells of.
notifications = Table(
    "notifications",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("event_seq", Integer, ForeignKey("events.seq"), nullable=False),
    Column("event_id", String, nullable=False),
    Column("deployment_id", Integer, ForeignKey("deployments.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("receiver", String, nullable=False),
    Column("moment", String, nullable=False),
    Column("destination", JSON, nullable=False),
    Column("state", String, nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("created_at", String, nullable=False),
    Column("next_at", String),
    Column("settled_at", String),
    CheckConstraint("state IN ('pending', 'delivered', 'given_up')", name="states_of_a_notification"),
    CheckConstraint(
        "(state = 'pending') = (next_at IS NOT NULL) AND (state = 'pending') = (settled_at IS NULL)",
        name="a_pending_notification_has_its_next_time_and_no_other_has",
    ),
    Index("one_notification_per_event_and_receiver", "event_seq", "kind", "receiver", unique=True),
    Index("notifications_that_are_due", "next_at", sqlite_where=text("state = 'pending'")),
    Index("notifications_of_a_deployment", "deployment_id", "id"),
    sqlite_autoincrement=True,
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("notification_id", Integer, ForeignKey("notifications.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("delivered", Integer, nullable=False),
    Column("status", Integer),
    Column("detail", Text, nullable=False),
)

# What hooks have said at the points of a rollout: type and name of the hook, and the step (-2: all of them).
hook_answers = Table(
    "hook_answers",
    metadata,
    Column("rollout_id", Integer, ForeignKey("rollouts.id"), primary_key=True),
    Column("type", String, primary_key=True),
    Column("hook", String, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("said", JSON, nullable=False),
)

# Which revision served which request, noted while a rollout wants it. Many rows: times are milliseconds since 1970.
served_requests = Table(
    "served_requests",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("deployment_id", Integer, ForeignKey("deployments.id"), nullable=False),
    Column("request_id", String, nullable=False),
    # None: several revisions served requests of this id.
    Column("revision", Integer),
    Column("served_at", Integer, nullable=False),
    Index("one_note_per_request", "deployment_id", "request_id", unique=True),
    Index("served_requests_in_order", "deployment_id", "seq"),
    sqlite_autoincrement=True,
)

# How far the notes of each process of the gateway, by its number, are in `served_requests`: written in the
# transaction of what was read.
served_position = Table(
    "served_position",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("file", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
)

# The last note of each deployment that was let go of because there were too many.
served_forgotten = Table(
    "served_forgotten",
    metadata,
    Column("deployment_id", Integer, ForeignKey("deployments.id"), primary_key=True),
    Column("seq", Integer, nullable=False),
)

# What came of requests, as it was told; `told_at` is when it was told first, `at` when it happened.
outcomes = Table(
    "outcomes",
    metadata,
    Column("deployment_id", Integer, ForeignKey("deployments.id"), primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("bad", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("told_at", Integer, nullable=False),
    Index("outcomes_by_age", "deployment_id", "told_at"),
    CheckConstraint("bad IN (0, 1)", name="an_outcome_is_good_or_bad"),
)

_TRIGGERS = (
    (
        notifications,
        "settled_notifications_stay",
        "BEFORE UPDATE ON notifications WHEN OLD.state != 'pending'",
        "a notification is settled",
    ),
    (delivery_attempts, "attempts_never_change", "BEFORE UPDATE ON delivery_attempts", "attempts are append-only"),
    (rollouts, "ended_rollouts_stay", "BEFORE UPDATE ON rollouts WHEN OLD.ended_at IS NOT NULL", "a rollout has ended"),
    (revisions, "revisions_never_change", "BEFORE UPDATE ON revisions", "revisions are immutable"),
    (events, "events_never_change", "BEFORE UPDATE ON events", "events are append-only"),
    (events, "events_are_never_deleted", "BEFORE DELETE ON events", "events are append-only"),
    (freezes, "removed_freezes_stay", "BEFORE UPDATE ON freezes WHEN OLD.removed_at IS NOT NULL", "a freeze is over"),
    (freezes, "freezes_are_never_deleted", "BEFORE DELETE ON freezes", "freezes stay on record"),
)

for _table, _name, _when, _why in _TRIGGERS:
    _ddl = DDL(f"CREATE TRIGGER {_name} {_when} BEGIN SELECT RAISE(ABORT, '{_why}'); END")  # type: ignore[no-untyped-call]
    event.listen(_table, "after_create", _ddl.execute_if(dialect="sqlite"))
