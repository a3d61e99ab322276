"""Rows of what piles up with time, for tests of what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, insert, select

from tidegate.store.database import Database
from tidegate.store.schema.features import feature_quarantine, feature_views
from tidegate.store.schema.telemetry import outcomes, predictions


def row(at: datetime, request_id: str = "r", **others: Any) -> dict[str, Any]:
    fields = {"deployment": "churn", "revision": 1, "rows": 1, "inputs": {"age": [41]}, "outputs": {"score": [0.5]}}
    return {"at": at, "request_id": request_id, **fields, **others}


def put(database: Database, rows: Iterable[dict[str, Any]]) -> None:
    with database.write() as db:
        db.execute(insert(predictions), list(rows))


def count(database: Database) -> int:
    with database.read() as db:
        return int(db.execute(select(func.count()).select_from(predictions)).scalar_one())


def request_ids(database: Database, table: Table = predictions) -> list[str]:
    with database.read() as db:
        return list(db.execute(select(table.c.request_id).order_by(table.c.request_id)).scalars())


def put_outcomes(database: Database, rows: Iterable[tuple[datetime, str]], deployment: str = "churn") -> None:
    """Write outcomes that were told at some times, each with the id of its request."""
    told = [
        {"at": at, "request_id": name, "deployment": deployment, "happened_at": at, "bad": True} for at, name in rows
    ]
    with database.write() as db:
        db.execute(insert(outcomes), told)


def put_refused(database: Database, received: Sequence[datetime]) -> None:
    """Write rows into the quarantine of feature views."""
    with database.write() as db:
        view = {"id": 1, "name": "v", "entity": "e", "created_at": received[0], "created_by": "me"}
        db.execute(insert(feature_views), [view])
        what = {"view_id": 1, "source": "s", "entity": "e", "vector": "x", "reason": "bad"}
        rows = [{**what, "received_at": at, "position": number} for number, at in enumerate(received, 1)]
        db.execute(insert(feature_quarantine), rows)


def refused(database: Database) -> list[int]:
    """Return the positions of what is in the quarantine."""
    with database.read() as db:
        return list(db.execute(select(feature_quarantine.c.position).order_by(feature_quarantine.c.id)).scalars())
