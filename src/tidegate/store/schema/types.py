"""Types of columns that look different in the two databases and the same to Python."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Dialect, Integer, String, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine


class Moment(TypeDecorator[datetime]):
    """A moment: `timestamptz`; in SQLite ISO 8601 text in UTC with microseconds, which sorts as text. Aware, in UTC."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "postgresql":
            found: datetime = value
            return found.astimezone(UTC)
        return datetime.fromisoformat(value)


class Flag(TypeDecorator[bool]):
    """True or false: `boolean`; in SQLite 1 or 0."""

    impl = Integer
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Boolean())
        return dialect.type_descriptor(Integer())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        return None if value is None else bool(value)


class Words(TypeDecorator[str]):
    """Text of others: what PostgreSQL's text cannot hold, the character 0, is replaced by U+FFFD there."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace("\0", "\ufffd") if value is not None and dialect.name == "postgresql" else value


#: Numbers that may pass 2^31: milliseconds since 1970, and what counts rows. SQLite numbers rows by an INTEGER.
Big = BigInteger().with_variant(Integer(), "sqlite")
#: A document that is given back as it came, key for key in its order.
Document = JSON
#: A document that is searched: `jsonb`, which has an order of its own.
Searched = JSON().with_variant(JSONB(), "postgresql")
#: The same where there may be none: None is no document, and NULL.
SearchedOrNone = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

__all__ = ["Big", "Document", "Flag", "Moment", "Searched", "SearchedOrNone", "Words"]
