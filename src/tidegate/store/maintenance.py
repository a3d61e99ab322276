"""Maintenance of the tables that pile up with time: partitions made ahead of their time, and rows let go of after it.

pg_partman does it where it manages a table; else plain partitions are made and dropped here. In SQLite, and of tables
without partitions, rows are deleted some at a time. Each step is a transaction of its own that looks again under a
lock: it may run twice at once, and while others write. A table that somebody is in the way of is left for the next
time, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Literal

from sqlalchemy import Column, Connection, Table, delete, select, text
from sqlalchemy.exc import ProgrammingError

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.store import partman
from tidegate.store.database import LOCKS, Database
from tidegate.store.definition import AHEAD, OWNER
from tidegate.store.expiry import delete_rows
from tidegate.store.pace import DELETED_AT_ONCE, Pace
from tidegate.store.partitions import Period, is_written, name_of, period_of, periods_from, to_drop, to_make
from tidegate.store.schema import EXPIRING, PARTITIONED, Span
from tidegate.store.schema.telemetry import drift_readings, outcomes, predictions, retention

#: The second half of the advisory lock of whoever maintains.
MAINTAINING = 0x6D61

_IN_THE_WAY = ("55P03", "40P01")  # lock_not_available, deadlock_detected
_TOO_LONG = "57014"  # query_canceled
_NOT_ALLOWED = "42501"

#: Rows of these are of the moment at which they are written; those of the others are of any time.
_OF_NOW = (predictions, outcomes, drift_readings)

Manager = Literal["pg_partman", "tidegate", "sqlite"]

_BOUNDS = re.compile(r"FOR VALUES FROM \('([^']+)'\) TO \('([^']+)'\)")


@dataclass(frozen=True)
class Partition:
    """A partition as it is.

    Attributes:
        name: with its schema.
        owner: the role that it belongs to.
        is_default: it has what no other partition has.
        period: None of the default one, and of one with bounds that are none of ours.
    """

    name: str
    owner: str
    is_default: bool
    period: Period | None


@dataclass(frozen=True)
class Maintained:
    """What was done to a table.

    Attributes:
        table: its name, without a schema.
        manager: who makes and drops partitions; "sqlite" where there are none.
        days: for how long rows are kept; None for ever.
        made, dropped: names of partitions.
        moved: rows taken out of the default partition into those that were made.
        deleted: rows that were past retention and in no partition that could be dropped.
        left: what could not be done and why, a sentence each.
        is_unfinished: there are more rows to delete than the pace allows at once.
    """

    table: str
    manager: Manager
    days: int | None
    made: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    moved: int = 0
    deleted: int = 0
    left: tuple[str, ...] = ()
    is_unfinished: bool = False


def maintain(
    database: Database, now: datetime, keep: Mapping[str, int | None] | None = None, pace: Pace | None = None
) -> list[Maintained]:
    """Make the partitions that will be needed and let go of what is past retention.

    Args:
        now: aware. pg_partman goes by the database's own clock.
        keep: retention in days by table, None for ever; kept in `telemetry.retention` from now on.
        pace: None: a person waits for it.

    Raises:
        InvalidInput: `keep` names a table that has no retention or less than a day, or the role may not do this, or
            the owner of the tables may not use pg_partman.
        Unavailable: the database is away, or another controller leads and not this one.
        Stopped: the pace says so.
    """
    kept, pace = dict(keep or {}), pace or Pace()
    _refuse_unknown(kept)
    try:
        with _step(database, pace) as db:
            _refuse_withheld(db)
            for name, days in kept.items():
                row = database.insert(retention).values(table_name=name, days=days)
                db.execute(row.on_conflict_do_update(index_elements=["table_name"], set_={"days": row.excluded.days}))
            policy = days_kept(db)
        return [
            *(_maintained(database, table, span, policy[table.name], now, pace=pace) for table, span, _ in PARTITIONED),
            *(_expired(database, table, column, policy[table.name], now, pace=pace) for table, column, _ in EXPIRING),
        ]
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise
        raise InvalidInput(
            f"the role may not maintain partitions: {str(error.orig).strip()}",
            subject="db maintain",
            expected=f"a role that is a member of {OWNER}",
            hint=f"as a superuser: GRANT {OWNER} TO the_role",
        ) from error


def days_kept(db: Connection) -> dict[str, int | None]:
    """Return for how many days each table keeps its rows, None for ever."""
    told = {row.table_name: row.days for row in db.execute(select(retention))}
    return {table.name: told.get(table.name, days) for table, _, days in (*PARTITIONED, *EXPIRING)}


def partitions_of(db: Connection, table: Table) -> list[Partition]:
    """Return the partitions of a table in PostgreSQL, by name. The session's time zone is UTC."""
    found = db.execute(
        text(
            "SELECT n.nspname || '.' || c.relname AS name, pg_get_userbyid(c.relowner) AS owner,"
            " pg_get_expr(c.relpartbound, c.oid) AS bound"
            " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE i.inhparent = to_regclass(:parent) AND c.relpartbound IS NOT NULL ORDER BY name"
        ),
        {"parent": table.fullname},
    )
    # One that was dropped since the snapshot was taken is in the catalogue still, and has no bounds any more.
    there = [row for row in found if row.bound is not None]
    return [Partition(row.name, row.owner, row.bound == "DEFAULT", _period(row.bound)) for row in there]


