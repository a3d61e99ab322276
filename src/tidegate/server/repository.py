"""The index of the model repository extension: a replica's repository is the one model that it serves.

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
    return [{"name": identity.model_name, "version": identity.model_version, "state": state, "reason": reason}]


def add_repository(app: FastAPI, replica: Replica) -> None:
    """Add the route of the index."""

    @app.post("/v2/repository/index", tags=["repository"])
    async def repository_index(request: Request) -> Response:
        """Name the model and its state; the body may be `{"ready": true}` to leave out what is not ready."""
        only_ready = _only_ready(await _body(request))
        return Response(orjson.dumps(index(replica, only_ready=only_ready)), media_type="application/json")


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
