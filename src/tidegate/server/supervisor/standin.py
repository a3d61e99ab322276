"""Answers while no worker does: before the first is ready, between a death and its replacement, after an unload.

A client learns at once, and in words, that there is nobody to answer, instead of waiting in a queue; and a model that
was unloaded can be loaded again. As soon as a worker serves, connections are handed over to it like between workers.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httptools

from tidegate.server.handover import Giver, HandoverQueue, Intake

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


class _Connection(asyncio.Protocol):
    """One client's connection: one request at a time, small ones."""

    def __init__(self, answer: Answer, connections: set[_Connection]) -> None:
        self._answer = answer
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url, self._body, self._size = b"", b"", 0
        self._method = ""
        self._is_between_requests = True
        self._keep_alive = True
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
        self._is_between_requests = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keep_alive = False
            self._begin()
        except (httptools.HttpParserError, _TooMuch):
            self._write(400, {"error": "this is not a request that can be answered here"}, keep_alive=False)

    def on_message_begin(self) -> None:
        self._url, self._body, self._size = b"", b"", 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._weigh(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._weigh(name, value)

    def on_headers_complete(self) -> None:
        self._method = self._parser.get_method().decode("ascii", "replace")
        self._keep_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        # What is too long is for a worker, and there is none: the answer does not depend on it.
        if len(self._body) <= _BODY_BYTES:
            self._body += body

    def on_message_complete(self) -> None:
        self._begin()

    def leave(self, giver: Giver) -> None:
        self._giver = giver
        self._try_handing_over()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _begin(self) -> None:
        if self._transport is None or self._task is not None:
            self.close()  # a second request before the first one's answer: rare, and not worth a queue here
            return
        self._transport.pause_reading()
        self._task = asyncio.create_task(self._respond())

    async def _respond(self) -> None:
        path = self._url.partition(b"?")[0].decode("latin-1")
        status, document = await self._answer(self._method, path, self._body)
        self._task = None
        self._write(status, document, keep_alive=self._keep_alive)

    def _write(self, status: int, document: Any, *, keep_alive: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Service Unavailable' if status == 503 else 'Error')}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head += "retry-after: 1\r\n" if status == 503 else ""
        head += "" if keep_alive else "connection: close\r\n"
        transport.write(head.encode() + b"\r\n" + (b"" if self._method == "HEAD" else body))
        if not keep_alive:
            transport.close()
            return
        self._is_between_requests = True
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
