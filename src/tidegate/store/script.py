"""The schema as a file that a database administrator reads and runs: `stack/warehouse/init.sql`."""

from __future__ import annotations

from textwrap import wrap

from tidegate.store.definition import postgresql
from tidegate.store.versions import VERSION

_HEAD = f"""\
-- The tables of Tidegate's store in PostgreSQL 15 or newer, schema version {VERSION}.
--
-- Run it once, in an empty database, as a superuser: psql --dbname=tidegate --file=init.sql
-- It is one transaction: all of it is done, or nothing. `tidegate db init` does the same, `tidegate db init --print`
-- writes this, and `tidegate db check` says whether a database is as this makes it.

\\set ON_ERROR_STOP on

BEGIN;
"""


def sql() -> str:
    """Return what makes the schema in an empty database, for psql."""
    parts = [_HEAD]
    for comment, statements in postgresql():
        parts.append("\n".join(f"-- {line}" for line in wrap(comment, 117)))
        parts += [f"{statement};\n" for statement in statements]
    parts.append("-- Which version this is.")
    parts.append(f"INSERT INTO delivery.schema_version (version_num) VALUES ('{VERSION}');\n")  # noqa: S608 -- ours
    parts.append("COMMIT;")
    return "\n".join(parts) + "\n"
