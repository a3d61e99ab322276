"""Short questions over HTTP, asked many times a second: whether replicas are ready, what Envoy has counted.

A client for everything takes most of a millisecond of processor time for each; a controller asks hundreds a second of a
fleet, and on one machine that time is its users'. So this one does only what such a question needs: plain HTTP/1.1 to
one address, connections kept open, answers that are whole in memory, and a bound on time and size.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import httptools

#: Of one answer. Envoy's statistics of a thousand clusters are some 10 MB.
MOST_BYTES = 64 << 20
#: Kept open to one address while nothing is asked.
_MOST_IDLE = 8


class PollError(Exception):
    """There was no answer, and why."""


class Answer(NamedTuple):
    """What was answered."""

    status: int
    body: bytes


class Poller:
    """Connections to one address, made when they are needed and reused. For one event loop."""

    def __init__(self, host: str, port: int, timeout_seconds: float) -> None:
        self._host, self._port = host, port
        self._head = f"host: {f'[{host}]' if ':' in host else host}:{port}\r\n".encode()
        self._timeout = timeout_seconds
        self._idle: list[_Connection] = []
        self._is_closed = False

    async def ask(self, target: str, method: str = "GET") -> Answer:
        """Ask, and return the answer whatever its status. It is asked once more where a connection that was kept open
        has been closed meanwhile: what is asked must do no harm twice.

        Args:
            target: path and query, as they go over the wire: ASCII without spaces.

        Raises:
            PollError: no answer came in time, it was too large, or it was no HTTP.
        """
        length = b"" if method == "GET" else b"content-length: 0\r\n"
        request = f"{method} {target} HTTP/1.1\r\n".encode("ascii") + self._head + length + b"\r\n"
        try:
            async with asyncio.timeout(self._timeout):
                while self._idle:
                    kept = self._idle.pop()
                    if not kept.is_closed:
                        try:
                            return await self._asked(kept, request)
                        except _SilentlyClosedError:
                            break
                return await self._asked(await self._connected(), request)
        except TimeoutError as error:
            raise PollError(f"no answer within {self._timeout:g} s") from error
        except OSError as error:
            raise PollError(error.strerror or type(error).__name__) from error
        except _SilentlyClosedError as error:
            raise PollError("the connection was closed without an answer") from error

    def close(self) -> None:
        """Close what is kept open; what is under way goes on, and is closed then."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    async def _connected(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        return connection

    async def _asked(self, connection: _Connection, request: bytes) -> Answer:
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()  # whatever comes over it now would be taken for the answer to the next question
            raise
        if self._is_closed or connection.is_closed or len(self._idle) >= _MOST_IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        return answer


class _SilentlyClosedError(Exception):
    """The other side closed the connection and said nothing."""


class _Connection(asyncio.Protocol):
    """One connection: a question, its answer, the next."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._has_begun = False
        self._answer: asyncio.Future[Answer] | None = None

    @property
    def is_closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    async def ask(self, request: bytes) -> Answer:
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            raise _SilentlyClosedError
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (of TCP)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._has_begun = True
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(PollError(f"the answer is no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(
            PollError("the connection was closed in the middle of the answer")
            if self._has_begun
            else _SilentlyClosedError()
        )

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.close()

    # What the parser calls.

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > MOST_BYTES:
            self._body.clear()
            self._fail(PollError(f"the answer has more than {MOST_BYTES >> 20} MiB"))

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._answer is None or self._answer.done():
            return
        stays_open = self._parser.should_keep_alive()
        body, self._body = bytes(self._body), bytearray()
        self._parser, self._has_begun = httptools.HttpResponseParser(self), False
        self._answer.set_result(Answer(status, body))
        if not stays_open:
            self.close()
