"""The HTTP server of a replica: uvicorn with our connections, time limits and grace."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from functools import partial
from time import perf_counter
from typing import Any

import uvicorn

from tidegate.server.app import build_app, hot_endpoints
from tidegate.server.connection import BodyBudget, Connection
from tidegate.server.replica import Replica

#: Envoy closes an upstream connection after an hour without use; were we the first, a request could meet the closing.
_KEEP_ALIVE_SECONDS = 2 * 3600


class HttpServer(uvicorn.Server):
    """Serves one replica over HTTP until `should_exit` is set; signals are left to the process."""

    def __init__(self, replica: Replica) -> None:
        settings = replica.settings
        protocol: Any = partial(
            Connection,
            hot=hot_endpoints(replica),
            budget=BodyBudget(settings.queue_bytes),
            idle_seconds=_KEEP_ALIVE_SECONDS,
        )
        super().__init__(
            uvicorn.Config(
                build_app(replica),
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=[("x-tidegate-revision", str(settings.identity.revision))],
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: uvicorn would end by the signal, and a replica ends with exit code 0."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        now = perf_counter()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.sweep(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        """Stop accepting, wait for what is in flight for the grace that it has, and answer the rest with 503."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.give_up()
