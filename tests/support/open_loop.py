"""Users who send at a steady rate whatever becomes of their requests, over TLS connections that they keep.

When a request is due it leaves, on a connection that is free or on a new one, so a server that stalls gets no fewer.
What had to wait, for a connection (there are `CONNECTIONS`) or since this process was not let run, leaves as soon as it
can, at twice the rate at most: many users behind one address do not come all at once, and the edge limits what one
address sends.

As curl, browsers and Go's client do, a request whose kept connection turns out to be closed before a byte of its answer
is sent again, once, on a new one: the server could not say before that it would close it. They are counted.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

#: So many requests are under way at once, at most.
CONNECTIONS = 128
#: A request that has no answer after so long has failed.
TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        number: of the request, from 0; it was due at `number` / rate.
        status: of HTTP; 0 without an answer.
        said: the body, or what went wrong.
        seconds: from when it was due to the last byte.
        was_resent: since its connection had been closed.
    """

    number: int
    at: float
    status: int
    headers: dict[str, str]
    said: bytes
    seconds: float
    was_resent: bool


class _ClosedError(Exception):
    """The server closed the connection before a byte of the answer."""


class OpenLoop:
    """Sends from a thread of its own from `__enter__` to `__exit__`; then `answers` has one entry for each request."""

    def __init__(self, port: int, path: str, bodies: Sequence[bytes], rate: float, context: ssl.SSLContext) -> None:
        self._port, self._rate, self._context = port, rate, context
        self._requests = [_request(path, body) for body in bodies]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.sent, self.seconds = 0, 0.0
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def failed(self) -> list[Answer]:
        return [answer for answer in list(self.answers) if answer.status != 200]

    async def _run(self) -> None:
        begun = left = time.monotonic()
        number, free = 0, asyncio.Semaphore(CONNECTIONS)
        tasks: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            free.release()

        while not self._ending.is_set():
            due = begun + number / self._rate
            await free.acquire()
            await asyncio.sleep(max(due, left + 0.5 / self._rate) - time.monotonic())
            left = time.monotonic()
            task = asyncio.create_task(self._one(number, due))
            tasks.add(task)
            task.add_done_callback(ended)
            number += 1
            self.sent = number
        await asyncio.gather(*tasks)
        self.seconds = time.monotonic() - begun
        for _, writer in self._idle:
            writer.close()

    async def _one(self, number: int, due: float) -> None:
        at, was_resent = time.time(), False
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                try:
                    told = await self._on(self._kept(), number)
                except _ClosedError:
                    was_resent = True
                    told = await self._on(None, number)
        except (OSError, ValueError, _ClosedError, asyncio.IncompleteReadError) as error:
            told = 0, {}, repr(error).encode()
        self.answers.append(Answer(number, at, *told, time.monotonic() - due, was_resent))

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Return a free connection that is not known to be closed."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None

    async def _on(
        self, kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None, number: int
    ) -> tuple[int, dict[str, str], bytes]:
        """Send on a kept connection, or a new one; raises _ClosedError where the kept one had been closed."""
        reader, writer = kept or await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context, server_hostname="localhost"
        )
        is_kept = False
        try:
            try:
                writer.write(self._requests[number % len(self._requests)])
                first = await reader.readline()
            except ConnectionError:
                first = b""
            if not first:
                raise _ClosedError if kept else ConnectionError("closed before a byte of the answer")
            status = int(first.split()[1])
            headers = {}
            while (line := await reader.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            said = await _body(reader, headers)
            is_kept = headers.get("connection") != "close"
        finally:
            if is_kept:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return status, headers, said


def _request(path: str, body: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (path.encode(), len(body), body)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers["content-length"]))
    found = b""
    while size := int((await reader.readline()).strip(), 16):
        found += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return found
