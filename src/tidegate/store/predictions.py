"""The prediction log, read back: each logged prediction with what came of its request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, Subquery, and_, func, literal, select

from tidegate.contract.actuals import Came
from tidegate.store.database import Database
from tidegate.store.outcome_log import holding
from tidegate.store.schema.telemetry import outcomes, predictions


@dataclass(frozen=True)
class Prediction:
    """One logged request.

    Attributes:
        at: when it was answered.
        rows: how many it had; of very large ones not all are logged.
        inputs, outputs: columns by name, each with a value per row.
        is_bad: what came of it; None when nobody told.
        actual: what really was, see `contract.actuals`; None when nobody told.
        outcome_at: when that happened; the later moment where the two were told apart.
    """

    at: datetime
    request_id: str
    revision: int
    rows: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    is_bad: bool | None
    actual: Any
    outcome_at: datetime | None


@dataclass(frozen=True)
class Wanted:
    """Which predictions of a deployment.

    Attributes:
        since, until: of the answer; the first belongs to it, the second does not.
        revision: None for all.
        request_id: None for all.
        came: what came of it; None for whatever did.
    """

    deployment: str
    since: datetime
    until: datetime
    revision: int | None = None
    request_id: str | None = None
    came: Came | None = None


def logged(database: Database, wanted: Wanted, limit: int) -> list[Prediction]:
    """Return the first logged predictions, oldest first.

    Args:
        limit: how many at most.
    """
    bad, actual = (holding(name, wanted.deployment, wanted.since, wanted.request_id) for name in ("bad", "actual"))
    query = (
        select(
            predictions,
            bad.c.bad,
            bad.c.happened_at.label("bad_at"),
            actual.c.actual,
            actual.c.happened_at.label("actual_at"),
        )
        .select_from(
            predictions.outerjoin(bad, bad.c.request_id == predictions.c.request_id).outerjoin(
                actual, actual.c.request_id == predictions.c.request_id
            )
        )
        .where(_which(wanted))
        .order_by(predictions.c.at, predictions.c.request_id)
        .limit(limit)
    )
    if wanted.came is not None:
        query = query.where(_came(wanted.came, bad, actual))
    with database.read() as db:
        return [_prediction(row) for row in db.execute(query)]


def with_actual(database: Database, wanted: Wanted, limit: int) -> list[Prediction]:
    """Return the last logged predictions of which what really was is known, oldest first, without their inputs.

    Args:
        limit: how many at most.
    """
    table = predictions.c
    actual = holding("actual", wanted.deployment, wanted.since, wanted.request_id)
    query = (
        select(table.at, table.request_id, table.revision, table.rows, table.outputs, actual.c.actual)
        .add_columns(actual.c.happened_at)
        .select_from(predictions.join(actual, actual.c.request_id == table.request_id))
        .where(_which(wanted, by_request=database.is_sqlite))
        .order_by(table.at.desc(), table.request_id.desc())
        .limit(limit)
    )
    with database.read() as db:
        found = [
            Prediction(
                row.at, row.request_id, row.revision, row.rows, {}, row.outputs, None, row.actual, row.happened_at
            )
            for row in db.execute(query)
        ]
    return found[::-1]


def last(database: Database, wanted: Wanted, limit: int, column: Literal["inputs", "outputs"]) -> list[Prediction]:
    """Return the last logged predictions, oldest first, with their inputs or their outputs alone, whatever came of
    them.

    Args:
        limit: how many at most.
    """
    table = predictions.c
    query = (
        select(table.at, table.request_id, table.revision, table.rows, table[column].label("told"))
        .where(_which(wanted))
        .order_by(table.at.desc(), table.request_id.desc())
        .limit(limit)
    )
    with database.read() as db:
        found = list(db.execute(query))[::-1]
    parts = [(row, {column: row.told}) for row in found]
    return [
        Prediction(
            row.at,
            row.request_id,
            row.revision,
            row.rows,
            told.get("inputs", {}),
            told.get("outputs", {}),
            None,
            None,
            None,
        )
        for row, told in parts
    ]


def first_at(database: Database, deployment: str, revision: int, since: datetime) -> datetime | None:
    """Return when the first prediction of a revision was made that is still logged; None without any.

    Args:
        since: from when on they are of this revision, and of no earlier one of the number.
    """
    wanted = _which(Wanted(deployment, since, datetime.max.replace(tzinfo=UTC), revision))
    query = select(predictions.c.at).where(wanted).order_by(predictions.c.at).limit(1)
    with database.read() as db:
        return db.execute(query).scalar_one_or_none()


def has_news(database: Database, deployment: str, since: datetime) -> bool:
    """Say whether a prediction was made, or an outcome told, from `since` on."""
    with database.read() as db:
        for table in (predictions, outcomes):
            query = select(table.c.at).where(table.c.deployment == deployment, table.c.at >= since).limit(1)
            if db.execute(query).first() is not None:
                return True
    return False


def count(database: Database, wanted: Wanted) -> int:
    """Return how many predictions were logged, whatever came of them."""
    with database.read() as db:
        return int(db.execute(select(func.count()).select_from(predictions).where(_which(wanted))).scalar_one())


def _which(wanted: Wanted, *, by_request: bool = False) -> ColumnElement[bool]:
    """Return the condition.

    Args:
        by_request: whether rows are to be found by the index of request ids. SQLite would look through all of the time
            for each outcome: it does not know how many there are. An expression is in no index.
    """
    table = predictions.c
    name = table.deployment.concat("") if by_request else table.deployment
    parts = [name == wanted.deployment, table.at >= wanted.since, table.at < wanted.until]
    if wanted.revision is not None:
        parts.append(table.revision == wanted.revision)
    if wanted.request_id is not None:
        parts.append(table.request_id == wanted.request_id)
    return and_(*parts)


def _came(came: Came, bad: Subquery, actual: Subquery) -> ColumnElement[bool]:
    match came:
        case Came.GOOD:
            return bad.c.bad == literal(False, bad.c.bad.type)
        case Came.BAD:
            return bad.c.bad == literal(True, bad.c.bad.type)
        case Came.ACTUAL:
            return actual.c.request_id.is_not(None)
        case Came.MISSING:
            return and_(bad.c.request_id.is_(None), actual.c.request_id.is_(None))


def _prediction(row: Row[Any]) -> Prediction:
    happened = [moment for moment in (row.bad_at, row.actual_at) if moment is not None]
    return Prediction(
        at=row.at,
        request_id=row.request_id,
        revision=row.revision,
        rows=row.rows,
        inputs=row.inputs,
        outputs=row.outputs,
        is_bad=row.bad,
        actual=row.actual,
        outcome_at=max(happened, default=None),
    )