def default_of(partitions: list[Partition]) -> Partition | None:
    """Return the one that has what no other has; None without one."""
    return next((one for one in partitions if one.is_default), None)


def is_managed(db: Connection, table: Table) -> bool:
    """Say whether pg_partman makes and drops the partitions of a table."""
    if db.execute(text("SELECT to_regclass('partman.part_config')")).scalar_one() is None:
        return False
    query = text("SELECT count(*) FROM partman.part_config WHERE parent_table = :parent")
    return bool(db.execute(query, {"parent": table.fullname}).scalar_one())


def _refuse_unknown(keep: Mapping[str, int | None]) -> None:
    known = sorted(table.name for table, _, _ in (*PARTITIONED, *EXPIRING))
    for name, days in keep.items():
        if name not in known:
            raise InvalidInput(
                "there is no such table with a retention",
                subject=f"--keep {name}",
                expected=f"one of {', '.join(known)}",
                got=name,
            )
        if days is not None and days < 1:
            raise InvalidInput(
                "rows are kept for a day at least", subject=f"--keep {name}", expected="whole days, or forever"
            )


def _refuse_withheld(db: Connection) -> None:
    if db.dialect.name == "sqlite" or not (missing := partman.withheld(db)):
        return
    raise InvalidInput(
        f"{OWNER} may not use pg_partman, as after an update of it from version 4",
        subject="db maintain",
        expected=f"privileges of {', '.join(missing)}",
        hint="as a superuser: tidegate db upgrade",
    )


def _maintained(
    database: Database, table: Table, span: Span, days: int | None, now: datetime, *, pace: Pace
) -> Maintained:
    if database.is_sqlite:
        return _expired(database, table, table.c.at, days, now, pace=pace)
    with _step(database, pace) as db:
        managed = is_managed(db, table)
        clock: datetime = db.execute(text("SELECT now()")).scalar_one() if managed else now
        default = default_of(partitions_of(db, table))
        keeps_other = managed and not pace.overrules and _kept_by_partman(db, table) != _as_interval(days)
    report = Maintained(table.name, "pg_partman" if managed else "tidegate", days)
    if default is not None and days is not None and not keeps_other:
        report = _without_strays(database, default, clock - timedelta(days=days), report, pace)
    if managed:
        return _by_partman(database, table, span, clock, report, pace=pace, keeps_other=keeps_other)
    return _plain(database, table, span, clock, report, pace=pace)


