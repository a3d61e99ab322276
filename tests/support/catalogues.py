"""What a database has, as its own catalogue says: equal for two that were made in different ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from tidegate.store import catalogue
from tidegate.store.versions import connected


def facts_of(url: URL) -> frozenset[str]:
    """Return the facts of a database of PostgreSQL."""
    database = connected(url)
    try:
        with database.read() as db:
            return catalogue.facts(db)
    finally:
        database.close()


def of_file(path: Path) -> dict[str, Any]:
    """Return what a SQLite file has: tables with all that is of them, triggers, and what is kept for how long."""
    database = connected(path)
    with database.read() as db:
        inspector = inspect(db)
        told: dict[str, Any] = {
            table: {
                "columns": sorted(
                    (one["name"], str(one["type"]), one["nullable"], str(one["default"]))
                    for one in inspector.get_columns(table)
                ),
                "key": inspector.get_pk_constraint(table),
                "checks": sorted(map(str, inspector.get_check_constraints(table))),
                "unique": sorted(map(str, inspector.get_unique_constraints(table))),
                "references": sorted(map(str, inspector.get_foreign_keys(table))),
                "indexes": sorted(map(_index, inspector.get_indexes(table))),
            }
            for table in inspector.get_table_names()
        }
        triggers = text(
            "SELECT name, tbl_name, replace(sql, 'IF NOT EXISTS ', '') FROM sqlite_master WHERE type = 'trigger'"
        )
        told["triggers"] = sorted(map(str, db.execute(triggers)))
        told["kept"] = sorted(map(str, db.execute(text("SELECT table_name, days FROM retention"))))
    database.close()
    return told


def _index(found: Any) -> str:
    options = {name: str(value) for name, value in (found.get("dialect_options") or {}).items()}
    return str({**found, "dialect_options": options})
