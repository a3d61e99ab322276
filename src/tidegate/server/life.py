"""What every process that serves has in common, whatever it serves: its socket, its loop, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Generator

import uvicorn

from tidegate.contract.errors import TidegateError
from tidegate.server.exits import Exit
from tidegate.server.wording import one_line

#: Envoy closes an upstream connection after an hour without use; were we the first, a request could meet the closing.
KEEP_ALIVE_SECONDS = 2 * 3600
_BACKLOG = 2048

log = logging.getLogger("tidegate.server")


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """Return the fastest event loop that is installed; None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def listen_on(host: str, port: int) -> socket.socket | None:
    """Return a socket that listens; None, and the reason in the log, where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        log.critical("cannot listen on %s:%s: %s", host, port, error.strerror or error)
        return None


def unservable(error: BaseException) -> Exit:
    """Log why a bundle cannot be served and return the exit code that says so."""
    fields = error.as_dict() if isinstance(error, TidegateError) else {}
    log.critical(
        "the bundle cannot be served: %s",
        one_line(error),
        extra={"fields": {key: value for key, value in fields.items() if key != "message"}},
        exc_info=None if isinstance(error, TidegateError) else error,
    )
    return Exit.UNSERVABLE


class QuietServer(uvicorn.Server):
    """uvicorn's server, with the signals left to us: it would end by the signal, and we end with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Stopping:
    """What a signal does: the first stops a process soon, after the time in which requests are still taken, a second
    one at once.

    Args:
        drain_seconds: how long requests are still taken.
        begin: says from now on that the process is not ready; returns whether it was.
        leave: closes the socket and ends.
    """

    def __init__(self, drain_seconds: float, begin: Callable[[], bool], leave: Callable[[], None]) -> None:
        self._drain_seconds = drain_seconds
        self._begin = begin
        self._leave = leave
        self._has_begun = False

    def __call__(self) -> None:
        if self._has_begun:
            self._leave()
            return
        self._has_begun = True
        log.info("stopping", extra={"fields": {"drain_seconds": self._drain_seconds}})
        if self._begin():
            asyncio.get_running_loop().call_later(self._drain_seconds, self._leave)
        else:
            self._leave()
