"""`python -m tidegate.server.grpc.standin`: answers gRPC while no worker does, as the supervisor does over HTTP.

A process of its own, since gRPC alone takes more memory than the whole supervisor. It ends when a worker serves, or
when its supervisor is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from typing import Any

import grpc

from tidegate.contract.errors import TidegateError, Unavailable
from tidegate.server import logs
from tidegate.server.channel import Channel, Document
from tidegate.server.grpc import messages
from tidegate.server.grpc.calls import Context, Method, refuse
from tidegate.server.grpc.health import MOST_WATCHERS, HealthService
from tidegate.server.grpc.listener import GrpcBounds, GrpcServer
from tidegate.server.grpc.repository import RepositoryMethods

#: A request for a model is not read, however long it is; that much it may be, as it may where nobody set anything.
_BODY_BYTES = 16 * 1024 * 1024
_CALLS = 256
_REASON_SECONDS = 5.0
#: Longer than the supervisor gives a load, so that its own words reach the client.
_REPOSITORY_SECONDS = 3600.0

log = logging.getLogger("tidegate.server")


class StandInService:
    """The inference service without a model: what its supervisor says, and the repository, by which one is loaded."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._repository = RepositoryMethods(self._carry_out)

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """Return what a server of gRPC registers: methods from bytes to bytes."""
        methods: dict[str, Method] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._nobody,
            "ModelMetadata": self._nobody,
            "ModelInfer": self._nobody,
            **self._repository.methods(),
        }
        return grpc.method_handlers_generic_handler(
            messages.SERVICE, {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
        )

    async def _carry_out(self, action: str, model: str | None, wish: dict[str, Any]) -> tuple[int, Any]:
        answer = await self._channel.ask("repository", _REPOSITORY_SECONDS, action=action, model=model, document=wish)
        return int(answer["status"]), answer["document"]

    async def _server_live(self, _: bytes, __: Context) -> bytes:
        return bytes(messages.ServerLiveResponse(live=True).SerializeToString())

    async def _server_ready(self, _: bytes, __: Context) -> bytes:
        return bytes(messages.ServerReadyResponse(ready=False).SerializeToString())

    async def _model_ready(self, _: bytes, __: Context) -> bytes:
        return bytes(messages.ModelReadyResponse(ready=False).SerializeToString())

    async def _nobody(self, _: bytes, context: Context) -> bytes:
        try:
            answer = await self._channel.ask("lack", _REASON_SECONDS)
        except TidegateError as error:
            await refuse(error, context)
        await refuse(Unavailable(answer["reason"]), context)


class _StandIn:
    def __init__(self, listener: socket.socket, control: socket.socket, model: str, grace_seconds: float) -> None:
        self._listener = listener
        self._end = asyncio.Event()
        self._channel = Channel(control, self._told)
        bounds = GrpcBounds(_BODY_BYTES, _CALLS + MOST_WATCHERS, grace_seconds)
        service = StandInService(self._channel)
        self._server = GrpcServer(service.handler(), HealthService(lambda: False, model), bounds)

    async def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._end.set)
        listening = asyncio.create_task(self._channel.run())
        listening.add_done_callback(lambda _: self._end.set())
        if await self._is_wanted():
            await self._server.start_behind(self._listener)
            log.info("standing in over gRPC", extra={"fields": {"pid": os.getpid()}})
            await self._end.wait()
            await self._server.stop()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening

    async def _is_wanted(self) -> bool:
        """Ask whether a worker has begun to serve while this process started."""
        try:
            return bool((await self._channel.ask("begin", _REASON_SECONDS))["wanted"])
        except Unavailable:
            return False

    async def _told(self, message: Document) -> None:
        if message["kind"] == "leave":
            await self._server.let_go()
            self._end.set()
        else:
            log.error("the supervisor says %r, which nobody knows who stands in", message["kind"])


async def _run(given: argparse.Namespace) -> None:
    listener, control = socket.socket(fileno=given.grpc_fd), socket.socket(fileno=given.control_fd)
    await _StandIn(listener, control, given.model_name, given.grace_seconds).run()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tidegate.server.grpc.standin")
    parser.add_argument("--grpc-fd", type=int, required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--model-name", required=True)
    parser.add_argument("--grace-seconds", type=float, required=True)
    given = parser.parse_args()
    logs.configure()
    asyncio.run(_run(given))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
