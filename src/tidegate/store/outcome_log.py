"""What came of requests, as it was told: kept whether or not a rollout wants it or the request is known, and read back.

An outcome may say whether it was bad, what really was, or both, and each of the two holds by itself. Where one was told
several times, that which happened last holds, and of the same moment what was told last. What says nothing new is not
written, so that a file may be sent again and again; so a value that is told again keeps its first moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Subquery, func, insert, select

from tidegate.store.schema.telemetry import outcomes

#: An outcome is looked for from so long before the answer on: clocks differ, and who chooses the ids of requests may
#: tell of one before it is answered.
EARLY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """What came of a request.

    Attributes:
        is_bad: None where that was not told.
        at: when it happened, in milliseconds since 1970.
        actual: what really was, see `contract.actuals`; None where that was not told.
    """

    request_id: str
    is_bad: bool | None
    at: int
    actual: Any = None


@dataclass(frozen=True)
class Holding:
    """What is known of a request: each value, and when that happened; None and the first of all moments for none.

    Attributes:
        at: when any of it was told last.
    """

    is_bad: bool | None = None
    bad_at: datetime = _FIRST
    actual: Any = None
    actual_at: datetime = _FIRST
    at: datetime = _FIRST

    def after(self, at: datetime, happened: datetime, is_bad: bool | None, actual: Any) -> Holding:
        """Return what is known when something else was told at `at`, which happened later or holds for having been told
        later; None for a value that was not told."""
        found = replace(self, at=max(self.at, at))
        if is_bad is not None:
            found = replace(found, is_bad=is_bad, bad_at=happened)
        return found if actual is None else replace(found, actual=actual, actual_at=happened)


def news(told: Iterable[Told], known: dict[str, Holding], now: datetime) -> list[dict[str, Any]]:
    """Return the rows that change what is known, without the deployment; `known` is brought to date, else it is pure.

    Args:
        known: by request id.
        now: when it is told. A row comes behind those that are there even where a clock was set back.
    """
    rows = []
    for one in told:
        happened = datetime.fromtimestamp(one.at / 1000, UTC)
        before = known.get(one.request_id, Holding())
        is_bad, actual = one.is_bad, one.actual
        if is_bad == before.is_bad or happened < before.bad_at:
            is_bad = None
        if happened < before.actual_at or _text(actual) == _text(before.actual):
            actual = None
        if is_bad is None and actual is None:
            continue
        at = max(now, before.at + _TICK)
        row = {"at": at, "request_id": one.request_id, "happened_at": happened, "bad": is_bad, "actual": actual}
        known[one.request_id] = before.after(at, happened, is_bad, actual)
        rows.append(row)
    return rows


def known_of(db: Connection, deployment: str, ids: Sequence[str]) -> dict[str, Holding]:
    """Return what is known of some requests, by request id."""
    query = (
        select(outcomes)
        .where(outcomes.c.request_id.in_(ids), outcomes.c.deployment == deployment)
        .order_by(outcomes.c.happened_at, outcomes.c.at)
    )
    found: dict[str, Holding] = {}
    for row in db.execute(query):
        one = found.get(row.request_id, Holding())
        found[row.request_id] = one.after(row.at, row.happened_at, row.bad, row.actual)
    return found


def write(db: Connection, deployment: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows that `news` found, within the transaction of the connection."""
    if rows:
        db.execute(insert(outcomes), [{"deployment": deployment, **row} for row in rows])


def holding(name: str, deployment: str, since: datetime, request_id: str | None = None) -> Subquery:
    """Return what holds of requests that were answered from `since` on: request_id, the value, and happened_at.

    Args:
        name: of the value, "bad" or "actual". Requests of which it was not told are not in it.
        request_id: only of this one; None for all.
    """
    value = outcomes.c[name]
    newest = (outcomes.c.happened_at.desc(), outcomes.c.at.desc())
    order = func.row_number().over(partition_by=outcomes.c.request_id, order_by=newest).label("nth")
    query = select(outcomes.c.request_id, value, outcomes.c.happened_at, order).where(
        outcomes.c.deployment == deployment, outcomes.c.at >= since - EARLY, value.is_not(None)
    )
    if request_id is not None:
        query = query.where(outcomes.c.request_id == request_id)
    told = query.subquery()
    return select(told.c.request_id, told.c[name], told.c.happened_at).where(told.c.nth == 1).subquery(f"told_{name}")


def _text(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    """Return the value as a database may give it back: a whole number has no point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, dict) else value
