"""Freezes in the store: added, removed once, never changed or deleted; who did it and why stays on record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from tidegate.contract.errors import Conflict, NotFound
from tidegate.store.database import Database
from tidegate.store.records import FreezeRow
from tidegate.store.schema.delivery import freezes


class Freezes:
    """The freezes of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        deployment: str | None,
        *,
        reason: str,
        by: str,
        starts_at: datetime,
        ends_at: datetime,
        now: datetime,
    ) -> FreezeRow:
        """Record a freeze of one deployment, or of all of them when it is None."""
        values = {
            "deployment": deployment,
            "reason": reason,
            "by": by,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "created_at": now,
        }
        with self._database.write() as db:
            row = db.execute(insert(freezes).values(**values).returning(freezes)).one()
        return _freeze(row)

    def all(self) -> list[FreezeRow]:
        """Return every freeze that ever was, by its start."""
        with self._database.read() as db:
            query = select(freezes).order_by(freezes.c.starts_at, freezes.c.id)
            return [_freeze(row) for row in db.execute(query)]

    def remove(self, freeze_id: int, *, by: str, now: datetime) -> FreezeRow:
        """End a freeze, or call off one that has not begun.

        Raises:
            NotFound: there is none of that id.
            Conflict: it was removed before.
        """
        wanted = freezes.c.id == freeze_id
        with self._database.write() as db:
            removed = update(freezes).where(wanted, freezes.c.removed_at.is_(None))
            changed = db.execute(removed.values(removed_at=now, removed_by=by)).rowcount
            row = db.execute(select(freezes).where(wanted)).one_or_none()
        if row is None:
            raise NotFound(f"there is no freeze {freeze_id}", hint="`tidegate freeze list` shows those that there are")
        if changed != 1:
            raise Conflict(f"freeze {freeze_id} was removed before, by {row.removed_by}", subject=str(freeze_id))
        return _freeze(row)


def _freeze(row: Row[Any]) -> FreezeRow:
    return FreezeRow(
        id=row.id,
        deployment=row.deployment,
        reason=row.reason,
        by=row.by,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        created_at=row.created_at,
        removed_at=row.removed_at,
        removed_by=row.removed_by,
    )
