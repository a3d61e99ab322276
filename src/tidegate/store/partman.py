"""Where pg_partman is, and what the owner of the tables may do with it, which an update of it may take away."""

from __future__ import annotations

from sqlalchemy import Connection, text

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
