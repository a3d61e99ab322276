"""`python -m tidegate.server.supervisor`: one replica of several processes."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

from tidegate.contract.errors import Conflict, TidegateError
from tidegate.server import logs
from tidegate.server.exits import Exit
from tidegate.server.rundir import take_lock
from tidegate.server.supervisor.settings import SupervisorSettings, parse_arguments
from tidegate.server.supervisor.sources import Source, source_of
from tidegate.server.supervisor.supervisor import Supervisor

log = logging.getLogger("tidegate.server")


def main() -> int:
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
            listener, grpc_socket = _bind(settings, settings.port, shared=False), None
            listener.listen(2048)
            if settings.grpc_port is not None:
                # Bound and never listened on: it keeps the port for the workers, whose gRPC servers share it.
                grpc_socket = _bind(settings, settings.grpc_port, shared=True)
        except OSError as error:
            log.critical("cannot listen on %s:%s: %s", settings.host, settings.port, error.strerror or error)
            return Exit.NO_ADDRESS
        listener.setblocking(False)
        grpc_port = None if grpc_socket is None else int(grpc_socket.getsockname()[1])
        return asyncio.run(_run(settings, source, listener, grpc_port))


async def _run(settings: SupervisorSettings, source: Source, listener: socket.socket, grpc_port: int | None) -> int:
    return await Supervisor(settings, source, listener, grpc_port).run()


def _bind(settings: SupervisorSettings, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((settings.host, port))
    return bound


if __name__ == "__main__":
    sys.exit(main())
