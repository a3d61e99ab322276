"""The schema as statements: what makes an empty database one of Tidegate's.

PostgreSQL's are `init.sql` as well, which is made from these: see `scripts.generate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Dialect, insert, inspect, text
from sqlalchemy.dialects.postgresql import dialect as postgresql_dialect
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from tidegate.store.schema import GUARDS, PARTITIONED, SCHEMAS, metadata, telemetry

#: Roles without a login; who logs in is made a member of one.
OWNER, CONTROLLER, SERVING, ANALYST = "tidegate_owner", "tidegate_controller", "tidegate_serving", "tidegate_analyst"
ROLES = (OWNER, CONTROLLER, SERVING, ANALYST)
#: Partitions that are made ahead of their time.
AHEAD = 7

_REFUSE = """\
CREATE FUNCTION delivery.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation';
END
$$"""

#: The owner makes and drops partitions with pg_partman, so that they are the owner's.
PARTMAN_GRANTS = (
    f"GRANT USAGE, CREATE ON SCHEMA partman TO {OWNER}",
    f"GRANT ALL ON ALL TABLES IN SCHEMA partman TO {OWNER}",
    f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA partman TO {OWNER}",
    f"GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA partman TO {OWNER}",
)

_EXTENSION = "\n".join(
    (
        "DO $$ BEGIN",
        "    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_partman') THEN",
        "        CREATE SCHEMA IF NOT EXISTS partman;",
        "        CREATE EXTENSION IF NOT EXISTS pg_partman SCHEMA partman;",
        *(f"        {statement};" for statement in PARTMAN_GRANTS),
        "    END IF;",
        "END $$",
    )
)

_IN_UTC = """\
DO $$ BEGIN
    EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET timezone TO ''UTC''';
END $$"""


def create(db: Connection) -> None:
    """Make all of it in an empty database, within the transaction of the connection; without its version."""
    if db.dialect.name == "sqlite":
        metadata.create_all(db)
        for guard in GUARDS:
            db.exec_driver_sql(guard.statement("sqlite"))
        db.execute(insert(telemetry.retention), retention_rows())
    else:
        for _, statements in postgresql():
            for statement in statements:
                db.exec_driver_sql(statement)


def in_the_way(db: Connection) -> list[str]:
    """Return what a database without a version of ours has that is called like something that `create` makes."""
    if db.dialect.name != "sqlite":
        return [f"the schema {name}" for name in SCHEMAS if inspect(db).has_schema(name)]
    indexes = [str(index.name) for table in metadata.sorted_tables for index in table.indexes]
    ours = {*(table.name for table in metadata.sorted_tables), *indexes, *(guard.name for guard in GUARDS)}
    found = db.execute(text("SELECT type, name FROM sqlite_master ORDER BY type DESC, name"))
    return [f"the {kind} {name}" for kind, name in found if name.lower() in ours]


def retention_rows() -> list[dict[str, Any]]:
    """Return for how long each table keeps its rows at first."""
    return [{"table_name": table.name, "days": days} for table, _, days in PARTITIONED]


def postgresql() -> Iterator[tuple[str, list[str]]]:
    """Yield what a superuser runs, all of it in one transaction: a comment, and statements without their ends."""
    yield (
        "Roles. None of them can log in: make those that do members of one, e.g. GRANT tidegate_controller TO me.",
        [_role(name) for name in ROLES],
    )
    yield "Schemas.", [f"CREATE SCHEMA {name} AUTHORIZATION {OWNER}" for name in SCHEMAS]
    yield "All that follows belongs to the owner, whoever runs this.", [f"SET LOCAL ROLE {OWNER}"]
    yield "What must not happen is refused by triggers.", [_REFUSE]
    yield "Tables and indexes.", list(_tables())
    yield "Triggers.", [guard.statement("postgresql") for guard in GUARDS]
    yield "For how long rows are kept.", [_keep(row) for row in retention_rows()]
    yield "Privileges.", list(_grants())
    yield "What extensions need is a superuser's business.", ["RESET ROLE", _EXTENSION]
    yield "Days are those of UTC, for pg_partman's background worker as well.", ["SET LOCAL timezone = 'UTC'", _IN_UTC]
    yield (
        "Partitions: pg_partman's where there is that extension, else plain ones, which `tidegate db maintain` makes.",
        [
            f"SET LOCAL ROLE {OWNER}",
            *(_partitions(table.fullname, span, days) for table, span, days in PARTITIONED),
            "RESET ROLE",
        ],
    )


def _role(name: str) -> str:
    return (
        f"DO $$ BEGIN\n    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN\n"
        f"        CREATE ROLE {name} NOLOGIN;\n    END IF;\nEND $$"
    )


def _tables() -> Iterator[str]:
    dialect: Dialect = postgresql_dialect()  # type: ignore[no-untyped-call]
    for table in metadata.sorted_tables:
        indexes = sorted(table.indexes, key=lambda one: str(one.name))
        statements: list[DDLElement] = [CreateTable(table), *map(CreateIndex, indexes)]
        for statement in statements:
            made = str(statement.compile(dialect=dialect)).strip().expandtabs(4)
            yield "\n".join(line.rstrip() for line in made.splitlines())


def _keep(row: dict[str, Any]) -> str:
    days = "NULL" if row["days"] is None else row["days"]
    return f"INSERT INTO telemetry.retention (table_name, days) VALUES ('{row['table_name']}', {days})"  # noqa: S608


def _grants() -> Iterator[str]:
    everybody = ", ".join((CONTROLLER, ANALYST))
    for schema in SCHEMAS:
        yield f"GRANT USAGE ON SCHEMA {schema} TO {everybody}"
        yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {everybody}"
        yield f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {CONTROLLER}"
        yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {CONTROLLER}"
    yield f"REVOKE INSERT, UPDATE, DELETE ON delivery.schema_version FROM {CONTROLLER}"
    yield f"REVOKE UPDATE, DELETE ON telemetry.outcomes FROM {CONTROLLER}"
    yield f"GRANT USAGE ON SCHEMA features, telemetry TO {SERVING}"
    yield f"GRANT SELECT ON features.feature_views, features.feature_vectors TO {SERVING}"
    yield f"GRANT INSERT ON telemetry.predictions TO {SERVING}"


def _partitions(table: str, span: str, days: int | None) -> str:
    retention = "NULL" if days is None else f"'{days} days'"
    old = {"day": "daily", "month": "monthly"}[span]
    return f"""\
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_partman') THEN
        IF (SELECT extversion FROM pg_extension WHERE extname = 'pg_partman') ~ '^4[.]' THEN
            PERFORM partman.create_parent(
                p_parent_table := '{table}', p_control := 'at', p_type := 'native', p_interval := '{old}',
                p_premake := {AHEAD});
        ELSE
            PERFORM partman.create_parent(
                p_parent_table := '{table}', p_control := 'at', p_interval := '1 {span}', p_premake := {AHEAD});
        END IF;
        UPDATE partman.part_config
        SET retention = {retention}, retention_keep_table = false,
            infinite_time_partitions = true, ignore_default_data = true, inherit_privileges = true
        WHERE parent_table = '{table}';
    ELSE
        CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;
    END IF;
END $$"""  # noqa: S608 -- names and numbers of this module
