"""How long the store keeps what piles up: settled notifications with their attempts, and looks of ended rollouts.

What was not delivered yet, what belongs to a rollout that goes on, and events are never dropped.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, or_, select

from tidegate.store.database import Database
from tidegate.store.schema.delivery import delivery_attempts, looks, notifications, rollouts

#: Dropped in one transaction at most, so that nobody waits long for the file.
BATCH = 500


@dataclass(frozen=True)
class Keep:
    """What is kept; what is beyond either bound is dropped.

    Attributes:
        age: since a notification was settled, or a rollout ended.
        notifications: settled ones of each deployment, the newest.
        rollouts: ended rollouts of each deployment whose looks are kept, the newest.
    """

    age: timedelta = timedelta(days=30)
    notifications: int = 1_000
    rollouts: int = 50


class Retention:
    """Drops what need not be kept, some at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def drop_notifications(self, keep: Keep, now: datetime) -> int:
        """Drop some settled notifications that are too old or too many; return how many, 0 when there are no more."""
        table = notifications.c
        newest_first = func.row_number().over(partition_by=table.deployment_id, order_by=table.id.desc())
        settled = (
            select(table.id, table.settled_at, newest_first.label("nth")).where(table.state != "pending").subquery()
        )
        beyond = or_(settled.c.settled_at < now - keep.age, settled.c.nth > keep.notifications)
        with self._database.write() as db:
            found = list(db.execute(select(settled.c.id).where(beyond).order_by(settled.c.id).limit(BATCH)).scalars())
            if found:
                db.execute(delete(delivery_attempts).where(delivery_attempts.c.notification_id.in_(found)))
                db.execute(delete(notifications).where(table.id.in_(found)))
        return len(found)

    def with_looks_to_drop(self, keep: Keep, now: datetime) -> list[int]:
        """Return the ended rollouts that have looks and are too old or too many, oldest first."""
        table = rollouts.c
        newest_first = func.row_number().over(partition_by=table.deployment_id, order_by=table.id.desc())
        ended = (
            select(table.id, table.ended_at, newest_first.label("nth")).where(table.ended_at.is_not(None)).subquery()
        )
        beyond = or_(ended.c.ended_at < now - keep.age, ended.c.nth > keep.rollouts)
        has_looks = select(looks.c.id).where(looks.c.rollout_id == ended.c.id).exists()
        with self._database.read() as db:
            return list(db.execute(select(ended.c.id).where(beyond, has_looks).order_by(ended.c.id)).scalars())

    def drop_looks(self, rollout_ids: Collection[int]) -> int:
        """Drop some looks of these rollouts; return how many, 0 when there are no more."""
        with self._database.write() as db:
            found = _some_looks(db, rollout_ids)
            if found:
                db.execute(delete(looks).where(looks.c.id.in_(found)))
        return len(found)


def _some_looks(db: Connection, rollout_ids: Collection[int]) -> list[int]:
    query = select(looks.c.id).where(looks.c.rollout_id.in_(rollout_ids)).order_by(looks.c.id).limit(BATCH)
    return list(db.execute(query).scalars())
