"""The routes of freezes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tidegate.controller import freezing
from tidegate.controller.service import Service

#: The largest number that the store can look up.
MAX_NUMBER = 2**63 - 1


class NewFreeze(BaseModel):
    """A span of time, with its zone, in which nothing is deployed.

    `deployment`: None for every deployment. `starts_at`: None for now.
    """

    model_config = ConfigDict(extra="forbid")

    deployment: str | None = Field(default=None, max_length=100)
    reason: str = Field(min_length=1, max_length=2000)
    by: str = Field(default="somebody", min_length=1, max_length=200)
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime


class Removal(BaseModel):
    """Who removes a freeze."""

    model_config = ConfigDict(extra="forbid")

    by: str = Field(default="somebody", min_length=1, max_length=200)


def routes(service: Service) -> APIRouter:
    """Return the routes below /freezes."""
    router = APIRouter(prefix="/freezes")

    @router.get("", summary="Freezes that hold now or will; with `all`, every one that ever was")
    def list_freezes(every: Annotated[bool, Query(alias="all")] = False) -> dict[str, Any]:
        found = service.store.freezes.all()
        chosen = found if every else freezing.pending(found, datetime.now(UTC))
        return {"freezes": [freezing.view(freeze) for freeze in chosen]}

    @router.post("", status_code=201, summary="Let nothing be deployed for a span of time")
    def add(freeze: NewFreeze) -> dict[str, Any]:
        return freezing.view(
            service.add_freeze(
                freeze.deployment,
                by=freeze.by,
                reason=freeze.reason,
                starts_at=freeze.starts_at,
                ends_at=freeze.ends_at,
            )
        )

    @router.delete("/{freeze_id}", summary="End a freeze, or call off one to come")
    def remove(
        freeze_id: Annotated[int, Path(ge=1, le=MAX_NUMBER)], removal: Annotated[Removal | None, Body()] = None
    ) -> dict[str, Any]:
        by = (removal or Removal()).by
        return freezing.view(service.store.freezes.remove(freeze_id, by=by, now=datetime.now(UTC)))

    return router
