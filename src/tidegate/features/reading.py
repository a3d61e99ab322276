"""Reading vectors: the newest of each entity, what was true or known at some time, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, String, Text, any_, bindparam, cast, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from tidegate.contract.errors import InvalidInput, NotFound
from tidegate.features.records import Found, Holdings, Quarantined, View
from tidegate.features.vectors import UnfitError, entity_of
from tidegate.store.database import Database
from tidegate.store.schema.features import feature_history, feature_quarantine, feature_vectors, feature_views

#: Of one look-up.
MOST_ENTITIES = 10_000
#: Of one call that lists.
MOST_ROWS = 10_000


def views(database: Database) -> list[View]:
    """Return the views by name."""
    with database.read() as db:
        return [_view(row) for row in db.execute(select(feature_views).order_by(feature_views.c.name))]


def view(database: Database, name: str) -> View:
    """Return the view of that name; NotFound when there is none."""
    with database.read() as db:
        row = db.execute(select(feature_views).where(feature_views.c.name == name)).one_or_none()
    if row is None:
        raise no_view(name)
    return _view(row)


def no_view(name: str) -> NotFound:
    return NotFound(
        f"there is no feature view {name!r}", subject=name, hint="`tidegate features list` shows those that there are"
    )


def holdings(database: Database, view: View) -> Holdings:
    """Count what a view holds; reads all of its rows."""
    kept, past, refused = feature_vectors.c, feature_history.c, feature_quarantine.c
    with database.read() as db:
        entities = db.execute(select(func.count()).where(kept.view_id == view.id)).scalar_one()
        of_view = select(func.count(), func.min(past.at), func.max(past.at)).where(past.view_id == view.id)
        vectors, first, last = db.execute(of_view).one()
        quarantined = db.execute(select(func.count()).where(refused.view_id == view.id)).scalar_one()
    return Holdings(entities, vectors, quarantined, first, last)


def newest(database: Database, name: str, entities: Sequence[str | int]) -> dict[str, Found]:
    """Return the newest vector of each of these entities that has one, in one statement.

    Raises:
        NotFound: there is no such view.
        InvalidInput: a key of an entity is none, or there are more than 10,000.
    """
    return _found(database, _newest(database.is_sqlite), {"view": name, "keys": _keys(entities)})


def at_time(
    database: Database,
    name: str,
    entities: Sequence[str | int],
    *,
    true_at: datetime | None = None,
    known_at: datetime | None = None,
) -> dict[str, Found]:
    """Return for each of these entities the vector that was true at a time, as far as it was known at another.

    Args:
        true_at: vectors that are true from later on are left out; None for no bound.
        known_at: vectors that were written later are left out; None for no bound.

    Raises:
        NotFound: there is no such view.
        InvalidInput: a key of an entity is none, or there are more than 10,000.
    """
    query = _at_time(database.is_sqlite, is_true_by=true_at is not None, is_known_by=known_at is not None)
    asked = {"view": name, "keys": _keys(entities), "true_at": true_at, "known_at": known_at}
    return _found(database, query, asked)


def history(database: Database, view: View, entity: str | int, limit: int) -> list[Found]:
    """Return the vectors of an entity of all times, the latest first; of one time, the one that was written last first.

    Raises:
        InvalidInput: the key is none, or the limit is not from 1 to 10,000.
    """
    (key,) = _keys([entity])
    past = feature_history.c
    query = (
        select(past.entity, past.at, past.written_at, cast(past.vector, Text).label("vector"))
        .where(past.view_id == view.id, past.entity == key)
        .order_by(past.at.desc(), past.written_at.desc())
        .limit(_limited(limit))
    )
    with database.read() as db:
        return [_vector(row) for row in db.execute(query)]


def quarantine(database: Database, view: View, limit: int) -> list[Quarantined]:
    """Return the rows that were refused, those that came last first.

    Raises:
        InvalidInput: the limit is not from 1 to 10,000.
    """
    table = feature_quarantine
    query = select(table).where(table.c.view_id == view.id).order_by(table.c.id.desc()).limit(_limited(limit))
    with database.read() as db:
        return [
            Quarantined(row.id, row.received_at, row.source, row.position, row.entity, row.vector, row.reason)
            for row in db.execute(query)
        ]


def decoded(text: str) -> dict[str, Any]:
    """Return a vector of its text. Not by the driver: what is 1e300 is a number of 301 digits in PostgreSQL."""
    found: dict[str, Any] = orjson.loads(text)
    return found


# Queries are made once: to make one takes longer than to answer it. A view is named by `view`, entities by `keys`.


@cache
def _newest(is_sqlite: bool) -> Select[Any]:
    kept = feature_vectors.c
    among = _among(kept.entity, is_sqlite=is_sqlite)
    return _of_view(select(kept.view_id, kept.entity, kept.at, kept.written_at, kept.vector).where(among))


@cache
def _at_time(is_sqlite: bool, *, is_true_by: bool, is_known_by: bool) -> Select[Any]:
    past = feature_history.c
    nth = func.row_number().over(
        partition_by=(past.view_id, past.entity), order_by=(past.at.desc(), past.written_at.desc())
    )
    of_entities = select(past.view_id, past.entity, past.at, past.written_at, past.vector, nth.label("nth")).where(
        _among(past.entity, is_sqlite=is_sqlite)
    )
    # Told here as well, so that the index is used before the ranks are counted.
    of_entities = of_entities.where(
        past.view_id == select(feature_views.c.id).where(feature_views.c.name == bindparam("view")).scalar_subquery()
    )
    if is_true_by:
        of_entities = of_entities.where(past.at <= bindparam("true_at"))
    if is_known_by:
        of_entities = of_entities.where(past.written_at <= bindparam("known_at"))
    row = of_entities.subquery("ranked").c
    return _of_view(select(row.view_id, row.entity, row.at, row.written_at, row.vector).where(row.nth == 1))


def _among(entity: ColumnElement[str], *, is_sqlite: bool) -> ColumnElement[bool]:
    """Return that an entity is one of `keys`: in PostgreSQL one statement for any number, which stays prepared."""
    if is_sqlite:
        return entity.in_(bindparam("keys", expanding=True))
    return entity == any_(bindparam("keys", type_=ARRAY(String)))


def _of_view(vectors: Select[Any]) -> Select[Any]:
    """Return the vectors with their view beside them: one row without a vector where there is the view alone."""
    found = vectors.subquery("found")
    return (
        select(found.c.entity, found.c.at, found.c.written_at, cast(found.c.vector, Text).label("vector"))
        .select_from(feature_views.outerjoin(found, found.c.view_id == feature_views.c.id))
        .where(feature_views.c.name == bindparam("view"), true())
    )


def _found(database: Database, query: Select[Any], asked: Mapping[str, Any]) -> dict[str, Found]:
    rows = database.ask(query, asked)
    if not rows:
        raise no_view(asked["view"])
    return {row.entity: _vector(row) for row in rows if row.entity is not None}


def _vector(row: Any) -> Found:
    return Found(row.entity, row.at, row.written_at, decoded(row.vector))


def _view(row: Any) -> View:
    columns: Mapping[str, Any] = row._mapping
    return View(**columns)


def _keys(entities: Sequence[str | int]) -> list[str]:
    if not 1 <= len(entities) <= MOST_ENTITIES:
        raise InvalidInput(
            "a look-up is for some entities", expected=f"1 to {MOST_ENTITIES:,} entities", got=f"{len(entities):,}"
        )
    try:
        return list(dict.fromkeys(entity_of(entity) for entity in entities))
    except UnfitError as wrong:
        raise InvalidInput(f"this is no key of an entity: {wrong}", subject="entity") from wrong


def _limited(limit: int) -> int:
    if not 1 <= limit <= MOST_ROWS:
        raise InvalidInput("the limit is out of range", expected=f"1 to {MOST_ROWS:,}", got=str(limit))
    return limit
