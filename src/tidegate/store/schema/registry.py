"""The model registry: models, their versions, what is thought of them, aliases, and what is deployed of them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, String, text

from tidegate.store.schema.base import Guard, tables_in
from tidegate.store.schema.delivery import KEY_OF_A_REVISION
from tidegate.store.schema.types import Document, Moment, Searched, Words

_table = tables_in("registry")

_STAGES = "('none', 'staging', 'production', 'archived')"

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
    # sha256 of its bundle, which is kept.
    Column("digest", String, nullable=False),
    # Name of the runtime that serves it.
    Column("framework", String, nullable=False),
    # Where it came from, as it was told.
    Column("source", Words, nullable=False),
    Column("description", Words, nullable=False, server_default=text("''")),
    Column("stage", String, nullable=False, server_default=text("'none'")),
    Column("metrics", Searched, nullable=False),
    # Data, code and the version that it was made from.
    Column("lineage", Searched, nullable=False),
    # What of its bundle is shown and compared: signature, environment, sizes.
    Column("details", Document, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String, nullable=False),
    CheckConstraint("number >= 1", name="model_version_numbers_start_at_one"),
    CheckConstraint(f"stage IN {_STAGES}", name="stages_of_a_model_version"),
    Index("model_versions_by_digest", "digest"),
)

_KEY_OF_A_VERSION = ("registry.model_versions.model_id", "registry.model_versions.number")

# Every change of a version's stage.
stage_changes = _table(
    "stage_changes",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("before", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Words, nullable=False),
    ForeignKeyConstraint(["model_id", "number"], _KEY_OF_A_VERSION),
    Index("stage_changes_of_a_version", "model_id", "number", "id"),
    sqlite_autoincrement=True,
)

model_aliases = _table(
    "model_aliases",
    Column("model_id", Integer, primary_key=True),
    Column("alias", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("moved_at", Moment, nullable=False),
    Column("moved_by", String, nullable=False),
    ForeignKeyConstraint(["model_id", "number"], _KEY_OF_A_VERSION),
)

# Every move of an alias; `before` is None where there was none, `number` where it was taken away.
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
    # The rollout whose end moved it.
    Column("rollout_id", Integer, ForeignKey("delivery.rollouts.id")),
    Index("moves_of_an_alias", "model_id", "alias", "id"),
    sqlite_autoincrement=True,
)

# Which version of which model a revision is, by which alias or stage it was asked for, and which alias follows it.
deployed_versions = _table(
    "deployed_versions",
    Column("deployment_id", Integer, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("model_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("asked", String),
    # The alias that names the deployment's stable version.
    Column("follows", String),
    # Who asked for the rollout.
    Column("by", String, nullable=False),
    # The rollout that tried it first.
    Column("rollout_id", Integer, ForeignKey("delivery.rollouts.id"), nullable=False),
    ForeignKeyConstraint(["deployment_id", "revision"], KEY_OF_A_REVISION),
    ForeignKeyConstraint(["model_id", "number"], _KEY_OF_A_VERSION),
    Index("deployments_of_a_model_version", "model_id", "number"),
)

_FIXED = ("model_id", "number", "digest", "framework", "source", "description", "created_at", "created_by")
# Two documents are the same where their texts are.
_FIXED_DOCUMENTS = ("metrics", "lineage", "details")

GUARDS = (
    Guard(
        model_versions,
        "model_versions_never_change",
        "UPDATE",
        "versions of a model are immutable",
        when=" OR ".join(
            (
                *(f"NEW.{name} <> OLD.{name}" for name in _FIXED),
                *(f"CAST(NEW.{name} AS TEXT) <> CAST(OLD.{name} AS TEXT)" for name in _FIXED_DOCUMENTS),
            )
        ),
    ),
    Guard(model_versions, "model_versions_are_never_deleted", "DELETE", "versions of a model stay on record"),
    Guard(models, "models_are_never_deleted", "DELETE", "models stay on record"),
    Guard(alias_moves, "alias_moves_never_change", "UPDATE", "moves of an alias are append-only"),
    Guard(alias_moves, "alias_moves_are_never_deleted", "DELETE", "moves of an alias are append-only"),
    Guard(stage_changes, "stage_changes_never_change", "UPDATE", "changes of a stage are append-only"),
    Guard(stage_changes, "stage_changes_are_never_deleted", "DELETE", "changes of a stage are append-only"),
    Guard(deployed_versions, "deployed_versions_never_change", "UPDATE", "the version of a revision is immutable"),
    Guard(deployed_versions, "deployed_versions_are_never_deleted", "DELETE", "the version of a revision is immutable"),
)
