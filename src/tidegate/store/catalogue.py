"""What a PostgreSQL database has, fact by fact, and what the schema of today gives it.

A fact is a line that names an object and says one thing of it, in PostgreSQL's own words. What today's schema gives is
in `catalogue.txt`, read from a database that it was made in (`python -m scripts.catalogue`), so that a role that may
make nothing can compare. Partitions are no part of it: they come and go.
"""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import Connection, text

from tidegate.store.definition import OWNER, ROLES
from tidegate.store.schema import SCHEMAS

FILE = "catalogue.txt"

_OURS = """
WITH ours AS (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, n.nspname || '.' || c.relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(:schemas) AND NOT c.relispartition
)
"""
_FACTS = (
    """
    SELECT 'role ' || rolname FROM pg_roles WHERE rolname = ANY(:roles)
    """,
    """
    SELECT 'schema ' || nspname || ' owned by ' || pg_get_userbyid(nspowner)
    FROM pg_namespace WHERE nspname = ANY(:schemas)
    """,
    """
    SELECT 'table ' || name || ' owned by ' || pg_get_userbyid(relowner)
        || CASE relkind WHEN 'p' THEN ' partitioned by ' || pg_get_partkeydef(oid) ELSE '' END
    FROM ours WHERE relkind IN ('r', 'p')
    """,
    """
    SELECT 'column ' || o.name || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || CASE WHEN a.attidentity <> '' THEN ' identity' ELSE '' END
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE o.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
    """,
    """
    SELECT 'constraint ' || o.name || '.' || c.conname || ' ' || pg_get_constraintdef(c.oid)
        || CASE WHEN c.convalidated THEN '' ELSE ' not valid' END
    FROM ours o JOIN pg_constraint c ON c.conrelid = o.oid
    WHERE c.contype IN ('p', 'u', 'f', 'c', 'x')
    """,
    """
    SELECT 'index ' || o.name || '.' || x.relname || ' ' || pg_get_indexdef(x.oid)
        || CASE WHEN i.indisvalid THEN '' ELSE ' not valid' END
    FROM ours o JOIN pg_index i ON i.indrelid = o.oid JOIN pg_class x ON x.oid = i.indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x'))
    """,
    """
    SELECT 'trigger ' || o.name || '.' || t.tgname || ' ' || pg_get_triggerdef(t.oid)
        || CASE t.tgenabled WHEN 'O' THEN '' ELSE ' not always enabled' END
    FROM ours o JOIN pg_trigger t ON t.tgrelid = o.oid WHERE NOT t.tgisinternal
    """,
    """
    SELECT 'function ' || p.oid::regprocedure || ' ' || md5(p.prosrc)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY(:schemas)
    """,
    """
    SELECT 'privilege ' || a.privilege_type || ' on ' || o.name || ' to ' || pg_get_userbyid(a.grantee)
    FROM ours o, aclexplode(o.relacl) a WHERE pg_get_userbyid(a.grantee) = ANY(:granted)
    """,
    """
    SELECT 'privilege ' || a.privilege_type || ' on schema ' || n.nspname || ' to ' || pg_get_userbyid(a.grantee)
    FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE n.nspname = ANY(:schemas) AND pg_get_userbyid(a.grantee) = ANY(:granted)
    """,
)


def facts(db: Connection) -> frozenset[str]:
    """Return the facts of a database; any role may read them."""
    bound = {
        "schemas": list(SCHEMAS),
        "roles": list(ROLES),
        # What the owner may do is not written down in the same way by all versions of PostgreSQL.
        "granted": [role for role in ROLES if role != OWNER],
    }
    # PostgreSQL leaves the schema away of what is on the path, and by default that of the login's own name is.
    db.execute(text("SELECT set_config('search_path', '', true)"))
    found: set[str] = set()
    for query in _FACTS:
        statement = text(_OURS + query)
        parameters = {name: bound[name] for name in statement.compile().params}
        found |= {" ".join(fact.split()) for fact in db.execute(statement, parameters).scalars()}
    return frozenset(found)


def expected() -> frozenset[str]:
    """Return the facts that the schema of today gives."""
    return frozenset(files("tidegate.store").joinpath(FILE).read_text(encoding="utf-8").splitlines())


def object_of(fact: str) -> str:
    """Return what a fact is of: `column delivery.rollouts.id`; of a privilege, all of it."""
    kind, _, rest = fact.partition(" ")
    return fact if kind == "privilege" else f"{kind} {rest.partition(' ')[0]}"
