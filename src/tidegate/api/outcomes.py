"""The routes of outcomes: told by whoever knows what came of requests, and looked at."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

from fastapi import APIRouter, Request

from tidegate.contract.errors import InvalidInput
from tidegate.controller.outcomes import telling
from tidegate.controller.service import Service


def routes(service: Service) -> APIRouter:
    """Return the routes below /deployments/{name}/outcomes."""
    router = APIRouter(prefix="/deployments/{name}/outcomes")

    @router.post("", summary="Tell what came of requests, by their ids; the answer says what became of each")
    async def tell(name: str, request: Request) -> dict[str, Any]:
        body = await request.body()
        try:
            document = json.loads(body, parse_int=_whole)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"the body is not JSON: {str(error)[:200]}", expected="outcomes") from error
        return await asyncio.to_thread(telling.tell, service.store, name, document)

    @router.get("", summary="What came of the requests of the latest rollout so far, by revision")
    def shown(name: str) -> dict[str, Any]:
        return telling.shown(service.store, name)

    return router


def _whole(digits: str) -> float:
    """Return a whole number, and infinity for one that no double holds: that is refused with its entry alone.

    Python would refuse the body for a number of some thousand digits.
    """
    number = float(digits)
    return int(digits) if math.isfinite(number) else number
