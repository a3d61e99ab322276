"""Between a worker's clients of gRPC and its gRPC server: bytes pass as they are.

The server of the grpc package cannot take a connection that was accepted elsewhere, so without this every worker had a
listening socket of its own, and what waits in such a socket is lost when its worker ends. Nor can that server be told
to begin nothing more: `stop` refuses calls that arrive before their clients have read its GOAWAY. So the worker takes
connections from the socket that all workers share, passes them on to its server through a socket of its own, and says
GOAWAY itself while the server goes on answering.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from tidegate.server.grpc.relayed import Relayed
from tidegate.server.handover import Acceptor

_FULL_QUEUE_PAUSE_SECONDS = 0.01

log = logging.getLogger("tidegate.server")


class GrpcRelay:
    """Takes connections from a shared socket while it is open, and keeps them until all that they began is answered."""

    def __init__(self, listener: socket.socket, address: str) -> None:
        """`address` is that of the gRPC server's Unix socket."""
        self._acceptor = Acceptor(listener, self._adopt)
        self._address = address
        self._connections: set[Relayed] = set()
        self._adoptions: set[asyncio.Task[None]] = set()
        self._is_leaving = False
        self._changed = asyncio.Event()

    @property
    def has_connections(self) -> bool:
        return bool(self._connections or self._adoptions)

    def open(self) -> None:
        """Take connections."""
        self._acceptor.open(asyncio.get_running_loop())

    def leave(self) -> None:
        """Take no more connections, and have all clients take their next calls elsewhere."""
        self._acceptor.close()
        self._is_leaving = True
        for connection in list(self._connections):
            connection.send_away()

    async def has_let_go(self) -> None:
        """Wait, after `leave`, until no client begins anything here any more."""
        await self._until(lambda: not self._adoptions and all(one.was_sent_away for one in self._connections))

    async def is_empty(self) -> None:
        """Wait until there is no connection."""
        await self._until(lambda: not self.has_connections)

    def end(self) -> None:
        """Close every connection, whatever is still said on it."""
        self._acceptor.close()
        for task in list(self._adoptions):
            task.cancel()
        for connection in list(self._connections):
            connection.close()

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._changed.clear()
            await self._changed.wait()

    def _adopt(self, client: socket.socket) -> None:
        task = asyncio.create_task(self._connect(client))
        self._adoptions.add(task)
        task.add_done_callback(self._adopted)

    def _adopted(self, task: asyncio.Task[None]) -> None:
        self._adoptions.discard(task)
        self._changed.set()

    async def _connect(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection = Relayed(self._changed.set, self._connections)
        behind: socket.socket | None = None
        try:
            behind = await _reach(self._address)
            await loop.create_connection(lambda: connection.server, sock=behind)
            await loop.connect_accepted_socket(lambda: connection.client, client)
        except BaseException as error:
            if behind is not None:
                behind.close()
            client.close()
            connection.give_up()
            if not isinstance(error, OSError):
                raise
            log.warning("a connection of gRPC was lost as it was taken: %s", error.strerror or error)
            return
        if self._is_leaving:
            connection.send_away()


async def _reach(address: str) -> socket.socket:
    """Connect to the gRPC server. A Unix socket does not wait by itself where the server's queue is full."""
    behind = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        behind.setblocking(False)
        while True:
            try:
                behind.connect(address)
            except BlockingIOError:
                await asyncio.sleep(_FULL_QUEUE_PAUSE_SECONDS)
            else:
                return behind
    except BaseException:
        behind.close()
        raise
