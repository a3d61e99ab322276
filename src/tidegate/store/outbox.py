"""The outbox: notifications that wait to be delivered, and the record of how that went.

A notification is written in the transaction of the event that it tells of, so neither exists without the other,
whenever the process is killed. Delivering it is somebody else's work.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, or_, select, update

from tidegate.store.database import Database
from tidegate.store.records import Addressee, AttemptRow, NotificationRow
from tidegate.store.rows import event_of
from tidegate.store.schema.delivery import delivery_attempts, deployments, events, notifications, revisions

#: From the request document of the deployment's newest revision and the kind of an event to who is told of it.
Addressees = Callable[[Mapping[str, Any], str], Sequence[Addressee]]


def nobody(_request: Mapping[str, Any], _kind: str) -> Sequence[Addressee]:
    return ()


def post(
    db: Connection, addressees: Addressees, *, deployment_id: int, event_seq: int, kind: str, now: datetime
) -> None:
    """Put an event into the outbox, once for each that the newest revision's request wants told."""
    newest = (
        select(revisions.c.request)
        .where(revisions.c.deployment_id == deployment_id)
        .order_by(revisions.c.number.desc())
        .limit(1)
    )
    request = db.execute(newest).scalar_one_or_none()
    told = addressees(request, kind) if request is not None else ()
    event_id = str(uuid.uuid4())
    for addressee in told:
        db.execute(
            insert(notifications).values(
                event_seq=event_seq,
                event_id=event_id,
                deployment_id=deployment_id,
                kind=addressee.kind,
                receiver=addressee.receiver,
                moment=addressee.moment,
                destination=dict(addressee.destination),
                created_at=now,
                next_at=now,
            )
        )


#: Between two attempts; what a receiver asks for and what we wait by ourselves is less or as much.
LONGEST_WAIT = timedelta(hours=1)


class Outbox:
    """Reads what is due and records what became of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, now: datetime) -> list[NotificationRow]:
        """Return, for each receiver of each deployment, the oldest notification whose time has come.

        No wait is longer than `LONGEST_WAIT`: a time beyond it is from before the clock was set back.
        """
        table = notifications.c
        come = or_(table.next_at <= now, table.next_at > now + LONGEST_WAIT)
        heads = (
            select(func.min(table.id))
            .where(table.state == "pending", come)
            .group_by(table.deployment_id, table.kind, table.receiver)
        )
        return self._read(_notifications().where(table.id.in_(heads)).order_by(table.id))

    def latest(self, deployment_id: int, limit: int = 200) -> list[NotificationRow]:
        """Return the deployment's newest notifications, newest last."""
        query = _notifications().where(notifications.c.deployment_id == deployment_id)
        return self._read(query.order_by(notifications.c.id.desc()).limit(limit))[::-1]

    def attempts(self, notification_id: int) -> list[AttemptRow]:
        """Return the attempts at one notification, first one first."""
        query = select(delivery_attempts).where(delivery_attempts.c.notification_id == notification_id)
        with self._database.read() as db:
            return [_attempt(row) for row in db.execute(query.order_by(delivery_attempts.c.number))]

    def record(self, read: NotificationRow, attempt: AttemptRow, next_at: datetime | None, now: datetime) -> None:
        """Record an attempt and what follows.

        Args:
            next_at: when to try again; None when it was delivered or is given up.
        """
        state = "delivered" if attempt.delivered else ("given_up" if next_at is None else "pending")
        settled = state != "pending"
        with self._database.write() as db:
            db.execute(
                insert(delivery_attempts).values(
                    notification_id=read.id,
                    number=attempt.number,
                    at=attempt.at,
                    took_ms=attempt.took_ms,
                    delivered=attempt.delivered,
                    status=attempt.status,
                    detail=attempt.detail,
                )
            )
            db.execute(
                update(notifications)
                .where(notifications.c.id == read.id)
                .values(
                    state=state,
                    attempts=attempt.number,
                    next_at=None if settled or next_at is None else next_at,
                    settled_at=now if settled else None,
                )
            )

    def _read(self, query: Select[Any]) -> list[NotificationRow]:
        with self._database.read() as db:
            return [_notification(row) for row in db.execute(query)]


def _notifications() -> Select[Any]:
    columns = [column.label(f"n_{column.name}") for column in notifications.c]
    return (
        select(events, deployments.c.name, *columns)
        .join(notifications, notifications.c.event_seq == events.c.seq)
        .join(deployments, deployments.c.id == events.c.deployment_id)
    )


def _notification(row: Row[Any]) -> NotificationRow:
    return NotificationRow(
        id=row.n_id,
        event=event_of(row),
        event_id=row.n_event_id,
        addressee=Addressee(row.n_kind, row.n_receiver, row.n_moment, row.n_destination),
        state=row.n_state,
        attempts=row.n_attempts,
        created_at=row.n_created_at,
        next_at=row.n_next_at,
        settled_at=row.n_settled_at,
    )


def _attempt(row: Row[Any]) -> AttemptRow:
    return AttemptRow(
        number=row.number,
        at=row.at,
        took_ms=row.took_ms,
        delivered=row.delivered,
        status=row.status,
        detail=row.detail,
    )
