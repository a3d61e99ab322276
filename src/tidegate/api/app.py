"""The routes. Everything below /v1 needs the token, except metrics, which Prometheus scrapes on loopback."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate import __version__
from tidegate.api import drift, errors, freezes, outcomes, registry
from tidegate.api.stopping import Stopping
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import MOST_CHALLENGERS
from tidegate.controller import metrics, page, report, result, views
from tidegate.controller.freezing import Override
from tidegate.controller.service import Accepted, Service, parse_rollout_id
from tidegate.rollout import Command

#: A request document is small; what is larger is a mistake or an attack.
MAX_BODY_BYTES = 1 << 20
#: The longest that a poll for events may wait.
MAX_WAIT_SECONDS = 60.0
#: The largest number that the store can look up.
MAX_NUMBER = 2**63 - 1

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Decision(BaseModel):
    """Who asks for something, and why; both go on record."""

    model_config = ConfigDict(extra="forbid")

    by: str = Field(default="somebody", max_length=200)
    reason: str = Field(default="", max_length=2000)


class RollbackDecision(Decision):
    """`to`: number of the revision to return to; None: the one that was stable before."""

    to: int | None = Field(default=None, ge=1, le=MAX_NUMBER)


class Promotion(Decision):
    """`arm`: name of the challenger of an A/B test that is promoted; None where there is one candidate."""

    arm: str | None = Field(default=None, max_length=200)


class Weights(Decision):
    """Percent of the users by the name of an arm; those that are not named keep theirs, one with 0 is taken out."""

    weights: dict[str, float] = Field(min_length=1, max_length=MOST_CHALLENGERS)


class Watcher(BaseModel):
    """`reader`: a name of the caller's own choice: each gets what was counted since it last asked."""

    model_config = ConfigDict(extra="forbid")

    reader: str = Field(min_length=1, max_length=100)


def build_app(service: Service, token: str, stopping: Stopping) -> FastAPI:
    """Return the API of one controller.

    Args:
        token: what callers must send as `Authorization: Bearer …`.
        stopping: set by a request to shut down.
    """
    # The framework's own page for people loads its scripts from elsewhere; the document is at /openapi.json.
    app = FastAPI(title="Tidegate controller", version=__version__, docs_url=None, redoc_url=None)
    errors.install(app)
    app.add_middleware(BoundedBody)
    app.include_router(_open_routes(service))
    app.include_router(_routes(service, stopping), dependencies=[Depends(_token_check(token))])
    return app


_BEARER = HTTPBearer(auto_error=False, description="The content of the file `token` in the home folder.")


def _token_check(token: str) -> Callable[..., None]:
    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if given is None or not secrets.compare_digest(given.credentials.encode(), token.encode()):
            raise HTTPException(401, "the token is missing or wrong", headers={"WWW-Authenticate": "Bearer"})

    return check


def _open_routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz", summary="Answers 200 while the controller runs")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/metrics", summary="Prometheus metrics of every deployment")
    async def all_metrics() -> Response:
        return Response(await metrics.exposition(service, None), media_type=PROMETHEUS_TEXT)

    @router.get("/v1/deployments/{name}/metrics", summary="Prometheus metrics of one deployment")
    async def metrics_of(name: str) -> Response:
        service.store.deployment(name)
        return Response(await metrics.exposition(service, name), media_type=PROMETHEUS_TEXT)

    return router


def _routes(service: Service, stopping: Stopping) -> APIRouter:
    router = APIRouter(prefix="/v1")
    router.include_router(_reading(service))
    router.include_router(_changing(service))
    router.include_router(freezes.routes(service))
    router.include_router(outcomes.routes(service))
    router.include_router(drift.routes(service))
    router.include_router(registry.routes(service))

    @router.get("/info", summary="Version and addresses of this controller")
    async def info() -> dict[str, Any]:
        return {
            "version": __version__,
            "gateway_url": service.target.url("").rstrip("/"),
            "home": str(service.home.root),
            "store": service.store.where,
            "standbys": service.home.standing_by(),
            "store_trouble": service.supervisor.upkeep.trouble,
        }

    @router.post("/shutdown", status_code=202, summary="End the controller, the gateway and every replica")
    async def shutdown(
        keep_containers: Annotated[bool, Query(description="Leave those that are containers running.")] = False,
    ) -> dict[str, str]:
        stopping.keeps_containers = keep_containers
        stopping.set()
        return {"status": "stopping"}

    return router


