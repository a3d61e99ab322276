"""Rows of the prediction log, for tests of what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from tidegate.store.database import Database
from tidegate.store.schema.telemetry import predictions


def row(at: datetime, request_id: str = "r", **others: Any) -> dict[str, Any]:
    fields = {"deployment": "churn", "revision": 1, "rows": 1, "inputs": {"age": [41]}, "outputs": {"score": [0.5]}}
    return {"at": at, "request_id": request_id, **fields, **others}


def put(database: Database, rows: Iterable[dict[str, Any]]) -> None:
    with database.write() as db:
        db.execute(insert(predictions), list(rows))


def count(database: Database) -> int:
    with database.read() as db:
        return int(db.execute(select(func.count()).select_from(predictions)).scalar_one())


def request_ids(database: Database) -> list[str]:
    with database.read() as db:
        return list(db.execute(select(predictions.c.request_id).order_by(predictions.c.request_id)).scalars())
