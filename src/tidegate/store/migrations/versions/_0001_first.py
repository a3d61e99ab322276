"""SQLite files of the first release: tables, and those that were added to them without a new number."""

from tidegate.store.migrations.run import apply

revision = "0001"
down_revision = None


def upgrade() -> None:
    apply(revision)
