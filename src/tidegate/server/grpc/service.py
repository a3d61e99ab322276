"""The methods of `inference.GRPCInferenceService`.

`ModelInfer` takes and gives bytes: they are read and written on the pool's threads, as for every protocol. The other
methods are small and answer at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from time import perf_counter
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.server.endpoint import CLIENT_CLOSED_REQUEST, Head, InferenceEndpoint
from tidegate.server.exchange import Exchange
from tidegate.server.grpc import messages
from tidegate.server.grpc.codec import OipGrpcCodec
from tidegate.server.grpc.statuses import code_of, details_of
from tidegate.server.metadata import check_model, model_metadata, server_metadata
from tidegate.server.protocols.base import DeadlineExceeded, ModelFailed
from tidegate.server.replica import Replica
from tidegate.server.repository import index

SERVICE = "inference.GRPCInferenceService"

#: A call of gRPC's own; its stubs leave open what bytes go in and out.
Context = Any
Method = Callable[[bytes, Context], Awaitable[bytes]]


class InferenceService:
    """The service of one replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        settings = replica.settings
        codec = OipGrpcCodec(replica.bundle.signature, settings.identity, settings.limits)
        self._endpoint = InferenceEndpoint(replica, codec)

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """Return what a server of gRPC registers: methods from bytes to bytes."""
        simple: dict[str, Callable[[bytes], Any]] = {
            "ServerLive": lambda _: messages.ServerLiveResponse(live=True),
            "ServerReady": lambda _: messages.ServerReadyResponse(ready=self._replica.is_ready),
            "ServerMetadata": lambda _: messages.ServerMetadataResponse(**server_metadata()),
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "RepositoryIndex": self._repository_index,
        }
        methods = {name: _answered_at_once(answer) for name, answer in simple.items()} | {"ModelInfer": self._infer}
        return grpc.method_handlers_generic_handler(
            SERVICE, {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
        )

    async def _infer(self, body: bytes, context: Context) -> bytes:
        endpoint, started = self._endpoint, perf_counter()
        head = Head([(key.encode(), _as_bytes(value)) for key, value in context.invocation_metadata() or ()])
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
            await _refuse(error, context)
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

    def _model_ready(self, body: bytes) -> Any:
        request = _parsed(messages.ModelReadyRequest, body)
        check_model(self._replica.settings.identity, request.name, request.version or None)
        return messages.ModelReadyResponse(ready=self._replica.is_ready)

    def _model_metadata(self, body: bytes) -> Any:
        request = _parsed(messages.ModelMetadataRequest, body)
        identity = self._replica.settings.identity
        check_model(identity, request.name, request.version or None)
        facts = model_metadata(identity, self._replica.bundle)
        response = messages.ModelMetadataResponse(
            name=facts["name"], versions=facts["versions"], platform=facts["platform"]
        )
        for key in ("inputs", "outputs"):
            for tensor in facts[key]:  # the messages have no place for categories and labels
                getattr(response, key).add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        return response

    def _repository_index(self, body: bytes) -> Any:
        request = _parsed(messages.RepositoryIndexRequest, body)
        return messages.RepositoryIndexResponse(models=index(self._replica, only_ready=request.ready))


def _answered_at_once(answer: Callable[[bytes], Any]) -> Method:
    async def method(body: bytes, context: Context) -> bytes:
        try:
            response: bytes = answer(body).SerializeToString()
        except TidegateError as error:
            await _refuse(error, context)
        return response

    return method


async def _refuse(error: TidegateError, context: Context) -> NoReturn:
    """End the call with the status of an error."""
    await context.abort(code_of(error), details_of(error), context.trailing_metadata())
    raise AssertionError("abort raises")


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise InvalidInput(f"the request is not a {kind.DESCRIPTOR.name}: {error}") from error


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
