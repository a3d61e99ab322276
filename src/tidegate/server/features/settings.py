"""What the server is told about the feature store."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FeatureSettings:
    """From where rows are completed.

    Attributes:
        view: the feature view.
        entity: the column of a row that holds the key of its entity.
        store: URL of a PostgreSQL database, which may hold a password, or the path of a SQLite file.
        cache_url: of Redis, which may hold a password; None for none.
        max_age_seconds: how long a vector in Redis is used.
    """

    view: str
    entity: str
    store: str = field(repr=False)
    cache_url: str | None = field(default=None, repr=False)
    max_age_seconds: float = 10.0
