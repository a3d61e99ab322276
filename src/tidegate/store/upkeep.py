"""Maintenance that nobody waits for: in small steps, and in nobody's way for long.

In PostgreSQL it needs a role that may act as the owner of the tables. Where the controller's may not, whoever else does
it (pg_partman's background worker, or a timer) is left to it, and it is told when nobody does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from tidegate.store.database import LOCKS, Database
from tidegate.store.definition import OWNER
from tidegate.store.maintenance import MAINTAINING, Maintained, days_kept, maintain, partitions_of
from tidegate.store.pace import Pace
from tidegate.store.partitions import Period, to_drop, to_make
from tidegate.store.schema import PARTITIONED, Span

#: A step waits for a lock, moves rows and attaches them: all of it is shorter than what a write waits for.
_LOCK_SECONDS, _BLOCKING_SECONDS, _TRIES = 1, 2, 2
#: Whoever lets go of the lead waits for a statement that is under way.
_STATEMENT_SECONDS = 5
#: Rows of a table that are deleted one by one in a run.
MOST_ROWS = 200_000
#: Who maintains once a day is not behind yet: partitions that are ahead at least, and days that a drop may be late.
_LEAST_AHEAD, _LATE_DAYS = 1, 3


@dataclass(frozen=True)
class Upkept:
    """What came of a run.

    Attributes:
        tables: what was done to each; empty where the role may do nothing, or another run is under way.
        left: what could not be done and why, a sentence each.
        is_unfinished: the next run is to come soon.
    """

    tables: tuple[Maintained, ...] = ()
    left: tuple[str, ...] = ()
    is_unfinished: bool = False


def keep_up(database: Database, now: datetime, between: Callable[[], None]) -> Upkept:
    """Maintain, some of it if there is much to do.

    Args:
        between: see `Pace`.

    Raises:
        Unavailable: the database is away, or another controller leads and not this one.
        Stopped: `between` says so.
    """
    if not database.is_sqlite:
        with database.read() as db:
            is_allowed, is_free = _may_act_as_owner(db), _nobody_maintains(db)
            behind = () if is_allowed else _behind(db, now)
            role = str(db.execute(text("SELECT current_user")).scalar_one())
        if not is_allowed:
            return Upkept(left=() if not behind else (told(behind, role),))
        if not is_free:
            return Upkept(is_unfinished=True)
    pace = Pace(
        lock_seconds=_LOCK_SECONDS,
        tries=_TRIES,
        statement_seconds=_STATEMENT_SECONDS,
        blocking_seconds=_BLOCKING_SECONDS,
        rows=MOST_ROWS,
        overrules=False,
        between=between,
    )
    tables = tuple(maintain(database, now, pace=pace))
    left = tuple(sentence for one in tables for sentence in one.left)
    return Upkept(tables, left, any(one.is_unfinished for one in tables))


def is_behind(existing: Collection[Period], now: datetime, span: Span, days: int | None) -> bool:
    """Say whether nobody has made or dropped partitions for longer than who does it once a day may need; pure."""
    late = now - timedelta(days=_LATE_DAYS)
    return bool(to_make(existing, now, span, _LEAST_AHEAD, days) or to_drop(existing, late, days))


def told(tables: Collection[str], role: str) -> str:
    """Say that nobody maintains some tables, and what helps; pure."""
    return (
        f"nobody makes and drops the partitions of {', '.join(tables)}, and the controller's role {role} may not: as a "
        f"superuser GRANT {OWNER} TO {role}, or run each day as a member of {OWNER}: tidegate db maintain"
    )


def _behind(db: Connection, now: datetime) -> tuple[str, ...]:
    policy = days_kept(db)
    found = []
    for table, span, _ in PARTITIONED:
        periods = [one.period for one in partitions_of(db, table) if one.period is not None]
        if is_behind(periods, now, span, policy[table.name]):
            found.append(table.fullname)
    return tuple(found)


def _may_act_as_owner(db: Connection) -> bool:
    # From version 16 on a member may have been denied it.
    version = int(db.execute(text("SELECT current_setting('server_version_num')")).scalar_one())
    query = text("SELECT pg_has_role(current_user, :owner, :right)")
    right = "SET" if version >= 160_000 else "MEMBER"
    return bool(db.execute(query, {"owner": OWNER, "right": right}).scalar_one())


def _nobody_maintains(db: Connection) -> bool:
    """Say whether the lock of whoever maintains is free; it is let go of again with the transaction."""
    query = text("SELECT pg_try_advisory_xact_lock(:locks, :maintaining)")
    return bool(db.execute(query, {"locks": LOCKS, "maintaining": MAINTAINING}).scalar_one())
