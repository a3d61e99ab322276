"""The model repository extension: index, load, unload.

Under a supervisor the repository is its folder, and it carries out what is asked. A replica that is one process has the
one model that it serves, and loads no other.

Source: docs/protocol/extension_model_repository.md of github.com/triton-inference-server/server.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from tidegate.contract.errors import InvalidInput
from tidegate.server.protocols.base import TooLarge
from tidegate.server.protocols.rows import parse_json
from tidegate.server.protocols.values import shorten
from tidegate.server.replica import Phase, Replica

_BODY_BYTES = 64 * 1024
_FORBIDDEN = 403
_NO_REPOSITORY = "models cannot be loaded or unloaded here: the server was not started with --repository"

#: Triton's word for each phase, and why the model is not ready.
_STATES = {
    Phase.LOADING: ("LOADING", "the model is being loaded"),
    Phase.SERVING: ("READY", ""),
    Phase.DRAINING: ("UNLOADING", "the replica finishes what it has and ends"),
}


def index(replica: Replica, *, only_ready: bool) -> list[dict[str, str]]:
    """Return name, version, state and reason of each model; with `only_ready`, of those that take requests."""
    if only_ready and not replica.is_ready:
        return []
    identity = replica.settings.identity
    state, reason = _STATES[replica.phase]
    if replica.phase is Phase.SERVING and replica.lack is not None:
        state, reason = "UNAVAILABLE", replica.lack
    return [{"name": identity.model_name, "version": identity.model_version, "state": state, "reason": reason}]


async def carry_out(replica: Replica, action: str, name: str | None, wish: Any) -> tuple[int, Any]:
    """Do what a client asks of the repository, over whatever protocol: "index", "load" or "unload".

    Args:
        name: of the model; None for the index.
        wish: the request's document.

    Returns:
        HTTP status and document of the answer: models for the index, `{"error": …}` where it is refused.

    Raises:
        Unavailable: the supervisor does not answer.
    """
    if replica.siblings is not None:
        status, document = await replica.siblings.repository(action, name, wish)
        if action != "index" or status != _FORBIDDEN:
            return status, document
    if action != "index":
        return _FORBIDDEN, {"error": _NO_REPOSITORY}
    return 200, index(replica, only_ready=wish.get("ready") is True)


def add_repository(app: FastAPI, replica: Replica) -> None:
    """Add the routes of index, load and unload."""

    @app.post("/v2/repository/index", tags=["repository"])
    async def repository_index(request: Request) -> Response:
        """Name the model and its state; the body may be `{"ready": true}` to leave out what is not ready."""
        only_ready = _only_ready(await _body(request))
        status, document = await carry_out(replica, "index", None, {"ready": only_ready})
        return Response(orjson.dumps(document), status, media_type="application/json")

    @app.post("/v2/repository/models/{name}/load", tags=["repository"])
    async def load(name: str, request: Request) -> Response:
        """Serve the newest version of the repository, or that of `{"parameters": {"version": "3"}}`, once it is warm.

        Until then, and when it is refused, the version that serves goes on serving.
        """
        return await change("load", name, request)

    @app.post("/v2/repository/models/{name}/unload", tags=["repository"])
    async def unload(name: str, request: Request) -> Response:
        """Serve the model no more until a version is loaded."""
        return await change("unload", name, request)

    async def change(action: str, name: str, request: Request) -> Response:
        body = await _body(request)
        wish = parse_json(body) if body.strip() else {}
        status, document = await carry_out(replica, action, name, wish)
        return Response(orjson.dumps(document), status, media_type="application/json")


def _only_ready(body: bytes) -> bool:
    document: Any = parse_json(body) if body.strip() else {}
    ready = document.get("ready", False) if isinstance(document, dict) else None
    if not isinstance(ready, bool):
        raise InvalidInput(
            'the body must be an object, and "ready" in it true or false',
            subject="ready",
            expected='{"ready": true}',
            got=shorten(document),
        )
    return ready


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY_BYTES:
            raise TooLarge(f"the request's body is larger than {_BODY_BYTES} bytes")
    return body
