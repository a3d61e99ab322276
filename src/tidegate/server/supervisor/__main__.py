"""`python -m tidegate.server.supervisor`: one replica of several processes."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

from tidegate.contract.errors import Conflict, TidegateError
from tidegate.scheduling import come_first
from tidegate.server import logs
from tidegate.server.exits import Exit
from tidegate.server.rundir import take_lock
from tidegate.server.supervisor.settings import SupervisorSettings, parse_arguments
from tidegate.server.supervisor.sources import Source, source_of
from tidegate.server.supervisor.supervisor import Supervisor

#: Connections that wait until a process takes them.
_BACKLOG = 2048

log = logging.getLogger("tidegate.server")


def main() -> int:
    come_first()
    settings = parse_arguments(sys.argv[1:])
    logs.configure()
    try:
        lock = take_lock(settings.run_dir)
    except Conflict as error:
        log.critical(error.message, extra={"fields": error.as_dict()})
        return Exit.LOCKED
    with lock:
        try:
            source = source_of(settings)
        except TidegateError as error:
            log.critical(error.message, extra={"fields": error.as_dict()})
            return Exit.UNSERVABLE
        try:
            listener = _listen(settings.host, settings.port)
            grpc_listener = None if settings.grpc_port is None else _listen(settings.host, settings.grpc_port)
        except OSError as error:
            log.critical("cannot listen on %s:%s: %s", settings.host, settings.port, error.strerror or error)
            return Exit.NO_ADDRESS
        return asyncio.run(_run(settings, source, listener, grpc_listener))


async def _run(
    settings: SupervisorSettings, source: Source, listener: socket.socket, grpc_listener: socket.socket | None
) -> int:
    return await Supervisor(settings, source, listener, grpc_listener).run()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends at once what is written (TCP_NODELAY); with none it does not know to.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.listen(_BACKLOG)
    bound.setblocking(False)
    return bound


if __name__ == "__main__":
    sys.exit(main())
