"""The feature store: views, the newest vector of each entity, all that were true before, and what was refused."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String

from tidegate.store.schema.base import tables_in
from tidegate.store.schema.types import Big, Document, Moment, Searched, Words

_table = tables_in("features")

feature_views = _table(
    "feature_views",
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    # What its entities are, and how the column is called that names them.
    Column("entity", String, nullable=False),
    # JSON Schema of a vector; None for any object.
    Column("schema", Document),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String, nullable=False),
    # When vectors were written to it last: the `written_at` of the next load is later, whatever the clock says.
    Column("loaded_at", Moment),
)

# The newest vector of each entity: what is looked up to predict.
feature_vectors = _table(
    "feature_vectors",
    Column("view_id", Integer, ForeignKey("features.feature_views.id"), primary_key=True),
    Column("entity", String, primary_key=True),
    # From when on it is true, and when we learnt it.
    Column("at", Moment, nullable=False),
    Column("written_at", Moment, nullable=False),
    Column("vector", Searched, nullable=False),
    Index(
        "feature_vectors_by_content",
        "vector",
        postgresql_using="gin",
        postgresql_ops={"vector": "jsonb_path_ops"},
    ).ddl_if(dialect="postgresql"),
)

# All vectors, by the time from which on they are true; of one time, the one that was written last holds.
feature_history = _table(
    "feature_history",
    Column("view_id", Integer, primary_key=True),
    Column("entity", String, primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("written_at", Moment, primary_key=True),
    Column("vector", Searched, nullable=False),
    postgresql_partition_by="RANGE (at)",
)

feature_quarantine = _table(
    "feature_quarantine",
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("view_id", Integer, ForeignKey("features.feature_views.id"), nullable=False),
    Column("received_at", Moment, nullable=False),
    # What it came in, such as a file, and which line or row of it that was, from 1.
    Column("source", Words, nullable=False),
    Column("position", Big, nullable=False),
    # As it came, and cut where it was too long.
    Column("entity", Words, nullable=False),
    Column("vector", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Index("quarantine_of_a_view", "view_id", "id"),
    sqlite_autoincrement=True,
)
