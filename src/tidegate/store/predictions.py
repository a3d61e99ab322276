"""The prediction log, read back: each logged prediction with what came of its request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, select

from tidegate.store.database import Database
from tidegate.store.schema.delivery import deployments, outcomes
from tidegate.store.schema.telemetry import observations, predictions

_IDS_AT_ONCE = 500


@dataclass(frozen=True)
class Prediction:
    """One logged request.

    Attributes:
        at: when it was answered.
        rows: how many it had; of very large ones not all are logged.
        inputs, outputs: columns by name, each with a value per row.
        is_bad: what came of it, as `outcomes send` told; None when nobody told.
        outcome_at: when that happened.
        observations: what else is known of it, oldest first.
    """

    at: datetime
    request_id: str
    revision: int
    rows: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    is_bad: bool | None
    outcome_at: datetime | None
    observations: tuple[Any, ...] = ()


def logged(
    database: Database, deployment: str, *, since: datetime, until: datetime, revision: int | None, limit: int
) -> list[Prediction]:
    """Return the first logged predictions of a deployment from `since` on and before `until`, oldest first.

    Args:
        revision: only of this one; None for all.
        limit: how many at most.
    """
    same_name = select(deployments.c.id).where(deployments.c.name == deployment)
    told = and_(outcomes.c.request_id == predictions.c.request_id, outcomes.c.deployment_id.in_(same_name))
    query = (
        select(predictions, outcomes.c.bad, outcomes.c.at.label("outcome_at"))
        .select_from(predictions.outerjoin(outcomes, told))
        .where(predictions.c.deployment == deployment, predictions.c.at >= since, predictions.c.at < until)
        .order_by(predictions.c.at, predictions.c.request_id)
        .limit(limit)
    )
    if revision is not None:
        query = query.where(predictions.c.revision == revision)
    known: dict[str, list[Any]] = {}
    with database.read() as db:
        found = db.execute(query).all()
        ids = sorted({row.request_id for row in found})
        for first in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[first : first + _IDS_AT_ONCE]
            # Nothing is known of a request before it was answered, which spares the partitions of before.
            asked = (
                select(observations.c.request_id, observations.c.value)
                .where(observations.c.request_id.in_(some), observations.c.deployment == deployment)
                .where(observations.c.at >= since)
                .order_by(observations.c.at)
            )
            for row in db.execute(asked):
                known.setdefault(row.request_id, []).append(row.value)
    return [
        Prediction(
            at=row.at,
            request_id=row.request_id,
            revision=row.revision,
            rows=row.rows,
            inputs=row.inputs,
            outputs=row.outputs,
            is_bad=row.bad,
            outcome_at=None if row.outcome_at is None else datetime.fromtimestamp(row.outcome_at / 1000, UTC),
            observations=tuple(known.get(row.request_id, ())),
        )
        for row in found
    ]
