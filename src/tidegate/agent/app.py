"""The agent's HTTP API, served on a socket that only the controller has: JSON in, JSON out."""

from __future__ import annotations

import json
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tidegate.agent import specification
from tidegate.agent.service import Agent
from tidegate.agent.specification import ReplicaKey
from tidegate.contract.errors import Conflict, InvalidInput, NotFound, TidegateError

_STATUSES: dict[type[TidegateError], int] = {InvalidInput: 400, NotFound: 404, Conflict: 409}
_SIGNALS: dict[str, Literal["SIGTERM", "SIGKILL"]] = {"SIGTERM": "SIGTERM", "SIGKILL": "SIGKILL"}
#: Of a body; a specification has a few hundred bytes.
_MOST_BYTES = 4 << 20


def build_app(agent: Agent) -> Starlette:
    async def health(_: Request) -> Response:
        return JSONResponse(await agent.health())

    async def listed(_: Request) -> Response:
        return JSONResponse({"replicas": [found.as_document() for found in await agent.replicas()]})

    async def start(request: Request) -> Response:
        asked = specification.parse(await _body(request))
        return JSONResponse((await agent.start(asked)).as_document(), status_code=201)

    async def end(request: Request) -> Response:
        body = await _body(request)
        signal = _SIGNALS.get(str(body.get("signal"))) if isinstance(body, dict) else None
        if signal is None:
            raise InvalidInput("a replica is ended by one of two signals", expected=" or ".join(_SIGNALS))
        await agent.end(_key(request), signal)
        return Response(status_code=204)

    async def remove(request: Request) -> Response:
        await agent.remove(_key(request))
        return Response(status_code=204)

    async def log(request: Request) -> Response:
        lines = request.query_params.get("lines", "100")
        if not lines.isascii() or not lines.isdecimal() or len(lines) > 6:
            raise InvalidInput("lines is a number", got=lines[:50])
        return JSONResponse({"lines": await agent.log(_key(request), int(lines))})

    return Starlette(
        routes=[
            Route("/v1/health", health),
            Route("/v1/replicas", listed, methods=["GET"]),
            Route("/v1/replicas", start, methods=["POST"]),
            Route("/v1/replicas/{replica}/end", end, methods=["POST"]),
            Route("/v1/replicas/{replica}", remove, methods=["DELETE"]),
            Route("/v1/replicas/{replica}/log", log, methods=["GET"]),
        ],
        exception_handlers={TidegateError: _refused},
    )


def _key(request: Request) -> ReplicaKey:
    return specification.parse_name(request.path_params["replica"])


async def _body(request: Request) -> Any:
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > _MOST_BYTES:
            raise InvalidInput("the body is too large", expected=f"at most {_MOST_BYTES} bytes")
    try:
        return json.loads(bytes(read))
    except ValueError as error:
        raise InvalidInput(f"the body is no JSON: {error}") from error


async def _refused(_: Request, error: Exception) -> Response:
    told = error.as_dict() if isinstance(error, TidegateError) else {}
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 503)
    return JSONResponse({"error": told}, status_code=status)