def _reading(service: Service) -> APIRouter:
    router = APIRouter()
    store = service.store

    def status_of(name: str) -> dict[str, Any]:
        deployment = store.deployment(name)
        last = store.last_rollout(deployment.id)
        driving = service.supervisor
        watched, aspects = driving.drift.seen(name), driving.drift_log.seen(name)
        return views.status(
            deployment, last, driving.seen(name), service.target.url(name), drift=watched, aspects=aspects
        )

    @router.get("/deployments", summary="Status of every deployment")
    async def list_deployments() -> dict[str, Any]:
        return {"deployments": [status_of(deployment.name) for deployment in store.deployments()]}

    @router.get("/deployments/{name}", summary="What a deployment is doing now")
    async def status(name: str) -> dict[str, Any]:
        return status_of(name)

    @router.get("/deployments/{name}/result", summary="The result document")
    async def result_document(name: str) -> dict[str, Any]:
        return result.build(service, name)

    # Those that may read much are no coroutines: they run on a thread, and no rollback waits for them.

    @router.get("/deployments/{name}/history", summary="Every revision and rollout")
    def history(name: str) -> dict[str, Any]:
        deployment = store.deployment(name)
        return views.history(store.revisions(deployment.id), store.rollouts(deployment.id))

    @router.get("/deployments/{name}/events", summary="The event log; with `wait`, a long poll")
    async def events(
        name: str,
        after: Annotated[int, Query(ge=0, le=MAX_NUMBER)] = 0,
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 0.0,
        rollout: str | None = None,
    ) -> dict[str, Any]:
        chosen = parse_rollout_id(rollout) if rollout is not None else None
        found = await service.events(name, after=after, rollout=chosen, wait=wait)
        return {"events": [views.event_view(event) for event in found]}

    @router.get("/deployments/{name}/notifications", summary="The latest notifications and how they were delivered")
    def notifications(name: str) -> dict[str, Any]:
        return {"notifications": service.notifications(name)}

    @router.get("/deployments/{name}/logs", summary="The last lines that a replica wrote")
    async def logs(
        name: str,
        revision: Annotated[int | None, Query(ge=1, le=MAX_NUMBER)] = None,
        replica: Annotated[int | None, Query(ge=0, le=63)] = None,
        lines: Annotated[int, Query(ge=1, le=10_000)] = 100,
    ) -> dict[str, Any]:
        return {"lines": await service.logs(name, revision, replica, lines)}

    @router.get("/rollouts/{rollout_id}", summary="One rollout")
    async def rollout(rollout_id: str) -> dict[str, Any]:
        row = store.rollout(parse_rollout_id(rollout_id))
        return views.rollout_view(row, service.supervisor.seen(row.deployment) if row.ended_at is None else None)

    @router.get("/rollouts/{rollout_id}/report", summary="What happened in a rollout")
    def rollout_report(rollout_id: str, format: Literal["json", "markdown", "html"] = "json") -> Response:  # noqa: A002
        row = store.rollout(parse_rollout_id(rollout_id))
        candidate = store.revision(row.deployment_id, row.to_revision)
        events = store.events(row.deployment_id, rollout_id=row.id, limit=10_000)
        built = report.build(row, candidate, events, service.looks(row))
        if format == "html":
            return Response(page.html(built), media_type="text/html; charset=utf-8")
        if format == "markdown":
            return Response(report.markdown(built), media_type="text/markdown; charset=utf-8")
        return Response(json.dumps(built), media_type="application/json")

    @router.get("/rollouts/{rollout_id}/recording", summary="All that the judge was shown in a rollout, as JSON lines")
    def rollout_recording(rollout_id: str) -> Response:
        text = service.recording(store.rollout(parse_rollout_id(rollout_id)))
        return Response(text, media_type="application/x-ndjson")

    return router


