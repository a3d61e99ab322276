"""Loading vectors: all rows of a load or none, in bounded memory, and one short transaction at its end.

Rows go to a temporary table first. The transaction merges them: the history gets what is new, and each entity keeps
its newest vector, so that one that comes late never takes the place of a newer one. Loads of one view come one after
another, since each begins by writing the view's row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, func, insert, literal, or_, select, update

from tidegate.contract.errors import InvalidInput
from tidegate.features import staging
from tidegate.features.records import Loaded, View
from tidegate.features.vectors import Check, Columns, Raw, Refused, sorted_out
from tidegate.store.database import Database
from tidegate.store.schema.features import feature_history, feature_quarantine, feature_vectors, feature_views
from tidegate.store.schema.types import Moment, Words

#: Refused rows of one load: with more of them something is wrong with all.
MOST_REFUSED = 10_000
_REASONS = 20

#: Called with how many rows were read, and how many of them refused, now and then; with None for how many when they
#: are being merged.
Progress = Callable[[int | None, int], None]


def load(
    database: Database,
    view: View,
    rows: Iterable[Raw],
    columns: Columns,
    *,
    check: Check | None,
    source: str,
    clock: Callable[[], datetime],
    most_refused: int = MOST_REFUSED,
    progress: Progress = lambda _read, _refused: None,
) -> Loaded:
    """Load rows into a view; see `FeatureStore.load`.

    Raises:
        InvalidInput: more rows than `most_refused` are refused; nothing was written.
        Unavailable: the store cannot be written; nothing was.
    """
    read = refused = 0
    reasons: list[tuple[int, str]] = []
    now = clock()
    with staging.staging(database, staging.vectors, staging.refusals) as connection:
        good, bad = (staging.Filling(connection, table) for table in (staging.vectors, staging.refusals))
        for raw in rows:
            read += 1
            one = sorted_out(raw, columns, check, now)
            if isinstance(one, Refused):
                refused += 1
                if len(reasons) < _REASONS:
                    reasons.append((one.position, one.reason))
                if refused > most_refused:
                    raise _too_many(source, most_refused, reasons)
                bad.add(one.position, one.entity, one.text, one.reason)
            else:
                good.add(one.position, one.entity, one.at, one.text)
            if read % staging.ROWS == 0:
                progress(read, refused)
        good.flush()
        bad.flush()
        progress(None, refused)
        with connection.begin():
            staging.be_patient(connection)
            written_at = _begun(connection, view, clock)
            staging.analyse(connection, staging.vectors)
            written = _count(connection, _into_history(view, written_at))
            newest = _count(connection, _newest(database, view, written_at))
            connection.execute(_into_quarantine(view, written_at, source))
    return Loaded(
        read=read,
        written=written,
        unchanged=read - refused - written,
        newest=newest,
        quarantined=refused,
        reasons=tuple(reasons),
        written_at=written_at,
    )


def _begun(connection: Connection, view: View, clock: Callable[[], datetime]) -> datetime:
    """Let no other load of the view write until this one is over; return the time at which it writes.

    That is later than of every load before. PostgreSQL's own clock counts, since several machines may write.
    """
    of_view = feature_views.c.id == view.id
    connection.execute(update(feature_views).where(of_view).values(loaded_at=feature_views.c.loaded_at))
    last = connection.execute(select(feature_views.c.loaded_at).where(of_view)).scalar_one()
    now = clock()
    if connection.dialect.name == "postgresql":
        now = connection.execute(select(func.clock_timestamp(type_=Moment))).scalar_one()
    written_at = now if last is None else max(now, last + timedelta(microseconds=1))
    connection.execute(update(feature_views).where(of_view).values(loaded_at=written_at))
    return written_at


def _count(connection: Connection, statement: Any) -> int:
    """Execute what inserts rows; return how many it did."""
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


def _ranked(*order: Any, of: tuple[Any, ...]) -> Any:
    """Return the staged rows, each with its place among those of the same key; the last row of a load comes first."""
    row = staging.vectors.c
    nth = func.row_number().over(partition_by=of, order_by=[*order, row.position.desc()])
    return select(row.entity, row.at, row.vector, nth.label("nth")).subquery("ranked")


def _into_history(view: View, written_at: datetime) -> Any:
    row, past = staging.vectors.c, feature_history.c
    ranked = _ranked(of=(row.entity, row.at))
    known = (
        select(past.vector)
        .where(past.view_id == view.id, past.entity == ranked.c.entity, past.at == ranked.c.at)
        .order_by(past.written_at.desc())
        .limit(1)
        .correlate(ranked)
        .scalar_subquery()
    )
    new = _as_rows(ranked, view, written_at).where(ranked.c.vector.is_distinct_from(known))
    return insert(feature_history).from_select(_NAMES, new)


def _newest(database: Database, view: View, written_at: datetime) -> Any:
    row, kept = staging.vectors.c, feature_vectors.c
    ranked = _ranked(row.at.desc(), of=(row.entity,))
    made = database.insert(feature_vectors).from_select(_NAMES, _as_rows(ranked, view, written_at))
    new = made.excluded
    return made.on_conflict_do_update(
        index_elements=[kept.view_id, kept.entity],
        set_={"at": new.at, "written_at": new.written_at, "vector": new.vector},
        where=or_(new.at > kept.at, and_(new.at == kept.at, new.vector.is_distinct_from(kept.vector))),
    )


def _into_quarantine(view: View, received_at: datetime, source: str) -> Any:
    row = staging.refusals.c
    rows = select(
        literal(view.id),
        literal(received_at, Moment),
        literal(source, Words),
        row.position,
        row.entity,
        row.vector,
        row.reason,
    ).order_by(row.position)
    names = ["view_id", "received_at", "source", "position", "entity", "vector", "reason"]
    return insert(feature_quarantine).from_select(names, rows)


_NAMES = ["view_id", "entity", "at", "written_at", "vector"]


def _as_rows(ranked: Any, view: View, written_at: datetime) -> Select[Any]:
    row = ranked.c
    return select(literal(view.id), row.entity, row.at, literal(written_at, Moment), row.vector).where(row.nth == 1)


def _too_many(source: str, most: int, reasons: list[tuple[int, str]]) -> InvalidInput:
    position, reason = reasons[0]
    return InvalidInput(
        f"more than {most:,} rows of {source} are no vectors; the first is row {position}: {reason}",
        subject=source,
        hint="nothing was written: see that the columns are the right ones, or let more rows be refused",
    )
