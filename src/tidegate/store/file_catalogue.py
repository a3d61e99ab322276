"""What a SQLite file has, fact by fact, and what the schema of today gives one; compared as those of `catalogue` are.

Columns, keys and references are told by SQLite itself, so that it does not matter how a table came about. Its CHECKs,
indexes and triggers are told by their text alone, without what has no meaning in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, text

from tidegate.store.database import sqlite_engine
from tidegate.store.definition import create

_TOKEN = re.compile(
    r"""(?P<space> \s+ | --[^\n]* | /\*.*?\*/ )
      | (?P<name> "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\] )
      | '(?:[^']|'')*' | \w+(?:\.\w+)* | [<>=!|]+ | .""",
    re.VERBOSE | re.DOTALL,
)
_OURS = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
_COLUMNS = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(:table)'
_REFERENCES = (
    'SELECT id, "from", "table", coalesce("to", \'\') AS "to", on_update, on_delete'
    " FROM pragma_foreign_key_list(:table) ORDER BY id, seq"
)
_UNIQUE = (
    'SELECT l.name AS key, x.name AS "column" FROM pragma_index_list(:table) l, pragma_index_info(l.name) x'
    " WHERE l.origin = 'u' ORDER BY l.name, x.seqno"
)
_OTHERS = "SELECT type, tbl_name, name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL"


def facts(db: Connection) -> frozenset[str]:
    """Return the facts of a file."""
    found: set[str] = set()
    for table, sql in db.execute(text(_OURS)):
        found |= {*_of_table(table, tokens(sql)), *_of_columns(db, table), *_of_keys(db, table)}
    for kind, table, name, sql in db.execute(text(_OTHERS)):
        found.add(f"{kind} {table}.{name} {_joined(tokens(sql))}".replace(" if not exists ", " ", 1))
    return frozenset(found)


def expected() -> frozenset[str]:
    """Return the facts that the schema of today gives."""
    with _scratch() as db:
        return facts(db)


def makers() -> dict[str, str]:
    """Return the statements that make the indexes and triggers of today's schema, by the names that facts have."""
    with _scratch() as db:
        return {f"{kind} {table}.{name}": sql for kind, table, name, sql in db.execute(text(_OTHERS))}


@contextmanager
def _scratch() -> Iterator[Connection]:
    """Give a database with today's schema."""
    engine = sqlite_engine(Path(":memory:"))
    try:
        with engine.connect() as db:
            create(db)
            yield db
    finally:
        engine.dispose()


def tokens(sql: str) -> list[str]:
    """Return the words of a statement: without spaces, comments, needless quotes, and capitals that mean nothing."""
    words = []
    for token in _TOKEN.finditer(sql):
        word = token[0]
        if token["space"]:
            continue
        if token["name"] and re.fullmatch(r"\w+", word[1:-1]):
            word = word[1:-1]
        words.append(word if word[0] in "'\"`[" else word.lower())
    return words


def _joined(words: list[str]) -> str:
    return re.sub(r"(?<=\() | (?=[(),;])", "", " ".join(words))


def _of_table(table: str, words: list[str]) -> Iterator[str]:
    counts = "autoincrement" in words
    yield f"table {table}{' counts its keys' if counts else ''}"
    for at, word in enumerate(words):
        if word != "check":
            continue
        named = at > 1 and words[at - 2] == "constraint"
        name = words[at - 1] if named else "check"
        yield f"constraint {table}.{name} check {_joined(_in_parentheses(words[at + 1 :]))}"


def _in_parentheses(words: list[str]) -> list[str]:
    depth = 0
    for at, word in enumerate(words):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if not depth:
            return words[: at + 1]
    return words


def _of_columns(db: Connection, table: str) -> Iterator[str]:
    for one in db.execute(text(_COLUMNS), {"table": table}):
        parts = [
            f"column {table}.{one.name} {one.type.lower()}",
            "not null" if one.notnull else "",
            f"default {one.dflt_value}" if one.dflt_value is not None else "",
            f"in the primary key as number {one.pk}" if one.pk else "",
            "generated" if one.hidden else "",
        ]
        yield " ".join(part for part in parts if part)


def _of_keys(db: Connection, table: str) -> Iterator[str]:
    for _, group in groupby(db.execute(text(_REFERENCES), {"table": table}), lambda one: one.id):
        rows = list(group)
        own, others = (",".join(getattr(one, side) for one in rows) for side in ("from", "to"))
        changes = f"on update {rows[0].on_update} on delete {rows[0].on_delete}".lower()
        yield f"constraint {table}.{own} references {rows[0].table} ({others}) {changes}"
    for _, group in groupby(db.execute(text(_UNIQUE), {"table": table}), lambda one: one.key):
        yield f"constraint {table}.{','.join(one.column for one in group)} unique"
