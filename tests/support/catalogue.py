"""What a database is made of, as its own catalogue tells it: to compare databases that were made in different ways."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, inspect, text

from tidegate.store.schema import SCHEMAS

_OF_POSTGRESQL = {
    "triggers": "SELECT event_object_schema, event_object_table, trigger_name, event_manipulation, action_statement, "
    "action_condition FROM information_schema.triggers",
    "grants": "SELECT grantee, table_schema, table_name, privilege_type FROM information_schema.role_table_grants "
    "WHERE grantee LIKE 'tidegate%'",
    "owners": "SELECT schemaname, tablename, tableowner FROM pg_tables "
    "WHERE schemaname IN ('delivery', 'registry', 'features', 'telemetry')",
    "partitions": "SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid) FROM pg_partitioned_table",
    "routines": "SELECT routine_schema, routine_name, routine_definition FROM information_schema.routines "
    "WHERE routine_schema IN ('delivery', 'registry', 'features', 'telemetry')",
    "kept": "SELECT table_name, days FROM telemetry.retention",
}
_OF_SQLITE = {
    "triggers": "SELECT name, tbl_name, replace(sql, 'IF NOT EXISTS ', '') FROM sqlite_master WHERE type = 'trigger'",
    "kept": "SELECT table_name, days FROM retention",
}


def catalogue(db: Connection) -> dict[str, Any]:
    """Return tables with columns, keys, checks and indexes, and what else there is; equal when they are."""
    is_sqlite = db.dialect.name == "sqlite"
    told: dict[str, Any] = {}
    inspector = inspect(db)
    for schema in (None,) if is_sqlite else SCHEMAS:
        for table in inspector.get_table_names(schema=schema):
            told[f"{schema}.{table}"] = {
                "columns": sorted(
                    (one["name"], str(one["type"]), one["nullable"], str(one["default"]))
                    for one in inspector.get_columns(table, schema=schema)
                ),
                "key": inspector.get_pk_constraint(table, schema=schema),
                "checks": sorted(
                    (str(one["name"]), one["sqltext"]) for one in inspector.get_check_constraints(table, schema=schema)
                ),
                "unique": sorted(map(str, inspector.get_unique_constraints(table, schema=schema))),
                "references": sorted(map(str, inspector.get_foreign_keys(table, schema=schema))),
                "indexes": sorted(map(_index, inspector.get_indexes(table, schema=schema))),
            }
    for what, query in (_OF_SQLITE if is_sqlite else _OF_POSTGRESQL).items():
        told[what] = sorted(map(str, db.execute(text(query))))
    return told


def _index(found: Any) -> str:
    options = {name: str(value) for name, value in (found.get("dialect_options") or {}).items()}
    return str({**found, "dialect_options": options})
