"""The route of drift: the readings that the controller made of what is served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from tidegate.controller.drift.log_readings import seen_views, views
from tidegate.controller.drift.readings import view
from tidegate.controller.service import Service
from tidegate.drift.aspects import Aspect

MOST_READINGS = 1000
_SINCE = timedelta(days=1)


def routes(service: Service) -> APIRouter:
    """Return the route /deployments/{name}/drift."""
    router = APIRouter()

    # It may read much, so it is no coroutine.
    @router.get("/deployments/{name}/drift", summary="Readings of drift of what the stable revision is asked")
    def readings(
        name: str,
        since: Annotated[AwareDatetime | None, Query(description="From when on; a day ago when absent")] = None,
        column: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_READINGS, description="The newest so many")] = 300,
    ) -> dict[str, Any]:
        deployment, now = service.store.deployment(name), datetime.now(UTC)
        # Of an earlier deployment of the name there may be readings, and of times to come there are none.
        begins = max(min(since or now - _SINCE, now), deployment.created_at)
        found = service.store.drift.newest(name, since=begins, limit=limit, column=column)
        answer: dict[str, Any] = {"deployment": name, "readings": [view(reading) for reading in found]}
        if column is not None:
            return answer
        told = [row for one in Aspect for row in service.store.aspects.newest(name, one, since=begins, limit=limit)]
        seen = service.supervisor.drift_log.seen(name)
        return {**answer, "aspects": views(told), "watched": seen_views(seen)}

    return router
