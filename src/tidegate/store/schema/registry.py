"""The model registry: models, their versions, the aliases that move over them, and what is deployed of them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, String, text

from tidegate.store.schema.base import Guard, tables_in
from tidegate.store.schema.types import Document, Moment, Searched, Words

_table = tables_in("registry")

models = _table(
    "models",
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("description", Words, nullable=False, server_default=text("''")),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String, nullable=False),
)

model_versions = _table(
    "model_versions",
    Column("model_id", Integer, ForeignKey("registry.models.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    # sha256 of the bundle, or of the artifact's bytes.
    Column("digest", String, nullable=False),
    Column("framework", String, nullable=False),
    # Where it came from, as it was told.
    Column("source", Words, nullable=False),
    Column("stage", String, nullable=False, server_default=text("'none'")),
    Column("metrics", Searched, nullable=False),
    # Data, code and the version that it was made from.
    Column("lineage", Searched, nullable=False),
    # What else `registry show` tells: signature and environment of the bundle.
    Column("details", Document, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String, nullable=False),
    Column("archived_at", Moment),
    Column("archived_by", String),
    CheckConstraint("number >= 1", name="model_version_numbers_start_at_one"),
    CheckConstraint("stage IN ('none', 'staging', 'production', 'archived')", name="stages_of_a_model_version"),
    Index("model_versions_by_digest", "digest"),
)

_KEY_OF_A_VERSION = ("registry.model_versions.model_id", "registry.model_versions.number")

model_aliases = _table(
    "model_aliases",
    Column("model_id", Integer, primary_key=True),
    Column("alias", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("moved_at", Moment, nullable=False),
    Column("moved_by", String, nullable=False),
    ForeignKeyConstraint(["model_id", "number"], _KEY_OF_A_VERSION),
)

# Every move of an alias; `number` is None where it was taken away.
alias_moves = _table(
    "alias_moves",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model_id", Integer, ForeignKey("registry.models.id"), nullable=False),
    Column("alias", String, nullable=False),
    Column("before", Integer),
    Column("number", Integer),
    Column("at", Moment, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Words, nullable=False),
    Column("rollout_id", Integer, ForeignKey("delivery.rollouts.id")),
    Index("moves_of_an_alias", "model_id", "alias", "id"),
    sqlite_autoincrement=True,
)

# Which version of which model a revision was made from, and by which alias it was asked for.
deployed_versions = _table(
    "deployed_versions",
    Column("deployment_id", Integer, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("model_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("alias", String),
    ForeignKeyConstraint(
        ["deployment_id", "revision"], ["delivery.revisions.deployment_id", "delivery.revisions.number"]
    ),
    ForeignKeyConstraint(["model_id", "number"], _KEY_OF_A_VERSION),
    Index("deployments_of_a_model_version", "model_id", "number"),
)

_FIXED = ("model_id", "number", "digest", "framework", "source", "created_at", "created_by")

GUARDS = (
    Guard(
        model_versions,
        "model_versions_never_change",
        "UPDATE",
        "versions of a model are immutable",
        when=" OR ".join(f"NEW.{name} <> OLD.{name}" for name in _FIXED),
    ),
    Guard(model_versions, "model_versions_are_never_deleted", "DELETE", "versions of a model stay on record"),
    Guard(alias_moves, "alias_moves_never_change", "UPDATE", "moves of an alias are append-only"),
)
