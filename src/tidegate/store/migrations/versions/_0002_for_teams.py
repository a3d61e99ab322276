"""A registry, a feature store and time series; all of it in PostgreSQL as well, which had nothing before."""

from tidegate.store.migrations.run import apply

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    apply(revision)
