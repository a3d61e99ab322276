"""How a row becomes a record."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from tidegate.store.records import Event


def event_of(row: Row[Any]) -> Event:
    """Return the event of a row with the columns of `events` and the deployment's `name`."""
    return Event(
        seq=row.seq,
        at=row.at,
        deployment=row.name,
        rollout=row.rollout_id,
        revision=row.revision,
        kind=row.kind,
        message=row.message,
        data=row.data,
    )
