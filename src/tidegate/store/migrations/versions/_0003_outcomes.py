"""One table of all outcomes that were told, with what really was; the judge's own is called after served requests."""

from tidegate.store.migrations.run import apply

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    apply(revision)