def _expired(
    database: Database, table: Table, column: Column[datetime], days: int | None, now: datetime, *, pace: Pace
) -> Maintained:
    """Delete rows past retention of a table that has no partitions."""
    report = Maintained(table.name, "sqlite" if database.is_sqlite else "tidegate", days)
    if days is None:
        return report
    cutoff = now - timedelta(days=days)
    if database.is_sqlite:
        expired = delete_rows(database, table, column, cutoff, pace)
        return replace(report, deleted=expired.deleted, is_unfinished=expired.is_unfinished)
    (key,) = table.primary_key.columns
    some = select(key).where(column < cutoff).order_by(key).limit(DELETED_AT_ONCE)

    def delete_some(db: Connection) -> int:
        return db.execute(delete(table).where(key.in_(some))).rowcount

    return _deleted(database, table.fullname, delete_some, report, pace)


# PostgreSQL


@contextmanager
def _step(database: Database, pace: Pace) -> Iterator[Connection]:
    """One transaction, as the owner of the tables; who else maintains waits for it, and who writes the store does not.

    In SQLite a write.
    """
    pace.between()
    if database.is_sqlite:
        with database.write() as db:
            yield db
        return
    with database.engine.begin() as db:
        database.refuse_outsider(db)
        # The other one may be at a long statement: its time limit is ours, and not the one of a lock.
        _limit(db, "statement_timeout", pace.statement_seconds)
        db.execute(text("SET LOCAL lock_timeout = 0"))
        db.execute(text(f"SELECT pg_advisory_xact_lock({LOCKS}, {MAINTAINING})"))
        _limit(db, "lock_timeout", pace.lock_seconds)
        db.execute(text(f"SET LOCAL ROLE {OWNER}"))
        yield db


def _limit(db: Connection, setting: str, seconds: float) -> None:
    db.execute(text(f"SET LOCAL {setting} = '{round(seconds * 1000)}ms'"))


def _tried(what: str, step: Callable[[], None], pace: Pace) -> tuple[str, ...]:
    """Do a step, again when somebody is in the way; return a sentence when it could not be done for that.

    pg_partman does not say why in a way that a program knows; so with its steps it is tried again whatever it was.
    """
    for _ in range(pace.tries):
        refusal = ""
        try:
            step()
        except partman.NotMaintained as error:
            refusal = str(error)
        except Unavailable as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state == _TOO_LONG:
                return (f"{what}: it takes longer than a run may be in the way of others",)
            if state not in _IN_THE_WAY:
                raise
        else:
            return ()
    if refusal:
        return (f"{what}: {refusal}; the next run tries it again",)
    waited = f"{pace.lock_seconds * pace.tries:g} s"
    return (f"{what}: another transaction held its lock for {waited}; the next run does it",)


def _plain(
    database: Database, table: Table, span: Span, now: datetime, report: Maintained, *, pace: Pace
) -> Maintained:
    made: list[str] = []
    dropped: list[str] = []
    left = list(report.left)
    moved = 0

    def make(period: Period) -> None:
        nonlocal moved
        with _step(database, pace) as db:
            partitions = partitions_of(db, table)
            default = default_of(partitions)
            if period not in _lacking(db, partitions, span, now, report.days):
                return
            name = f"{table.schema}.{name_of(table.name, period, span)}"
            if db.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar_one() is not None:
                left.append(f"{name}: there is such a table, and it is no partition; rename it or attach it")
                return
            _limit(db, "statement_timeout", pace.blocking_seconds)
            if default is not None:
                _lock(db, table, default, [period], now)
            count = _make(db, table, name, period, default)
        made.append(name)
        moved += count

    def drop(period: Period) -> None:
        with _step(database, pace) as db:
            gone = next((one for one in partitions_of(db, table) if one.period == period), None)
            if gone is None:
                return
            _limit(db, "statement_timeout", pace.blocking_seconds)
            db.execute(text(f"ALTER TABLE {table.fullname} DETACH PARTITION {gone.name}"))
            db.execute(text(f"DROP TABLE {gone.name}"))
        dropped.append(gone.name)

    existing: list[Period] = []
    lacking: list[Period] = []

    def look() -> None:
        with _step(database, pace) as db:
            partitions = partitions_of(db, table)
            existing[:] = [one.period for one in partitions if one.period is not None]
            lacking[:] = _lacking(db, partitions, span, now, report.days)

    left += _tried(f"{table.fullname}, what lies in its default partition", look, pace)
    # Those to come first: what is written from then on is not in the way of moving the rows of before.
    for period in sorted(lacking, key=lambda one: one.end <= now):
        what = f"{table.fullname}, the partition from {period.start:%Y-%m-%d}"
        left += _tried(what, partial(make, period), pace)
    for period in to_drop(existing, now, report.days):
        what = f"{table.fullname}, dropping the partition from {period.start:%Y-%m-%d}"
        if in_the_way := _tried(what, partial(drop, period), pace):
            # All of them take a lock of the whole table, which others wait for meanwhile.
            left += in_the_way
            break
    return replace(report, made=tuple(made), dropped=tuple(dropped), moved=moved, left=tuple(left))


