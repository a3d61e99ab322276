"""What a database has, as its own catalogue says: equal for two that were made in different ways."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL

from tidegate.store import catalogue, file_catalogue
from tidegate.store.versions import connected


def facts_of(url: URL) -> frozenset[str]:
    """Return the facts of a database of PostgreSQL."""
    database = connected(url)
    try:
        with database.read() as db:
            return catalogue.facts(db)
    finally:
        database.close()


def of_file(path: Path) -> set[str]:
    """Return the facts of a SQLite file, and of each table for how many days its rows are kept."""
    database = connected(path)
    try:
        with database.read() as db:
            kept = db.execute(text("SELECT table_name || ' is kept ' || coalesce(days, 'for ever') FROM retention"))
            return {*file_catalogue.facts(db), *kept.scalars()}
    finally:
        database.close()
