"""The gRPC server of a replica, on the event loop on which it is started."""

from __future__ import annotations

import grpc

from tidegate.contract.errors import Unavailable
from tidegate.server.grpc.health import HealthService
from tidegate.server.grpc.service import InferenceService
from tidegate.server.replica import Replica


class GrpcServer:
    """Serves one replica over gRPC from `start` to `stop`."""

    def __init__(self, replica: Replica) -> None:
        self._settings = replica.settings
        self._inference = InferenceService(replica)
        self._health = HealthService(replica)
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port: a free one for port 0.

        Raises:
            Unavailable: the address cannot be listened on.
        """
        # It belongs to the event loop on which it is made.
        server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", self._settings.limits.body_bytes),
                ("grpc.max_send_message_length", -1),
                # Workers share one port; for a process of its own a port that is taken is an error.
                ("grpc.so_reuseport", int(self._settings.worker is not None)),
            )
        )
        server.add_generic_rpc_handlers((self._inference.handler(), self._health.handler()))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = server.add_insecure_port(address)
        except RuntimeError as error:
            raise Unavailable(f"cannot listen for gRPC on {host}:{port}", subject=address) from error
        await server.start()
        self._server = server
        return bound

    async def stop(self) -> None:
        """Take no more calls, wait for those in flight as long as the grace allows, and end the rest.

        Calls that are still there then are answered with UNAVAILABLE.
        """
        self._health.end()
        if self._server is not None:
            await self._server.stop(self._settings.grace_seconds)
