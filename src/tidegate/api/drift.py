"""The routes of drift: the readings that the controller made of what is served, and what they add up to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from tidegate.contract.drift import Drift
from tidegate.contract.errors import InvalidInput
from tidegate.controller import planning
from tidegate.controller.drift import periods
from tidegate.controller.drift.log_readings import seen_views, views
from tidegate.controller.drift.readings import view
from tidegate.controller.service import Service
from tidegate.drift.aspects import Aspect
from tidegate.store import DeploymentRow

MOST_READINGS = 1000
_SINCE = timedelta(days=1)

Since = Annotated[AwareDatetime | None, Query(description="From when on; a day ago when absent")]
Until = Annotated[AwareDatetime | None, Query(description="Until when; now when absent")]


def routes(service: Service) -> APIRouter:
    """Return the routes below /deployments/{name}/drift."""
    router = APIRouter()

    def period(since: datetime | None, until: datetime | None, deployment: DeploymentRow) -> tuple[datetime, datetime]:
        now = datetime.now(UTC)
        # Of an earlier deployment of the name there may be readings, and of times to come there are none.
        begins = max(min(since or now - _SINCE, now), deployment.created_at)
        return begins, max(min(until or now, now), begins)

    # They may read much, so they are no coroutines.
    @router.get("/deployments/{name}/drift", summary="Readings of drift of what the stable revision is asked")
    def readings(
        name: str,
        since: Since = None,
        until: Until = None,
        column: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_READINGS, description="The newest so many")] = 300,
    ) -> dict[str, Any]:
        begins, ends = period(since, until, service.store.deployment(name))
        found = service.store.drift.newest(name, since=begins, until=ends, limit=limit, column=column)
        answer: dict[str, Any] = {"deployment": name, "readings": [view(reading) for reading in found]}
        if column is not None:
            return answer
        aspects = service.store.aspects
        told = [row for one in Aspect for row in aspects.newest(name, one, since=begins, until=ends, limit=limit)]
        seen = service.supervisor.drift_log.seen(name)
        return {**answer, "aspects": views(told), "watched": seen_views(seen)}

    @router.get("/deployments/{name}/drift/total", summary="Drift over a period: the intervals in it, added up")
    def total(
        name: str,
        since: Since = None,
        until: Until = None,
        column: Annotated[str | None, Query(max_length=256)] = None,
    ) -> dict[str, Any]:
        deployment = service.store.deployment(name)
        if since is not None and until is not None and since >= until:
            raise InvalidInput(
                "the period ends before it begins",
                subject="until",
                expected=f"a moment after {since.isoformat()}",
                got=until.isoformat(),
            )

        def drift_of(revision: int) -> Drift:
            asked = planning.request_of(service.store.revision(deployment.id, revision)).drift
            assert asked is not None  # noqa: S101 (there are readings of it)
            return asked

        begins, ends = period(since, until, deployment)
        with service.store.drift.in_order(name) as order:
            found = periods.found_in(order, begins, ends)
        return periods.view(name, begins, ends, found, periods.totals(found, drift_of, column))

    return router
