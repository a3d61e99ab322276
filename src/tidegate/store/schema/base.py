"""What the tables are made with: one catalogue for both databases, indexes of a part of a table, and guards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, Table, text

#: PostgreSQL's schemas. SQLite has none, and no two tables have the same name.
SCHEMAS = ("delivery", "registry", "features", "telemetry")
#: Which makes SQLite leave the schemas away.
WITHOUT_SCHEMAS: dict[str | None, str | None] = dict.fromkeys(SCHEMAS)

metadata = MetaData()


def tables_in(schema: str) -> Callable[..., Table]:
    """Return what makes a table in a schema, given its name and columns."""

    def table(name: str, *parts: Any, **options: Any) -> Table:
        return Table(name, metadata, *parts, schema=schema, **options)

    return table


def where(condition: str) -> dict[str, Any]:
    """Return the options of an index that covers the rows for which the condition holds."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


@dataclass(frozen=True)
class Guard:
    """A trigger by which the database itself refuses a change, whoever asks for it: an integrity error.

    Attributes:
        change: "INSERT", "UPDATE" or "DELETE".
        why: what the error says; without quotes.
        when: a condition on OLD and NEW, where the change has them; None for each row.
    """

    table: Table
    name: str
    change: str
    why: str
    when: str | None = None

    def statement(self, dialect: str) -> str:
        """Return what makes the trigger. PostgreSQL's calls `delivery.refuse`."""
        if dialect == "sqlite":
            when = f" WHEN {self.when}" if self.when else ""
            action = f"BEGIN SELECT RAISE(ABORT, '{self.why}'); END"
            return f"CREATE TRIGGER {self.name} BEFORE {self.change} ON {self.table.name}{when} {action}"
        when = f" WHEN ({self.when})" if self.when else ""
        action = f"EXECUTE FUNCTION delivery.refuse('{self.why}')"
        return f"CREATE TRIGGER {self.name} BEFORE {self.change} ON {self.table.fullname} FOR EACH ROW{when} {action}"
