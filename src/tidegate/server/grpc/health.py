"""`grpc.health.v1.Health`, by which load balancers and `grpc_health_probe` ask whether to send requests here.

Source: github.com/grpc/grpc, doc/health-checking.md. The service may be left empty, be the inference service, or be the
name of the model: all are ready or not together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from tidegate.server.grpc.calls import Context
from tidegate.server.grpc.messages import HealthCheckRequest, HealthCheckResponse
from tidegate.server.grpc.service import SERVICE
from tidegate.server.replica import Replica

_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
_POLL_SECONDS = 0.2


class HealthService:
    """The service of one replica; `end` lets those go who watch it."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
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

    async def _watch(self, request: HealthCheckRequest, _: Context) -> AsyncIterator[HealthCheckResponse]:
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
        if service not in ("", SERVICE, self._replica.settings.identity.model_name):
            return _SERVICE_UNKNOWN
        return _SERVING if self._replica.is_ready else _NOT_SERVING


def _serialize(message: HealthCheckResponse) -> bytes:
    body: bytes = message.SerializeToString()
    return body
