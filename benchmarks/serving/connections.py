"""Keep-alive HTTP/1.1 connections to one port, one request under way on each, with as little work per answer as Python
allows. Answers may be framed by `content-length` or chunked.
"""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Iterator
from types import TracebackType

_RECEIVE = 1 << 18
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_READ = select.EPOLLIN
_BOTH = select.EPOLLIN | select.EPOLLOUT


class Finished:
    """A request that has ended, and how. `status` is that of HTTP, or names what went wrong."""

    __slots__ = ("body", "connection", "due", "number", "status")

    def __init__(self, connection: _Connection, status: str, body: bytes) -> None:
        self.connection = connection
        self.number, self.due = connection.number, connection.due
        self.status, self.body = status, body


class _Connection:
    __slots__ = ("buffer", "due", "number", "rest", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.buffer = bytearray()
        self.number = 0
        self.due = 0.0
        self.rest: memoryview | None = None


class Connections:
    """A fixed number of connections; `idle` holds those that are free."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        self.idle: list[_Connection] = []
        self.busy: set[_Connection] = set()
        for _ in range(count):
            self._connect()

    def __enter__(self) -> Connections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._by_fd.values():
            connection.socket.close()
        self._epoll.close()

    def send(self, number: int, request: bytes, due: float) -> None:
        """Send a request on an idle connection; there must be one."""
        connection = self.idle.pop()
        self.busy.add(connection)
        connection.number, connection.due = number, due
        try:
            sent = connection.socket.send(request)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(request)  # reading from it will say the same
        if sent < len(request):
            connection.rest = memoryview(request)[sent:]
            self._epoll.modify(connection.socket.fileno(), _BOTH)

    def wait(self, seconds: float) -> Iterator[Finished]:
        """Yield the requests that have ended, waiting for one for so long. Give each to `release`."""
        for descriptor, events in self._epoll.poll(seconds):
            connection = self._by_fd[descriptor]
            if events & select.EPOLLOUT and connection.rest is not None:
                self._send_rest(connection, descriptor)
            if events & ~select.EPOLLOUT:
                finished = self._receive(connection)
                if finished is not None:
                    yield finished

    def release(self, finished: Finished) -> None:
        """Make the connection of a request that has ended free again, anew if it broke or the server closes it."""
        connection = finished.connection
        self.busy.discard(connection)
        if finished.status.isdigit() and connection.socket.fileno() >= 0:
            self.idle.append(connection)

    def under_way(self) -> list[float]:
        """Return when the requests were due that have not ended."""
        return [connection.due for connection in self.busy]

    def _connect(self) -> None:
        connection = _Connection(self._port)
        self._by_fd[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket.fileno(), _READ)
        self.idle.append(connection)

    def _replace(self, connection: _Connection) -> None:
        del self._by_fd[connection.socket.fileno()]
        connection.socket.close()
        self._connect()

    def _send_rest(self, connection: _Connection, descriptor: int) -> None:
        assert connection.rest is not None
        try:
            connection.rest = connection.rest[connection.socket.send(connection.rest) :]
        except BlockingIOError:
            return
        except OSError:
            connection.rest = connection.rest[:0]
        if not connection.rest:
            connection.rest = None
            self._epoll.modify(descriptor, _READ)

    def _receive(self, connection: _Connection) -> Finished | None:
        try:
            data = connection.socket.recv(_RECEIVE)
        except BlockingIOError:
            return None
        except OSError as error:
            return self._broken(connection, type(error).__name__)
        if not data:
            return self._broken(connection, "closed")
        if connection.buffer or data[-1:] != b"}":  # the usual answer is JSON and comes whole
            connection.buffer += data
            data = bytes(connection.buffer)
        head, separator, body = data.partition(b"\r\n\r\n")
        if not separator:
            return _kept(connection, data)
        length = _LENGTH.search(head)
        if length is not None:
            if len(body) < int(length[1]):
                return _kept(connection, data)
        elif _CHUNKED.search(head):
            if not body.endswith(b"0\r\n\r\n"):
                return _kept(connection, data)
            body = _unchunked(body)
        else:
            return self._broken(connection, "unframed")
        connection.buffer.clear()
        finished = Finished(connection, data[9:12].decode("latin-1"), body)
        if _CLOSE.search(head):
            self._replace(connection)
        return finished

    def _broken(self, connection: _Connection, why: str) -> Finished | None:
        if connection not in self.busy:  # closed while idle, which is the server's right
            self.idle.remove(connection)
            self._replace(connection)
            return None
        finished = Finished(connection, why, b"")
        self._replace(connection)
        return finished


def _kept(connection: _Connection, data: bytes) -> Finished | None:
    """Keep what has come of an answer that is not whole yet."""
    if not connection.buffer:
        connection.buffer += data
    return None


def _unchunked(body: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = body.index(b"\r\n", at)
        size = int(body[at:line_end].split(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2