def _lacking(db: Connection, partitions: list[Partition], span: Span, now: datetime, days: int | None) -> list[Period]:
    existing = [one.period for one in partitions if one.period is not None]
    default = default_of(partitions)
    return to_make(existing, now, span, AHEAD, days, strays=[] if default is None else _strays(db, default, span))


def _strays(db: Connection, default: Partition, span: Span) -> list[datetime]:
    """Return in which periods rows of the default partition lie: one moment of each, in order."""
    query = text(
        f"SELECT DISTINCT date_trunc('{span}', at AT TIME ZONE 'UTC') FROM {default.name}"  # noqa: S608 -- names of the catalogue
        " WHERE at >= '0002-01-01Z' AND at < '9999-01-01Z' ORDER BY 1 LIMIT 10000"
    )
    return [moment.replace(tzinfo=UTC) for moment in db.execute(query).scalars()]


def _make(db: Connection, table: Table, name: str, period: Period, default: Partition | None) -> int:
    """Make a partition and move what lies in the default one into it; return how many rows."""
    bounds = f"FROM ('{period.start.isoformat()}') TO ('{period.end.isoformat()}')"
    db.execute(text(f"CREATE TABLE {name} (LIKE {table.fullname} INCLUDING ALL EXCLUDING INDEXES)"))
    moved = 0
    if default is not None:
        query = text(
            f"WITH moved AS (DELETE FROM {default.name} WHERE at >= :start AND at < :end RETURNING *)"  # noqa: S608 -- names of the catalogue
            f" INSERT INTO {name} SELECT * FROM moved"
        )
        moved = db.execute(query, {"start": period.start, "end": period.end}).rowcount
    # Attached, and not made as a partition: that would wait for everybody who reads the table.
    db.execute(text(f"ALTER TABLE {table.fullname} ATTACH PARTITION {name} FOR VALUES {bounds}"))
    return moved


def _lock(db: Connection, table: Table, default: Partition, periods: Collection[Period], now: datetime) -> None:
    """Let nobody put a row of these periods into the default partition: it could not be moved, nor theirs be attached.

    Who is on the way there already would be refused when the lock is gone: the row no longer belongs there. So where
    rows of a period may be under way, writers wait before they are told which partition theirs is. They would wait as
    long for the default partition, and so would readers, to whose lock writers may add theirs. Else nobody has to who
    writes rows of today while those of a week ago are moved.
    """
    if table not in _OF_NOW or any(is_written(period, now) for period in periods):
        db.execute(text(f"LOCK TABLE ONLY {table.fullname} IN ACCESS EXCLUSIVE MODE"))
    db.execute(text(f"LOCK TABLE {default.name} IN ACCESS EXCLUSIVE MODE"))


def _without_strays(
    database: Database, default: Partition, cutoff: datetime, report: Maintained, pace: Pace
) -> Maintained:
    """Delete what is past retention in a default partition, which is never dropped."""
    query = text(
        f"DELETE FROM {default.name} WHERE at < :cutoff AND ctid = ANY("  # noqa: S608 -- a name of the catalogue
        f"ARRAY(SELECT ctid FROM {default.name} WHERE at < :cutoff LIMIT {DELETED_AT_ONCE}))"
    )

    def delete_some(db: Connection) -> int:
        return db.execute(query, {"cutoff": cutoff}).rowcount

    return _deleted(database, default.name, delete_some, report, pace)