def _changing(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/deployments",
        status_code=202,
        summary="Deploy: the body is a DeploymentRequest document",
    )
    async def deploy(
        request: Request,
        response: Response,
        dry_run: Annotated[bool, Query(description="Tell what would be done, and do nothing")] = False,
        override_freeze: Annotated[str | None, Query(min_length=1, max_length=2000)] = None,
        by: Annotated[str, Query(min_length=1, max_length=200)] = "somebody",
    ) -> dict[str, Any]:
        override = Override(by, override_freeze) if override_freeze is not None else None
        if dry_run:
            response.status_code = 200
            return await service.preview(await _document(request), override)
        return _accepted(await service.deploy(await _document(request), override, by=by))

    @router.delete("/deployments/{name}", summary="Take a deployment out of production")
    async def delete(name: str, decision: Annotated[Decision | None, Body()] = None) -> dict[str, Any]:
        decided = decision or Decision()
        await service.delete(name, by=decided.by, reason=decided.reason)
        return {"deployment": name, "deleted": True}

    @router.post(
        "/deployments/{name}/counts",
        summary="Have the replicas of stable count what they are asked and answer, and return what they counted",
    )
    async def counts(name: str, watcher: Watcher) -> dict[str, Any]:
        return await service.counted(name, watcher.reader)

    @router.post("/deployments/{name}/rollback", status_code=202, summary="Return to a past revision")
    async def rollback(name: str, decision: Annotated[RollbackDecision | None, Body()] = None) -> dict[str, Any]:
        decided = decision or RollbackDecision()
        return _accepted(await service.rollback(name, decided.to, by=decided.by, reason=decided.reason))

    @router.post("/deployments/{name}/notifications/test", summary="Send a test to everybody who is notified")
    async def test_notifications(name: str, decision: Annotated[Decision | None, Body()] = None) -> dict[str, Any]:
        return {"tests": await service.test_notifications(name, by=(decision or Decision()).by)}

    def add(asked: Command, summary: str) -> None:
        @router.post(f"/deployments/{{name}}/{asked.value}", status_code=202, summary=summary, name=asked.value)
        async def act(name: str, decision: Annotated[Decision | None, Body()] = None) -> dict[str, Any]:
            decided = decision or Decision()
            row = await service.command(name, asked, by=decided.by, reason=decided.reason)
            return views.rollout_view(row, service.supervisor.seen(name))

    @router.post("/deployments/{name}/promote", status_code=202, summary="Finish the running rollout now")
    async def promote(name: str, decision: Annotated[Promotion | None, Body()] = None) -> dict[str, Any]:
        decided = decision or Promotion()
        row = await service.command(name, Command.PROMOTE, by=decided.by, reason=decided.reason, arm=decided.arm)
        return views.rollout_view(row, service.supervisor.seen(name))

    @router.post("/deployments/{name}/weights", status_code=202, summary="Give the arms of an A/B test other weights")
    async def weights(name: str, decision: Weights) -> dict[str, Any]:
        row = await service.set_weights(name, decision.weights, by=decision.by, reason=decision.reason)
        return views.rollout_view(row, service.supervisor.seen(name))

    add(Command.PAUSE, "Hold the running rollout where it is")
    add(Command.RESUME, "Let a paused rollout go on")
    add(Command.ABORT, "End the running rollout and restore stable")
    return router


class BoundedBody:
    """Ends a request whose body is larger than any that the API takes, before anybody's token is looked at."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise InvalidInput("the body is too large", expected=f"at most {MAX_BODY_BYTES} bytes")
            return message

        await self._app(scope, bounded if scope["type"] == "http" else receive, send)


async def _document(request: Request) -> dict[str, Any]:
    """Read the body as one JSON object."""
    body = await request.body()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"the body is not JSON: {str(error)[:200]}", expected="a DeploymentRequest document"
        ) from error
    if not isinstance(document, dict):
        raise InvalidInput("the body is not a JSON object", expected="a DeploymentRequest document")
    return document


def _accepted(accepted: Accepted) -> dict[str, Any]:
    return {
        "deployment": accepted.deployment,
        "revision": accepted.revision,
        "rollout": str(accepted.rollout) if accepted.rollout is not None else None,
        "created": accepted.created,
        "warnings": list(accepted.warnings),
    }
