"""A gRPC server, on the event loop on which it is started: listening itself, or behind a socket that others share."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from dataclasses import dataclass
from typing import Any

import grpc

from tidegate.contract.errors import Unavailable
from tidegate.server.grpc.health import HealthService
from tidegate.server.grpc.relay import GrpcRelay

#: Less than the supervisor waits for the answer.
_LET_GO_SECONDS = 3.0


@dataclass(frozen=True)
class GrpcBounds:
    """What clients may ask for.

    Attributes:
        body_bytes: size of a message; more is answered RESOURCE_EXHAUSTED.
        calls: at a time, of all connections together; more are answered RESOURCE_EXHAUSTED, before they are read.
        grace_seconds: for the calls in flight at the end.
    """

    body_bytes: int
    calls: int
    grace_seconds: float


class GrpcServer:
    """Serves a service and its health from its start to `stop`."""

    def __init__(self, service: grpc.GenericRpcHandler[Any, Any], health: HealthService, bounds: GrpcBounds) -> None:
        self._service = service
        self._health = health
        self._bounds = bounds
        self._server: grpc.aio.Server | None = None
        self._relay: GrpcRelay | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port: a free one for port 0.

        Raises:
            Unavailable: the address cannot be listened on.
        """
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return await self._start(address)

    async def start_behind(self, listener: socket.socket) -> None:
        """Take connections from a listening socket that others take from, too.

        Raises:
            Unavailable: the system has no Unix socket for it.
        """
        name = f"tidegate-{secrets.token_hex(16)}"  # in the abstract namespace of Linux: nothing stays behind
        await self._start(f"unix-abstract:{name}")
        self._relay = GrpcRelay(listener, f"\0{name}")
        self._relay.open()

    async def _start(self, address: str) -> int:
        # It belongs to the event loop on which it is made.
        server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", self._bounds.body_bytes),
                ("grpc.max_send_message_length", -1),
                # A port that is taken is an error.
                ("grpc.so_reuseport", 0),
            ),
            maximum_concurrent_rpcs=self._bounds.calls,
        )
        server.add_generic_rpc_handlers((self._service, self._health.handler()))
        try:
            bound = server.add_insecure_port(address)
        except RuntimeError as error:
            raise Unavailable(f"cannot listen for gRPC on {address}", subject=address) from error
        await server.start()
        self._server = server
        return bound

    async def let_go(self) -> None:
        """Send clients elsewhere; when this returns, they have heard it and begin nothing more here.

        Only where others take connections from the same socket. Who does not answer in time is not waited for.
        """
        self._health.end()
        if self._relay is not None:
            self._relay.leave()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LET_GO_SECONDS):
                    await self._relay.has_let_go()

    async def stop(self) -> None:
        """Take no more calls, wait for those in flight as long as the grace allows, and end the rest.

        Calls that are still there then are answered with UNAVAILABLE.
        """
        grace = self._bounds.grace_seconds
        self._health.end()
        if self._relay is not None:
            self._relay.leave()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._relay.is_empty()
            grace = 0.0  # nobody is there any more, or nobody gets more time
        if self._server is not None:
            await self._server.stop(grace)
        if self._relay is not None:
            self._relay.end()