def _deleted(
    database: Database, name: str, delete_some: Callable[[Connection], int], report: Maintained, pace: Pace
) -> Maintained:
    """Delete rows, some in each transaction, until none is left or the pace allows no more."""
    deleted, last = 0, 0

    def delete_once() -> None:
        nonlocal last
        with _step(database, pace) as db:
            last = delete_some(db)

    while pace.rows is None or deleted < pace.rows:
        left = _tried(f"{name}, rows past retention", delete_once, pace)
        if left:
            return replace(report, deleted=deleted, left=(*report.left, *left))
        if not last:
            return replace(report, deleted=deleted)
        deleted += last
    return replace(report, deleted=deleted, is_unfinished=True)


def _by_partman(
    database: Database,
    table: Table,
    span: Span,
    clock: datetime,
    report: Maintained,
    *,
    pace: Pace,
    keeps_other: bool,
) -> Maintained:
    days = report.days
    horizon = list(islice(periods_from(clock, span), AHEAD + 2))[-1].end
    moved = 0

    def configure() -> None:
        with _step(database, pace) as db:
            # Without `ignore_default_data` one row of a clock that was years ahead has a partition made for each day
            # until then; without `inherit_privileges` what its background worker makes is the worker's.
            query = text(
                "UPDATE partman.part_config SET retention = :kept, retention_keep_table = false,"
                " infinite_time_partitions = true, ignore_default_data = true, inherit_privileges = true"
                " WHERE parent_table = :parent AND (retention IS DISTINCT FROM :kept OR retention_keep_table"
                " OR NOT (infinite_time_partitions AND ignore_default_data AND inherit_privileges))"
            )
            db.execute(query, {"parent": table.fullname, "kept": _as_interval(days)})

    def move() -> None:
        nonlocal moved
        with _step(database, pace) as db:
            default = default_of(partitions_of(db, table))
            strays = [] if default is None else _strays(db, default, span)
            # pg_partman takes the oldest first, one period at a time, and makes partitions without a bound.
            near = [period_of(one, span) for one in strays if one < horizon]
            if default is None or not near:
                return
            _limit(db, "statement_timeout", pace.blocking_seconds)
            _lock(db, table, default, near, clock)
            moved += partman.move_from_default(db, table.fullname, len(near))

    def run() -> None:
        with _step(database, pace) as db:
            partman.run_maintenance(db, table.fullname)

    before = _names(database, table, pace)
    what = f"{table.fullname}, by pg_partman"
    left = report.left
    if keeps_other:
        left += (f"{what}: it keeps rows otherwise than {_as_interval(days) or 'for ever'}; say how long with --keep",)
    else:
        left += _tried(f"{what}, its retention", configure, pace)
    left += _tried(f"{what}, rows in the default partition", move, pace)
    left += _tried(what, run, pace)
    after = _names(database, table, pace)
    return replace(
        report, made=tuple(sorted(after - before)), dropped=tuple(sorted(before - after)), moved=moved, left=left
    )


def _names(database: Database, table: Table, pace: Pace) -> set[str]:
    with _step(database, pace) as db:
        return {one.name for one in partitions_of(db, table)}


def _kept_by_partman(db: Connection, table: Table) -> str | None:
    query = text("SELECT retention FROM partman.part_config WHERE parent_table = :parent")
    found: str | None = db.execute(query, {"parent": table.fullname}).scalar_one()
    return found


def _as_interval(days: int | None) -> str | None:
    return None if days is None else f"{days} days"


def _period(bound: str) -> Period | None:
    found = _BOUNDS.fullmatch(bound)
    if found is None:
        return None
    try:
        start, end = (datetime.fromisoformat(moment).astimezone(UTC) for moment in found.groups())
    except ValueError:  # beyond what Python's calendar has
        return None
    return Period(start, end)
