"""The methods of `inference.GRPCInferenceService`.

`ModelInfer` takes and gives bytes: they are read and written on the pool's threads, as for every protocol. The other
methods are small and answer at once.
"""

from __future__ import annotations

import asyncio
from functools import partial
from math import inf
from time import perf_counter
from typing import Any

import grpc

from tidegate.contract.errors import TidegateError
from tidegate.server.endpoint import CLIENT_CLOSED_REQUEST, Head, InferenceEndpoint
from tidegate.server.exchange import Exchange
from tidegate.server.grpc import messages
from tidegate.server.grpc.calls import Context, Method, parsed, refuse
from tidegate.server.grpc.codec import OipGrpcCodec
from tidegate.server.grpc.repository import RepositoryMethods
from tidegate.server.metadata import check_model, model_metadata, server_metadata
from tidegate.server.protocols.base import DeadlineExceeded, ModelFailed
from tidegate.server.replica import Replica
from tidegate.server.repository import carry_out


class InferenceService:
    """The service of one replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        settings = replica.settings
        codec = OipGrpcCodec(replica.bundle.signature, settings.identity, settings.limits)
        self._endpoint = InferenceEndpoint(replica, codec)
        self._repository = RepositoryMethods(partial(carry_out, replica))

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """Return what a server of gRPC registers: methods from bytes to bytes."""
        methods: dict[str, Method] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
            **self._repository.methods(),
        }
        return grpc.method_handlers_generic_handler(
            messages.SERVICE, {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
        )

    async def _infer(self, body: bytes, context: Context) -> bytes:
        endpoint, started = self._endpoint, perf_counter()
        head = Head([(key.encode(), _as_bytes(value)) for key, value in context.invocation_metadata() or ()])
        head.content_encoding = b""  # gRPC has a header of its own for it, and has decompressed the message
        remaining: float | None = context.time_remaining()
        head.timeout_seconds = min(head.timeout_seconds, inf if remaining is None else max(remaining, 0.0))
        context.set_trailing_metadata((("x-request-id", head.request_id.decode("latin-1")),))
        endpoint.begun()
        status, exchange = CLIENT_CLOSED_REQUEST, None
        try:
            exchange = await self._exchanged(head, body)
            if exchange.answer is None:
                raise exchange.error or ModelFailed("the request has no answer")
            _, answer = endpoint.success(exchange, head)
        except TidegateError as error:
            status, _, _ = endpoint.failure(error, head)
            await refuse(error, context)
        except asyncio.CancelledError:
            if perf_counter() - started >= head.timeout_seconds:
                status = 504  # gRPC ends a call by itself when its client's time is over
            raise
        else:
            status = 200
            return answer
        finally:
            endpoint.ended(status, perf_counter() - started, head, exchange.answer if exchange is not None else None)

    async def _exchanged(self, head: Head, body: bytes) -> Exchange:
        """Hand a request to the pool and wait until it is done, its time is over, or its client is gone."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def finish(_: Exchange) -> None:
            if not done.done():
                done.set_result(None)

        exchange = self._endpoint.submit(head, body, finish)
        seconds = None if exchange.deadline == inf else exchange.deadline - perf_counter()
        try:
            async with asyncio.timeout(seconds):
                await done
        except TimeoutError:
            self._endpoint.cancel(exchange)
            raise DeadlineExceeded("the request's time was over before its answer was there") from None
        except asyncio.CancelledError:
            self._endpoint.cancel(exchange)
            raise
        return exchange

    async def _server_live(self, _: bytes, __: Context) -> bytes:
        return _written(messages.ServerLiveResponse(live=True))

    async def _server_ready(self, _: bytes, __: Context) -> bytes:
        return _written(messages.ServerReadyResponse(ready=self._replica.is_ready))

    async def _server_metadata(self, _: bytes, __: Context) -> bytes:
        return _written(messages.ServerMetadataResponse(**server_metadata()))

    async def _model_ready(self, body: bytes, context: Context) -> bytes:
        await self._asked_model(messages.ModelReadyRequest, body, context)
        return _written(messages.ModelReadyResponse(ready=self._replica.is_ready))

    async def _model_metadata(self, body: bytes, context: Context) -> bytes:
        await self._asked_model(messages.ModelMetadataRequest, body, context)
        facts = model_metadata(self._replica.settings.identity, self._replica.bundle)
        response = messages.ModelMetadataResponse(
            name=facts["name"], versions=facts["versions"], platform=facts["platform"]
        )
        for key in ("inputs", "outputs"):
            for tensor in facts[key]:  # the messages have no place for categories and labels
                getattr(response, key).add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        return _written(response)

    async def _asked_model(self, kind: Any, body: bytes, context: Context) -> None:
        """End the call unless it asks for the model that is served."""
        request = await parsed(kind, body, context)
        try:
            check_model(self._replica.settings.identity, request.name, request.version or None)
        except TidegateError as error:
            await refuse(error, context)


def _written(message: Any) -> bytes:
    body: bytes = message.SerializeToString()
    return body


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
