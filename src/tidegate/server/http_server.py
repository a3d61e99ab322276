"""The HTTP server of whatever serves: uvicorn with our connections, time limits and grace."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import uvicorn

from tidegate.server.connection import Connection
from tidegate.server.endpoint import InferenceEndpoint
from tidegate.server.hot_request import BodyBudget
from tidegate.server.life import KEEP_ALIVE_SECONDS, QuietServer
from tidegate.server.settings import ServerSettings

#: Requests that are given up at the end get this long to be answered so.
_LAST_ANSWERS_SECONDS = 1.0

log = logging.getLogger("tidegate.server")


class ConnectionServer(QuietServer):
    """Serves over HTTP until `should_exit` is set; signals are left to the process.

    Args:
        app: the ASGI application that answers what is not hot.
        hot: endpoints by path, see `Connection`.
        budget: what bodies may hold together.
        dates: whether answers get a `Date` here.
    """

    def __init__(
        self,
        app: Any,
        settings: ServerSettings,
        *,
        hot: Mapping[bytes, InferenceEndpoint],
        budget: BodyBudget,
        dates: bool = True,
    ) -> None:
        protocol: Any = partial(Connection, hot=hot, budget=budget, idle_seconds=KEEP_ALIVE_SECONDS)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=dates,
                headers=[("x-tidegate-revision", str(settings.identity.revision))],
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
            )
        )
        self._adoptions: set[asyncio.Task[None]] = set()

    def adopt(self, connection: socket.socket, is_new: bool) -> None:
        """Serve a connection that was accepted elsewhere: from a shared socket, or by another process before."""
        task = asyncio.create_task(self._adopt(connection, is_new))
        self._adoptions.add(task)
        task.add_done_callback(self._adoptions.discard)

    async def _adopt(self, connection: socket.socket, is_new: bool) -> None:
        protocol_class: Any = self.config.http_protocol_class

        def protocol() -> Connection:
            made: Connection = protocol_class(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            made.patience.is_new = is_new
            return made

        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, connection)
        except OSError as error:  # its client is gone again
            log.debug("a connection was lost as it was taken: %s", error)
            connection.close()

    def hand_over(self, give: Callable[[socket.socket], None]) -> None:
        """Give every connection away, each as soon as it is between two requests."""
        for connection in self._connections():
            connection.hand_over(give)

    @property
    def has_connections(self) -> bool:
        return bool(self.server_state.connections or self._adoptions)

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        now = perf_counter()
        for connection in self._connections():
            connection.sweep(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        """Stop accepting, wait for what is in flight for the grace that it has, and answer the rest with 503."""
        await super().shutdown(sockets)
        if self.server_state.tasks:  # the application's, which were told just now to give up
            await asyncio.wait(set(self.server_state.tasks), timeout=_LAST_ANSWERS_SECONDS)
        for connection in self._connections():
            connection.give_up()

    def _connections(self) -> list[Connection]:
        return [connection for connection in self.server_state.connections if isinstance(connection, Connection)]
