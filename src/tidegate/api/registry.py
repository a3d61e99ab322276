"""The routes of the model registry."""

from __future__ import annotations

from datetime import UTC, datetime
from shlex import quote
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.contract.errors import Conflict
from tidegate.contract.lineage import parse_lineage
from tidegate.contract.models import SCHEME, ModelReference, check_stage, parse_reference
from tidegate.contract.request import parse_artifact
from tidegate.controller import registering, version_views
from tidegate.controller.registering import Registration
from tidegate.controller.service import Service

#: The largest number that a version can have in every database.
MAX_NUMBER = 2**31 - 1
MOST_VERSIONS = 500

Number = Annotated[int, Path(ge=1, le=MAX_NUMBER)]
By = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(max_length=2000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewVersion(_Body):
    """A version that is to be registered.

    `artifact`: as `modelArtifact` of a request document. `about`: what the model is for, None leaves it as it is.
    `source`: where it came from, None for the artifact's path.
    """

    artifact: dict[str, Any]
    metrics: dict[str, Any] = {}
    lineage: dict[str, Any] = {}
    description: str = Field(default="", max_length=2000)
    about: str | None = Field(default=None, max_length=2000)
    source: str | None = Field(default=None, min_length=1, max_length=4096)
    by: By = "somebody"


class AliasTarget(_Body):
    """Which version an alias is to name, who says so, and why.

    `expected`: the number that it must name before, 0 for none; None: whatever it names.
    """

    version: int = Field(ge=1, le=MAX_NUMBER)
    expected: int | None = Field(default=None, ge=0, le=MAX_NUMBER)
    by: By = "somebody"
    reason: Reason = ""


class Removal(_Body):
    """Who takes an alias away, and why."""

    by: By = "somebody"
    reason: Reason = ""


class StageTarget(_Body):
    """The stage that a version is to be in, who says so, and why."""

    stage: str = Field(max_length=100)
    by: By = "somebody"
    reason: Reason = ""


def _follows(alias: str, deployment: str, number: int) -> str:
    return f"the alias {alias} follows the deployment {deployment}, in which version {number} is stable"


def routes(service: Service) -> APIRouter:
    """Return the routes below /registry."""
    router = APIRouter(prefix="/registry")
    registry = service.store.registry

    @router.get("/models", summary="Every model with its aliases")
    def list_models() -> dict[str, Any]:
        return {"models": [version_views.model_view(model) for model in registry.models()]}

    @router.get("/models/{name}", summary="A model, its newest versions, and every move of its aliases and stages")
    def model(name: str, limit: Annotated[int, Query(ge=1, le=MOST_VERSIONS)] = 100) -> dict[str, Any]:
        return version_views.whole_model(
            registry.model(name),
            registry.versions(name, limit=limit),
            registry.alias_moves(name),
            registry.stage_changes(name),
        )

    @router.post("/models/{name}/versions", status_code=201, summary="Check and bundle a model, and register it")
    async def add(name: str, version: NewVersion, response: Response) -> dict[str, Any]:
        asked = Registration(
            name,
            parse_artifact(version.artifact),
            version.source,
            version.description,
            version.metrics,
            parse_lineage(version.lineage),
            version.about,
        )
        found = await registering.register(service.home, registry, asked, by=version.by)
        response.status_code = 201 if found.created else 200
        view = version_views.version_view(found.version)
        return {"version": view, "created": found.created, "warnings": list(found.warnings)}

    @router.get("/models/{name}/versions/{number}", summary="All that is known of a version")
    def version(name: str, number: Number) -> dict[str, Any]:
        return version_views.version_view(registry.version(ModelReference(name, version=number)))

    @router.get("/version", summary="The version that a reference such as models:/churn@champion names now")
    def resolve(reference: Annotated[str, Query(max_length=400)]) -> dict[str, Any]:
        return version_views.version_view(registry.version(parse_reference(reference)))

    @router.get("/compare", summary="Two versions side by side: metrics, signature, environment")
    def compare(
        left: Annotated[str, Query(max_length=400)], right: Annotated[str, Query(max_length=400)]
    ) -> dict[str, Any]:
        one, other = (registry.version(parse_reference(text)) for text in (left, right))
        return version_views.compared(one, other)

    @router.put("/models/{name}/aliases/{alias}", summary="Let an alias name a version")
    def move(name: str, alias: str, target: AliasTarget) -> dict[str, Any]:
        moved = registry.move_alias(
            name,
            alias,
            target.version,
            by=target.by,
            reason=target.reason,
            now=datetime.now(UTC),
            expected=target.expected,
        )
        reference = f"{SCHEME}{name}/{target.version}"
        return {
            "moved": moved is not None,
            "version": version_views.version_view(registry.version(ModelReference(name, version=target.version))),
            "warnings": [
                f"{_follows(alias, deployment, number)}: deploy {reference} there"
                for deployment, number in registry.followed(name, alias).items()
                if number != target.version
            ],
        }

    @router.delete("/models/{name}/aliases/{alias}", summary="Take an alias away")
    def remove(name: str, alias: str, removal: Removal | None = None) -> dict[str, Any]:
        asked = removal or Removal()
        moved = registry.move_alias(name, alias, None, by=asked.by, reason=asked.reason, now=datetime.now(UTC))
        if moved is None:
            raise Conflict(f"the alias {alias!r} has just been taken away", subject=alias)
        warnings = [
            f"{_follows(alias, deployment, number)}: to have it back, "
            f"tidegate registry alias {quote(name)} {alias} {number}"
            for deployment, number in registry.followed(name, alias).items()
        ]
        return {**version_views.move_view(moved), "warnings": warnings}

    @router.put("/models/{name}/versions/{number}/stage", summary="Put a version in a stage, or in the archive")
    def stage(name: str, number: Number, target: StageTarget) -> dict[str, Any]:
        changed = registry.set_stage(
            name, number, check_stage(target.stage), by=target.by, reason=target.reason, now=datetime.now(UTC)
        )
        return version_views.version_view(changed)

    return router
