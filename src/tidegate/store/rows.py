"""How values look in the file, and how a row of it becomes a record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from tidegate.store.records import Event


def time_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def time_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def event_of(row: Row[Any]) -> Event:
    """Return the event of a row with the columns of `events` and the deployment's `name`."""
    return Event(
        seq=row.seq,
        at=datetime.fromisoformat(row.at),
        deployment=row.name,
        rollout=row.rollout_id,
        revision=row.revision,
        kind=row.kind,
        message=row.message,
        data=row.data,
    )
