"""pg_partman: where it is, what the owner of the tables may do with it, which an update of it may take away, and what
it says when it could not do its work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, CursorResult, TextClause, text
from sqlalchemy.exc import DatabaseError

from tidegate.contract.errors import InvalidInput
from tidegate.store.definition import OWNER, PARTMAN_GRANTS

#: Who asks need not see what is in the schema, nor have the owner's role.
_WITHHELD = text(
    "SELECT n.nspname || '.' || c.relname FROM pg_roles r, pg_extension e"
    " JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'"
    " JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND c.relkind IN ('r', 'v')"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE r.rolname = :owner AND e.extname = 'pg_partman' AND n.nspname = 'partman' AND NOT ("
    "  has_table_privilege(r.oid, c.oid, 'SELECT') AND has_table_privilege(r.oid, c.oid, 'INSERT')"
    "  AND has_table_privilege(r.oid, c.oid, 'UPDATE') AND has_table_privilege(r.oid, c.oid, 'DELETE'))"
    " ORDER BY 1"
)


#: Every error in its functions is raised anew as one of the language that they are written in.
_RAISED = "P0001"  # raise_exception
#: From 5.1 on it notes when it maintained a table, and since 5.5 that it failed by no time. NULL without the column.
_FAILED = text(
    "SELECT to_jsonb(c) -> 'maintenance_last_run' = 'null' FROM partman.part_config c WHERE parent_table = :parent"
)


class NotMaintained(Exception):  # noqa: N818 -- what became of a table
    """pg_partman could not do its work; what it did in the transaction is to be rolled back."""


def refuse_elsewhere(db: Connection) -> None:
    """Refuse a database that has the extension where the schema does not look for it.

    Raises:
        InvalidInput: so it is.
    """
    query = text("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_partman'")
    found = db.execute(query).scalar_one_or_none()
    if found not in (None, "partman"):
        raise InvalidInput(
            "the database has pg_partman already, in another schema",
            subject="db init",
            expected="pg_partman in the schema partman, or not in this database yet",
            got=f"it is in {found}",
            hint="where nothing uses it there: DROP EXTENSION pg_partman",
        )


def withheld(db: Connection) -> tuple[str, ...]:
    """Return the tables of pg_partman that the owner may not use, of PostgreSQL; none where it is not installed."""
    return tuple(db.execute(_WITHHELD, {"owner": OWNER}).scalars())


def give_back(db: Connection) -> tuple[str, ...]:
    """Let the owner use what is withheld, where there is something; return which tables that were.

    Raises:
        InvalidInput: the role may not, of which PostgreSQL only warns where it may do something else with a table.
        ProgrammingError: the role may not.
    """
    found = withheld(db)
    if not found:
        return ()
    for statement in PARTMAN_GRANTS:
        db.exec_driver_sql(statement)
    if still := withheld(db):
        raise InvalidInput(
            f"the role may not let {OWNER} use pg_partman",
            subject="db upgrade",
            expected=f"a superuser, or the owner of {', '.join(still)}",
        )
    return found


def run_maintenance(db: Connection, parent: str) -> None:
    """Have pg_partman make and drop partitions of a table.

    Raises:
        NotMaintained: it could not, in its words: an error before 5.5, and since then a warning.
    """
    query = text("SELECT partman.run_maintenance(p_parent_table := :parent, p_analyze := false)")
    with _warnings(db) as warnings:
        _run(db, query, {"parent": parent})
    if warnings and db.execute(_FAILED, {"parent": parent}).scalar_one():
        raise NotMaintained(warnings[-1].partition(f"{parent}: ")[2] or warnings[-1])


def move_from_default(db: Connection, parent: str, periods: int) -> int:
    """Have pg_partman move rows of so many periods, the oldest first, out of the default partition into those that it
    makes; return how many rows.

    Raises:
        NotMaintained: it could not, in its words.
    """
    query = text("SELECT partman.partition_data_time(p_parent_table := :parent, p_batch_count := :periods)")
    return int(_run(db, query, {"parent": parent, "periods": periods}).scalar_one())


def _run(db: Connection, query: TextClause, given: Mapping[str, Any]) -> CursorResult[Any]:
    try:
        return db.execute(query, given)
    except DatabaseError as error:
        if getattr(error.orig, "sqlstate", None) != _RAISED:
            raise
        raise NotMaintained(_first_line(str(error.orig))) from error


@contextmanager
def _warnings(db: Connection) -> Iterator[list[str]]:
    """Yield a list of what the server warns of meanwhile, the first line of each."""
    found: list[str] = []

    def note(told: Any) -> None:
        if told.severity_nonlocalized == "WARNING":
            found.append(_first_line(told.message_primary or ""))

    connection: Any = db.connection.driver_connection
    connection.add_notice_handler(note)
    try:
        yield found
    finally:
        connection.remove_notice_handler(note)


def _first_line(told: str) -> str:
    return (told.strip().splitlines() or [""])[0]
