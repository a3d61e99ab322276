"""`grpc.health.v1.Health`, by which load balancers and `grpc_health_probe` ask whether to send requests here.

Source: github.com/grpc/grpc, doc/health-checking.md. The service may be left empty, be the inference service, or be the
name of the model: all are ready or not together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from tidegate.server.grpc.calls import Context
from tidegate.server.grpc.messages import SERVICE, HealthCheckRequest, HealthCheckResponse

_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
_POLL_SECONDS = 0.2
#: Watching lasts as long as its client likes: beyond this many, watchers would take the place of other calls.
MOST_WATCHERS = 64


class HealthService:
    """The service of one model; `end` lets those go who watch it."""

    def __init__(self, is_ready: Callable[[], bool], model: str) -> None:
        self._is_ready = is_ready
        self._services = ("", SERVICE, model)
        self._watchers = 0
        self._ending = asyncio.Event()

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """Return what a server of gRPC registers."""
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, HealthCheckRequest.FromString, _serialize),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, HealthCheckRequest.FromString, _serialize),
        }
        return grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods)

    def end(self) -> None:
        self._ending.set()

    async def _check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:
        status = self._status(request.service)
        if status == _SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service[:200]!r} here")
        return HealthCheckResponse(status=status)

    async def _watch(self, request: HealthCheckRequest, context: Context) -> AsyncIterator[HealthCheckResponse]:
        if self._watchers >= MOST_WATCHERS:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_WATCHERS} clients watch already: ask with Check"
            )
        self._watchers += 1
        try:
            async for status in self._changes(request):
                yield status
        finally:
            self._watchers -= 1

    async def _changes(self, request: HealthCheckRequest) -> AsyncIterator[HealthCheckResponse]:
        told = None
        while not self._ending.is_set():
            status = self._status(request.service)
            if status != told:
                told = status
                yield HealthCheckResponse(status=status)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._ending.wait()

    def _status(self, service: str) -> int:
        if service not in self._services:
            return _SERVICE_UNKNOWN
        return _SERVING if self._is_ready() else _NOT_SERVING


def _serialize(message: HealthCheckResponse) -> bytes:
    body: bytes = message.SerializeToString()
    return body
