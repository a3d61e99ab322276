"""Served requests and outcomes: noted once, told once or corrected, counted in order, let go of in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, literal, select

from tidegate.store import outcome_log
from tidegate.store.database import Database
from tidegate.store.outcome_log import Told
from tidegate.store.schema.delivery import (
    deployments,
    served_forgotten,
    served_outcomes,
    served_position,
    served_requests,
)

#: Of one deployment, of each kind; the oldest go first.
MOST_ROWS = 1_000_000
#: The longest window, and a day.
RETENTION_MS = 31 * 86_400_000
#: Rows taken at once, so that nobody else waits long for the store.
CHUNK_ROWS = 500
_DELETED_AT_ONCE = 2000


@dataclass(frozen=True)
class Note:
    """A revision served a request at `at` (milliseconds since 1970, like all times here)."""

    deployment_id: int
    request_id: str
    revision: int
    at: int


@dataclass(frozen=True)
class Known:
    """What is known of a request: who served it and when, and the outcome that was told before.

    Attributes:
        served_at: None while the request is not known.
        revision: None as well where several revisions served requests of this id.
        is_bad, at: of the outcome; None without one.
        told_at: when the outcome was told first.
    """

    served_at: int | None = None
    revision: int | None = None
    is_bad: bool | None = None
    at: int | None = None
    told_at: int | None = None


@dataclass(frozen=True)
class Ripe:
    """A served request whose window is over; `is_bad` None without an outcome that was told within it."""

    seq: int
    revision: int | None
    served_at: int
    is_bad: bool | None


class Outcomes:
    """The served requests and outcomes of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Notes

    def positions(self) -> dict[int, tuple[int, int]]:
        """Return how far the notes of each process of the gateway were taken in: a file and an offset, by number."""
        with self._database.read() as db:
            return {row.id: (row.file, row.offset) for row in db.execute(select(served_position))}

    def add_notes(self, notes: Iterable[Note], positions: Mapping[int, tuple[int, int]]) -> None:
        """Take in notes and, in one transaction, how far they go.

        A request of an id that is known keeps its first time, and belongs to nobody when another revision served it.
        """
        rows = [
            {
                "deployment_id": one.deployment_id,
                "request_id": one.request_id,
                "revision": one.revision,
                "served_at": one.at,
            }
            for one in notes
        ]
        added = self._database.insert(served_requests)
        added = added.on_conflict_do_update(
            index_elements=["deployment_id", "request_id"],
            set_={"revision": None},
            where=served_requests.c.revision.is_not(None) & (served_requests.c.revision != added.excluded.revision),
        )
        moved = self._database.insert(served_position)
        moved = moved.on_conflict_do_update(
            index_elements=["id"], set_={"file": moved.excluded.file, "offset": moved.excluded.offset}
        )
        with self._database.write() as db:
            if rows:
                db.execute(added, rows)
            if positions:
                read = [{"id": number, "file": file, "offset": offset} for number, (file, offset) in positions.items()]
                db.execute(moved, read)

    # Outcomes

    def tell(
        self,
        deployment_id: int,
        told: Sequence[Told],
        settle: Callable[[Told, Known], str],
        kept: Collection[str],
        now: int,
    ) -> Counter[str]:
        """Take in outcomes, all of them or none; they are in the database when this returns.

        All are kept in the log of outcomes, and those that the judge may count for it as well.

        Args:
            settle: says what an outcome is, given what is known of its request.
            kept: what `settle` says of outcomes that are kept for the judge.

        Returns:
            How many outcomes were what; those that do not say whether they are bad are nothing to the judge.
        """
        logged, name = self._news(deployment_id, told)
        judged = [one for one in told if one.is_bad is not None]
        said: Counter[str] = Counter()
        with self._database.write() as db:
            outcome_log.write(db, name, logged)
            known = _known(db, deployment_id, [one.request_id for one in judged])
            rows = {}
            for one in judged:
                before = known.get(one.request_id, Known())
                word = settle(one, before)
                said[word] += 1
                if word not in kept:
                    continue
                told_at = before.told_at if before.told_at is not None else now
                rows[one.request_id] = {
                    "deployment_id": deployment_id,
                    "request_id": one.request_id,
                    "bad": one.is_bad,
                    "at": one.at,
                    "told_at": told_at,
                }
                known[one.request_id] = Known(before.served_at, before.revision, one.is_bad, one.at, told_at)
            if rows:
                added = self._database.insert(served_outcomes)
                changed = {"bad": added.excluded.bad, "at": added.excluded.at}
                added = added.on_conflict_do_update(index_elements=["deployment_id", "request_id"], set_=changed)
                db.execute(added, list(rows.values()))
        return said

    def _news(self, deployment_id: int, told: Sequence[Told]) -> tuple[list[dict[str, Any]], str]:
        """Return the rows for the log, and the name of the deployment.

        Looked up before the write, which others wait for: many partitions are looked into. Who tells the same at the
        same time has it written twice and read once.
        """
        with self._database.read() as db:
            name = db.execute(select(deployments.c.name).where(deployments.c.id == deployment_id)).scalar_one()
            known = outcome_log.known_of(db, name, sorted({one.request_id for one in told}))
        return outcome_log.news(told, known, datetime.now(UTC)), name

    # Counting

    def ripe(self, deployment_id: int, *, after: int, until: int, window_ms: int, limit: int) -> list[Ripe]:
        """Return the next requests of the deployment, in the order of their notes, whose window is over.

        Args:
            after: the `seq` of the last one before.
            until: the time of the answer up to which windows are over. A note behind one that is not ripe waits for it.
            limit: how many at most.
        """
        mine = and_(served_requests.c.deployment_id == deployment_id, served_requests.c.seq > after)
        unripe = (
            select(served_requests.c.seq)
            .where(mine, served_requests.c.served_at > until)
            .order_by(served_requests.c.seq)
            .limit(1)
        )
        with self._database.read() as db:
            bound = db.execute(unripe).scalar_one_or_none()
            wanted = mine if bound is None else and_(mine, served_requests.c.seq < bound)
            query = (
                select(served_requests, served_outcomes.c.bad)
                .outerjoin(served_outcomes, _in_time(window_ms))
                .where(wanted)
                .order_by(served_requests.c.seq)
                .limit(limit)
            )
            return [Ripe(row.seq, row.revision, row.served_at, row.bad) for row in db.execute(query)]

    def forgotten(self, deployment_id: int) -> int:
        """Return the `seq` of the last note that was let go of because there were too many; 0 when none was."""
        query = select(served_forgotten.c.seq).where(served_forgotten.c.deployment_id == deployment_id)
        with self._database.read() as db:
            return db.execute(query).scalar_one_or_none() or 0

    def summary(
        self, deployment_id: int, *, since: int, until: int, now: int, window_ms: int
    ) -> dict[int, dict[str, int]]:
        """Return, for each revision, what came of the requests that it answered from `since` to `until`.

        Keys: `served`; `good` and `bad`, told in time; `late`, told after the window; `open`, without an outcome and
        still within it; `missing`, without one after it.
        """
        served, told = served_requests.c, served_outcomes.c
        in_time = told.told_at <= served.served_at + window_ms
        is_open = served.served_at + window_ms >= now
        good, bad = (literal(value, told.bad.type) for value in (False, True))
        sums = {
            "good": in_time & (told.bad == good),
            "bad": in_time & (told.bad == bad),
            "late": told.told_at > served.served_at + window_ms,
            "open": told.bad.is_(None) & is_open,
            "missing": told.bad.is_(None) & ~is_open,
        }
        same = and_(told.deployment_id == served.deployment_id, told.request_id == served.request_id)
        query = (
            select(
                served.revision,
                func.count().label("served"),
                *(func.sum(case((holds, 1), else_=0)).label(name) for name, holds in sums.items()),
            )
            .outerjoin(served_outcomes, same)
            .where(served.deployment_id == deployment_id, served.served_at.between(since, until))
            .where(served.revision.is_not(None))
            .group_by(served.revision)
        )
        with self._database.read() as db:
            return {
                row.revision: {name: int(getattr(row, name)) for name in ("served", *sums)} for row in db.execute(query)
            }

    def waiting(self, deployment_id: int) -> int:
        """Return how many outcomes belong to no request that is known."""
        same = and_(
            served_requests.c.deployment_id == served_outcomes.c.deployment_id,
            served_requests.c.request_id == served_outcomes.c.request_id,
        )
        query = (
            select(func.count())
            .select_from(served_outcomes.outerjoin(served_requests, same))
            .where(served_outcomes.c.deployment_id == deployment_id, served_requests.c.seq.is_(None))
        )
        with self._database.read() as db:
            return int(db.execute(query).scalar_one())

    # Letting go

    def prune(self, now: int) -> bool:
        """Let go of some of what is too old or too much; return whether there is more of it."""
        with self._database.read() as db:
            ids = list(
                db.execute(
                    select(served_requests.c.deployment_id).union(select(served_outcomes.c.deployment_id))
                ).scalars()
            )
            gone = set(db.execute(select(deployments.c.id).where(deployments.c.deleted_at.is_not(None))).scalars())
        more = False
        for deployment_id in ids:
            with self._database.write() as db:
                most = 0 if deployment_id in gone else MOST_ROWS
                more |= self._prune_served(db, deployment_id, now - RETENTION_MS, most)
                more |= _prune_outcomes(db, deployment_id, now - RETENTION_MS, most)
        return more

    def _prune_served(self, db: Connection, deployment_id: int, oldest: int, most: int) -> bool:
        mine = served_requests.c.deployment_id == deployment_id
        seq = served_requests.c.seq
        surplus = db.execute(select(seq).where(mine).order_by(seq.desc()).limit(1).offset(most)).scalar_one_or_none()
        # In the order of the notes, so that what is left is whole.
        old = db.execute(
            select(seq).where(mine, served_requests.c.served_at >= oldest).order_by(seq).limit(1)
        ).scalar_one_or_none()
        newest = db.execute(select(func.max(seq)).where(mine)).scalar_one() or 0
        last = max(surplus or 0, old - 1 if old is not None else newest)
        going = list(db.execute(select(seq).where(mine, seq <= last).order_by(seq).limit(_DELETED_AT_ONCE)).scalars())
        if not going:
            return False
        db.execute(delete(served_requests).where(mine, seq <= going[-1]))
        if surplus is not None:
            forgot = self._database.insert(served_forgotten)
            forgot = forgot.values(deployment_id=deployment_id, seq=min(surplus, going[-1]))
            newer = {"seq": forgot.excluded.seq}
            db.execute(forgot.on_conflict_do_update(index_elements=["deployment_id"], set_=newer))
        return len(going) == _DELETED_AT_ONCE


