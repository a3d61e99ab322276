"""A keep-alive HTTP/1.1 client that is small enough not to disturb what it measures.

It speaks what a load generator needs and nothing else: POST with a body to one server, over a pool of connections, of
which it opens as many as there are requests in flight. It never sends a request twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit


class BadAnswerError(Exception):
    """What came back is no HTTP answer that this client understands."""


@dataclass(frozen=True)
class Answer:
    """Status, headers with lower-case names, and body of one answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Client:
    """Connections to one server, reused; the one used last is taken first, so that idle ones stay idle."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        """Prepare requests to `url`, which is http and names the path; opens nothing yet."""
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"expected an address like http://127.0.0.1:8080/name/predict, got {url!r}")
        self._host, self._port = parts.hostname, parts.port or 80
        lines = [f"POST {parts.path or '/'} HTTP/1.1", f"host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._head = "\r\n".join([*lines, "content-type: application/json", "content-length: "]).encode()
        self._idle: list[_Connection] = []

    async def post(self, body: bytes) -> Answer:
        """Send `body` and return the answer, whatever its status.

        Raises:
            OSError: no connection, or it broke before an answer came.
            BadAnswerError: the answer is not HTTP.
        """
        connection = await self._take()
        try:
            connection.writer.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
            answer = await _read_answer(connection.reader)
        except asyncio.IncompleteReadError as error:
            connection.writer.close()
            raise ConnectionResetError("the server closed the connection before it answered") from error
        except BaseException:
            connection.writer.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            connection.writer.close()
        else:
            self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Close the idle connections; idempotent."""
        while self._idle:
            self._idle.pop().writer.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            # A server may close a connection that it found idle; that is no failure of the next request.
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        return _Connection(*await asyncio.open_connection(self._host, self._port))


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip("\r\n").split("\r\n")
        status = int(status_line.split(" ", 2)[1])
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await _read_chunks(reader)
        else:
            body = await reader.readexactly(int(headers["content-length"]))
    except (ValueError, IndexError, KeyError, asyncio.LimitOverrunError) as error:
        raise BadAnswerError(f"{type(error).__name__}: {error}") from error
    return Answer(status, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)
