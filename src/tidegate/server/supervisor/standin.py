"""Answers while no worker does: before the first is ready, between a death and its replacement, after an unload.

A client learns at once, and in words, that there is nobody to answer, instead of waiting in a queue; and a model that
was unloaded can be loaded again. As soon as a worker serves, connections are handed over to it like between workers.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httptools

from tidegate.server.handover import Giver, HandoverQueue, Intake
from tidegate.server.http_offer import without_offer

_HEAD_BYTES = 64 * 1024
_BODY_BYTES = 64 * 1024
_IDLE_SECONDS = 60.0
_PHRASES = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 413: "Too Large"}

#: Called with method, path and body; returns status and document.
Answer = Callable[[str, str, bytes], Awaitable[tuple[int, Any]]]


class StandIn:
    """Serves on the replica's shared socket while it is open."""

    def __init__(self, listener: socket.socket, handover: HandoverQueue, answer: Answer) -> None:
        self._handover = handover
        self._intake = Intake(listener, handover, self._adopt)
        self._answer = answer
        self._giver: Giver | None = None
        self._connections: set[_Connection] = set()
        self._adoptions: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        return self._intake.is_open

    def open(self) -> None:
        self._giver = None
        self._intake.open(asyncio.get_running_loop())

    def close(self) -> None:
        """Take no more connections; hand over those that are here, each when it is between two requests."""
        if self.is_open:
            self._intake.close()
            self._giver = Giver(self._handover, asyncio.get_running_loop())
            for connection in list(self._connections):
                connection.leave(self._giver)

    def end(self) -> None:
        """Close everything: the replica ends."""
        self._intake.close()
        for connection in list(self._connections):
            connection.close()

    def _adopt(self, connection: socket.socket, _: bool) -> None:
        task = asyncio.create_task(self._connect(connection))
        self._adoptions.add(task)
        task.add_done_callback(self._adoptions.discard)

    async def _connect(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, adopted = await loop.connect_accepted_socket(
                lambda: _Connection(self._answer, self._connections), connection
            )
        except OSError:
            connection.close()
            return
        if self._giver is not None:  # a worker began to serve while this connection was being taken up
            adopted.leave(self._giver)


class _Request(NamedTuple):
    method: str
    path: str
    body: bytes
    keep_alive: bool


class _Connection(asyncio.Protocol):
    """One client's connection: one request at a time, small ones. Those that were sent together wait for their turn."""

    def __init__(self, answer: Answer, connections: set[_Connection]) -> None:
        self._answer = answer
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url, self._body, self._size = b"", b"", 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._method = ""
        self._is_between_requests = True
        self._is_midway = False
        self._keep_alive = True
        #: Whole, and not answered. Nothing is read meanwhile, so no more than one piece of the stream brought.
        self._waiting: deque[_Request] = deque()
        self._is_broken = False
        self._giver: Giver | None = None
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._connections.add(self)
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._idle is not None:
            self._idle.cancel()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._is_broken:
            return
        self._is_between_requests = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(data[offer.args[0] :])
        except (httptools.HttpParserError, _TooMuch):
            self._break_off()

    def on_message_begin(self) -> None:
        self._url, self._body, self._size = b"", b"", 0
        self._headers = []
        self._is_midway = True

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._weigh(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        self._weigh(name, value)

    def on_headers_complete(self) -> None:
        self._method = self._parser.get_method().decode("ascii", "replace")
        self._keep_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        # What is too long is for a worker, and there is none: the answer does not depend on it.
        if len(self._body) <= _BODY_BYTES:
            self._body += body

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            self._is_midway = False
            self._take()

    def leave(self, giver: Giver) -> None:
        self._giver = giver
        self._try_handing_over()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read a request again without its offer to speak another protocol, for which the parser takes its body."""
        if self._method == "CONNECT":  # is an upgrade by itself, whatever its headers say
            self._break_off()
            return
        head = without_offer(self._method.encode(), self._url, self._parser.get_http_version(), self._headers)
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _break_off(self) -> None:
        """What follows is no HTTP: say so after the answers to what came before it, and close."""
        self._is_broken = True
        if self._task is None:
            self._refuse()

    def _take(self) -> None:
        path = self._url.partition(b"?")[0].decode("latin-1")
        self._waiting.append(_Request(self._method, path, self._body, self._keep_alive))
        if self._task is None:
            self._begin()

    def _begin(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()
            self._task = asyncio.create_task(self._respond(self._waiting.popleft()))

    async def _respond(self, request: _Request) -> None:
        status, document = await self._answer(request.method, request.path, request.body)
        self._task = None
        self._write(status, document, keep_alive=request.keep_alive, has_body=request.method != "HEAD")

    def _refuse(self) -> None:
        self._write(400, {"error": "this is not a request that can be answered here"}, keep_alive=False)

    def _write(self, status: int, document: Any, *, keep_alive: bool, has_body: bool = True) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Service Unavailable' if status == 503 else 'Error')}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head += "retry-after: 1\r\n" if status == 503 else ""
        head += "" if keep_alive else "connection: close\r\n"
        transport.write(head.encode() + b"\r\n" + (body if has_body else b""))
        if not keep_alive:
            transport.close()
            return
        if self._waiting:
            self._begin()
            return
        if self._is_broken:
            self._refuse()
            return
        self._is_between_requests = not self._is_midway
        transport.resume_reading()
        self._try_handing_over()

    def _try_handing_over(self) -> None:
        transport = self._transport
        if self._giver is None or transport is None or transport.is_closing() or not self._is_between_requests:
            return
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(0.01, self._try_handing_over)
            return
        transport.pause_reading()
        giver, self._giver = self._giver, None
        giver.give(socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())))
        transport.close()

    def _timeout(self) -> None:
        """Close a connection that brought nothing; one that had an answer belongs to a client that may come again."""
        brought_nothing = self._is_between_requests and not self._url
        stopped_midway = not self._is_between_requests and self._task is None
        if brought_nothing or stopped_midway:
            self.close()
        else:
            self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._timeout)

    def _weigh(self, *parts: bytes) -> None:
        self._size += sum(map(len, parts))
        if self._size > _HEAD_BYTES:
            raise _TooMuch


class _TooMuch(Exception):  # noqa: N818
    """Raised through the parser to stop it."""