def _in_time(window_ms: int) -> ColumnElement[bool]:
    return and_(
        served_outcomes.c.deployment_id == served_requests.c.deployment_id,
        served_outcomes.c.request_id == served_requests.c.request_id,
        served_outcomes.c.told_at <= served_requests.c.served_at + window_ms,
    )


def _known(db: Connection, deployment_id: int, ids: Sequence[str]) -> dict[str, Known]:
    served_query = select(served_requests).where(
        served_requests.c.deployment_id == deployment_id, served_requests.c.request_id.in_(ids)
    )
    told_query = select(served_outcomes).where(
        served_outcomes.c.deployment_id == deployment_id, served_outcomes.c.request_id.in_(ids)
    )
    served = {row.request_id: row for row in db.execute(served_query)}
    told = {row.request_id: row for row in db.execute(told_query)}
    return {
        name: Known(
            served_at=served[name].served_at if name in served else None,
            revision=served[name].revision if name in served else None,
            is_bad=told[name].bad if name in told else None,
            at=told[name].at if name in told else None,
            told_at=told[name].told_at if name in told else None,
        )
        for name in served.keys() | told.keys()
    }


def _prune_outcomes(db: Connection, deployment_id: int, oldest: int, most: int) -> bool:
    mine = served_outcomes.c.deployment_id == deployment_id
    surplus = db.execute(
        select(served_outcomes.c.told_at).where(mine).order_by(served_outcomes.c.told_at.desc()).limit(1).offset(most)
    ).scalar_one_or_none()
    last = max(oldest, surplus or 0)
    going = select(served_outcomes.c.request_id).where(mine, served_outcomes.c.told_at <= last).limit(_DELETED_AT_ONCE)
    return (
        db.execute(delete(served_outcomes).where(mine, served_outcomes.c.request_id.in_(going))).rowcount
        == _DELETED_AT_ONCE
    )
