"""What a database has, as PostgreSQL's catalogues say."""

from __future__ import annotations

from sqlalchemy.engine import URL

from tidegate.store import catalogue
from tidegate.store.versions import connected


def facts_of(url: URL) -> frozenset[str]:
    database = connected(url)
    try:
        with database.read() as db:
            return catalogue.facts(db)
    finally:
        database.close()
