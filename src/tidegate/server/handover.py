"""Connections on their way from one process to another, and new ones from a listening socket that processes share.

Both are queues in the kernel from which every process takes that serves: nothing in them is lost when a process ends.
A connection is handed over between two requests, as a file descriptor over a Unix socket (SCM_RIGHTS, unix(7)); what
its client sends meanwhile waits in the kernel's buffer, and nothing is ever closed on the wire. So a client does not
notice that another process answers its next request.

Imports next to nothing: the supervisor, which must stay small, uses it, too.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

#: One byte of data carries one descriptor: ancillary data alone cannot be sent.
_LETTER = b"c"
_DESCRIPTOR_BYTES = array.array("i").itemsize
#: Out of descriptors or memory: accepting again at once would only spin.
_PAUSE_SECONDS = 0.05

log = logging.getLogger("tidegate.server")


@dataclass(frozen=True)
class HandoverQueue:
    """The two ends of the queue of handed-over connections; every process of a replica has both."""

    reading: socket.socket
    writing: socket.socket

    @classmethod
    def create(cls) -> HandoverQueue:
        reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reading.setblocking(False)
        writing.setblocking(False)
        return cls(reading, writing)

    @classmethod
    def inherited(cls, reading_fd: int, writing_fd: int) -> HandoverQueue:
        """Return the queue whose descriptors this process was started with."""
        return cls(socket.socket(fileno=reading_fd), socket.socket(fileno=writing_fd))

    def take(self) -> socket.socket | None:
        """Return the next connection, None when another process was faster.

        Raises:
            OSError: this process is out of descriptors; the connection waits for it or for another.
        """
        # The kernel closes a descriptor for which there is no place, and with it the connection.
        os.close(os.dup(self.reading.fileno()))
        try:
            data, ancillary, _, _ = self.reading.recvmsg(1, socket.CMSG_SPACE(_DESCRIPTOR_BYTES))
        except (BlockingIOError, InterruptedError):
            return None
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors = array.array("i")
                descriptors.frombytes(content[:_DESCRIPTOR_BYTES])
                return socket.socket(fileno=descriptors[0])
        if data:  # another thread took the last descriptor in between
            log.error("a handed-over connection was lost: this process is out of file descriptors")
        return None

    def put(self, connection: socket.socket) -> bool:
        """Queue a connection; False when the queue is full. The caller still has to close its own descriptor."""
        descriptors = array.array("i", [connection.fileno()])
        try:
            self.writing.sendmsg([_LETTER], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        except (BlockingIOError, InterruptedError):
            return False
        return True


class Giver:
    """Hands connections over, waiting where the queue is full. Used on the event loop's thread."""

    def __init__(self, queue: HandoverQueue, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = queue
        self._loop = loop
        self._waiting: deque[socket.socket] = deque()

    @property
    def is_done(self) -> bool:
        """Whether everything that was given is on its way."""
        return not self._waiting

    def give(self, connection: socket.socket) -> None:
        """Hand one connection over and close this process's descriptor of it."""
        self._waiting.append(connection)
        if len(self._waiting) == 1:
            self._send()

    def _send(self) -> None:
        while self._waiting:
            try:
                sent = self._queue.put(self._waiting[0])
            except OSError as error:
                # ETOOMANYREFS: too many descriptors are on their way. Its takers make room.
                log.warning("a connection cannot be handed over yet: %s", error.strerror)
                self._loop.call_later(_PAUSE_SECONDS, self._send)
                return
            if not sent:
                self._loop.add_writer(self._queue.writing.fileno(), self._send_again)
                return
            self._waiting.popleft().close()

    def _send_again(self) -> None:
        self._loop.remove_writer(self._queue.writing.fileno())
        self._send()


class Acceptor:
    """Takes new connections from a listening socket while it is open, one at a time: its siblings get the next ones."""

    def __init__(self, listener: socket.socket, adopt: Callable[[socket.socket], object]) -> None:
        """`adopt` is called with a connection that does not block."""
        self._listener = listener
        self._adopt = adopt
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pause: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._loop is not None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is None:
            self._loop = loop
            loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Take nothing any more; what waits is for the others."""
        if self._loop is not None:
            if self._pause is None:
                self._loop.remove_reader(self._listener.fileno())
            else:
                self._pause.cancel()
                self._pause = None
            self._loop = None

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.error("a connection cannot be accepted: %s", error.strerror or error)  # noqa: TRY400
            if self._loop is not None:
                self._loop.remove_reader(self._listener.fileno())
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._go_on)
            return
        _prepare(connection)
        self._adopt(connection)

    def _go_on(self) -> None:
        self._pause = None
        if self._loop is not None:
            self._loop.add_reader(self._listener.fileno(), self._accept)


class Intake:
    """Takes connections while it is open, new ones and those that are handed over."""

    def __init__(
        self, listener: socket.socket, queue: HandoverQueue, adopt: Callable[[socket.socket, bool], object]
    ) -> None:
        """`adopt` is called with a connection that does not block, and whether it is new rather than handed over."""
        self._acceptor = Acceptor(listener, lambda connection: adopt(connection, True))
        self._queue = queue
        self._adopt = adopt
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pause: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._acceptor.is_open

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self.is_open:
            self._loop = loop
            self._acceptor.open(loop)
            loop.add_reader(self._queue.reading.fileno(), self._take)

    def close(self) -> None:
        """Take nothing any more; what waits in the queues is for the others."""
        if self._loop is not None and self.is_open:
            self._acceptor.close()
            if self._pause is not None:
                self._pause.cancel()
                self._pause = None
            self._loop.remove_reader(self._queue.reading.fileno())

    def _take(self) -> None:
        try:
            connection = self._queue.take()
        except OSError as error:
            log.error("a connection cannot be taken over yet: %s", error.strerror or error)  # noqa: TRY400
            assert self._loop is not None  # noqa: S101 (it called)
            self._loop.remove_reader(self._queue.reading.fileno())
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self._go_on)
            return
        if connection is not None:
            _prepare(connection)
            self._adopt(connection, False)

    def _go_on(self) -> None:
        self._pause = None
        if self._loop is not None:
            self._loop.add_reader(self._queue.reading.fileno(), self._take)


def _prepare(connection: socket.socket) -> None:
    """Have a connection that was accepted not block and not wait for more to send."""
    connection.setblocking(False)
    # The connections of HTTP are TCP; a Unix socket knows no such option.
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
