"""What is delivered: deployments, revisions, rollouts, their events, who is told of them, and what came of requests."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    text,
)

from tidegate.store.schema.base import Guard, tables_in, where
from tidegate.store.schema.types import Big, Document, Flag, Moment, Words

_table = tables_in("delivery")

# The version that the database has: the number of the last of `migrations` that was applied.
schema_version = _table(
    "schema_version",
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="schema_version_pkc"),
)

# Which of the controllers of this database leads: one row. Each that comes to lead adds one to `term`, and a write of a
# controller is refused when the term is no longer its own.
leadership = _table(
    "leadership",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("term", Big, nullable=False),
    Column("holder", String, nullable=False),
    Column("since", Moment, nullable=False),
    CheckConstraint("id = 1", name="one_controller_leads"),
)

deployments = _table(
    "deployments",
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("stable", Integer),
    Column("created_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Index("one_living_deployment_per_name", "name", unique=True, **where("deleted_at IS NULL")),
)

revisions = _table(
    "revisions",
    Column("deployment_id", Integer, ForeignKey("delivery.deployments.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", String, nullable=False),
    Column("request", Document, nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("number >= 1", name="revision_numbers_start_at_one"),
)

KEY_OF_A_REVISION = ("delivery.revisions.deployment_id", "delivery.revisions.number")

rollouts = _table(
    "rollouts",
    Column("id", Integer, primary_key=True),
    Column("deployment_id", Integer, ForeignKey("delivery.deployments.id"), nullable=False),
    Column("from_revision", Integer),
    Column("to_revision", Integer, nullable=False),
    Column("phase", String, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("0")),
    Column("state", Document, nullable=False),
    Column("evidence", Document, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    ForeignKeyConstraint(["deployment_id", "to_revision"], KEY_OF_A_REVISION),
    CheckConstraint(
        "(ended_at IS NOT NULL) = (phase IN ('promoted', 'rolled_back', 'aborted', 'failed'))",
        name="a_rollout_has_ended_exactly_in_a_terminal_phase",
    ),
    Index("rollouts_of_a_deployment", "deployment_id", "id"),
    Index("one_active_rollout_per_deployment", "deployment_id", unique=True, **where("ended_at IS NULL")),
)

events = _table(
    "events",
    Column("seq", Big, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("deployment_id", Integer, ForeignKey("delivery.deployments.id"), nullable=False),
    Column("rollout_id", Integer, ForeignKey("delivery.rollouts.id")),
    Column("revision", Integer),
    Column("kind", String, nullable=False),
    Column("message", Words, nullable=False),
    Column("data", Document, nullable=False),
    Index("events_of_a_deployment", "deployment_id", "seq"),
    sqlite_autoincrement=True,
)

freezes = _table(
    "freezes",
    Column("id", Integer, primary_key=True),
    Column("deployment", String),
    Column("reason", Words, nullable=False),
    Column("by", String, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("removed_at", Moment),
    Column("removed_by", String),
    CheckConstraint("ends_at > starts_at", name="a_freeze_ends_after_its_start"),
)

# What the judge saw on its way, thinned; for plots, and never read by a decision.
looks = _table(
    "looks",
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("rollout_id", Integer, ForeignKey("delivery.rollouts.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("data", Document, nullable=False),
    Index("looks_of_a_rollout", "rollout_id", "id"),
    sqlite_autoincrement=True,
)

# The outbox: what is to be told to whom, written in the transaction of the event that it tells of.
notifications = _table(
    "notifications",
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("event_seq", Big, ForeignKey("delivery.events.seq"), nullable=False),
    Column("event_id", String, nullable=False),
    Column("deployment_id", Integer, ForeignKey("delivery.deployments.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("receiver", String, nullable=False),
    Column("moment", String, nullable=False),
    Column("destination", Document, nullable=False),
    Column("state", String, nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Moment, nullable=False),
    Column("next_at", Moment),
    Column("settled_at", Moment),
    CheckConstraint("state IN ('pending', 'delivered', 'given_up')", name="states_of_a_notification"),
    CheckConstraint(
        "(state = 'pending') = (next_at IS NOT NULL) AND (state = 'pending') = (settled_at IS NULL)",
        name="a_pending_notification_has_its_next_time_and_no_other_has",
    ),
    Index("one_notification_per_event_and_receiver", "event_seq", "kind", "receiver", unique=True),
    Index("notifications_that_are_due", "next_at", **where("state = 'pending'")),
    Index("notifications_of_a_deployment", "deployment_id", "id"),
    sqlite_autoincrement=True,
)

delivery_attempts = _table(
    "delivery_attempts",
    Column("notification_id", Big, ForeignKey("delivery.notifications.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("delivered", Flag, nullable=False),
    Column("status", Integer),
    Column("detail", Words, nullable=False),
)

# What hooks have said at the points of a rollout: type and name of the hook, and the step (-2: all of them).
hook_answers = _table(
    "hook_answers",
    Column("rollout_id", Integer, ForeignKey("delivery.rollouts.id"), primary_key=True),
    Column("type", String, primary_key=True),
    Column("hook", String, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("said", Document, nullable=False),
)

# Which revision served which request, noted while a rollout wants it. Many rows: times are milliseconds since 1970.
served_requests = _table(
    "served_requests",
    Column("seq", Big, primary_key=True, autoincrement=True),
    Column("deployment_id", Integer, ForeignKey("delivery.deployments.id"), nullable=False),
    Column("request_id", String, nullable=False),
    # None: several revisions served requests of this id.
    Column("revision", Integer),
    Column("served_at", Big, nullable=False),
    Index("one_note_per_request", "deployment_id", "request_id", unique=True),
    Index("served_requests_in_order", "deployment_id", "seq"),
    sqlite_autoincrement=True,
)

# How far the notes of each process of the gateway, by its number, are in `served_requests`: written in the
# transaction of what was read.
served_position = _table(
    "served_position",
    Column("id", Integer, primary_key=True),
    Column("file", Integer, nullable=False),
    Column("offset", Big, nullable=False),
)

# The last note of each deployment that was let go of because there were too many.
served_forgotten = _table(
    "served_forgotten",
    Column("deployment_id", Integer, ForeignKey("delivery.deployments.id"), primary_key=True),
    Column("seq", Big, nullable=False),
)

# What came of the requests of rollouts, for the judge; `told_at` is when it was told first, `at` when it happened. All
# that was ever told is in `telemetry.outcomes`.
served_outcomes = _table(
    "served_outcomes",
    Column("deployment_id", Integer, ForeignKey("delivery.deployments.id"), primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("bad", Flag, nullable=False),
    Column("at", Big, nullable=False),
    Column("told_at", Big, nullable=False),
    Index("served_outcomes_by_age", "deployment_id", "told_at"),
    CheckConstraint("bad IN (0, 1)", name="an_outcome_is_good_or_bad").ddl_if(dialect="sqlite"),
)

GUARDS = (
    Guard(
        notifications,
        "settled_notifications_stay",
        "UPDATE",
        "a notification is settled",
        when="OLD.state != 'pending'",
    ),
    Guard(delivery_attempts, "attempts_never_change", "UPDATE", "attempts are append-only"),
    Guard(rollouts, "ended_rollouts_stay", "UPDATE", "a rollout has ended", when="OLD.ended_at IS NOT NULL"),
    Guard(revisions, "revisions_never_change", "UPDATE", "revisions are immutable"),
    Guard(events, "events_never_change", "UPDATE", "events are append-only"),
    Guard(events, "events_are_never_deleted", "DELETE", "events are append-only"),
    Guard(freezes, "removed_freezes_stay", "UPDATE", "a freeze is over", when="OLD.removed_at IS NOT NULL"),
    Guard(freezes, "freezes_are_never_deleted", "DELETE", "freezes stay on record"),
)
