"""The controller's process: one per home, its socket, its address file, its orderly end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import logging.handlers
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from tidegate.api.app import build_app
from tidegate.boot import birth_of
from tidegate.contract.errors import Conflict, InvalidInput
from tidegate.controller.home import Home, write_atomically
from tidegate.controller.notifications import addressees
from tidegate.controller.service import Service
from tidegate.controller.stage import Stage
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.health.attempts import RealAttempts
from tidegate.store import Store
from tidegate.target.local import LocalTarget
from tidegate.target.process import SERVING_STORE_VARIABLE, STORE_VARIABLE, server_command, with_faults

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOG_BYTES = 5_000_000
LOG_FILES = 3
#: How often the controller of a rehearsal looks whether somebody still rehearses.
STAGE_SECONDS = 0.5


async def serve(home: Home, port: int, gateway_port: int, envoys: int, stage: Stage | None = None) -> None:
    """Run the controller until it is told to end.

    Args:
        port, gateway_port: on loopback; 0 takes any free port.
        envoys: of the gateway.
        stage: of the rehearsal that this controller is for: it injects faults, and ends with who rehearses.

    Raises:
        Conflict: another controller has this home.
        InvalidInput: a port is taken.
    """
    home.create()
    with _sole_controller(home):
        listener = _listen(port)
        store = Store(home.database, addressees)
        # Replicas that log their predictions to the store have its address from here, unless there is another for them.
        os.environ.setdefault(SERVING_STORE_VARIABLE, os.environ.get(STORE_VARIABLE) or str(home.database))
        gateway = EnvoyGateway(home.gateway, host=HOST, port=gateway_port, envoys=envoys)
        command = server_command if stage is None else with_faults(server_command, stage.faults_file)
        target = LocalTarget(home.root, gateway, command=command, attempts=RealAttempts())
        supervisor = Supervisor(home, store, target)
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        service = Service(home, url, store, target, supervisor)
        stopping = asyncio.Event()
        app = build_app(service, home.token(), stopping)
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3, lifespan="off")
        server = uvicorn.Server(config)
        # Signals end the server and with it this function; what runs goes on running without a controller.
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await supervisor.start()
            _announce(home, url, gateway.url, envoys)
            stop = asyncio.create_task(stopping.wait())
            leaving = asyncio.create_task(_end_with(stage, stopping)) if stage is not None else None
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if leaving is not None:
                leaving.cancel()
        finally:
            await supervisor.stop()
            if stopping.is_set():
                await target.stop()
            else:
                await target.close()
            server.should_exit = True
            await serving
            home.address_file.unlink(missing_ok=True)
            store.close()


async def _end_with(stage: Stage, stopping: asyncio.Event) -> None:
    """End everything as soon as nobody rehearses any more, however that came about."""
    while stage.is_held():  # noqa: ASYNC110 -- a lock tells nobody that it is free
        await asyncio.sleep(STAGE_SECONDS)
    log.info("the rehearsal is over: ending")
    stopping.set()


@contextmanager
def _sole_controller(home: Home) -> Iterator[None]:
    """Hold the home's lock: it goes with the process, however that ends."""
    descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise Conflict("another controller has this home", subject=str(home.root)) from taken
        yield
    finally:
        os.close(descriptor)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as taken:
        listener.close()
        raise InvalidInput(
            f"port {port} is taken, the controller cannot listen on it",
            subject=f"{HOST}:{port}",
            expected="a free port",
            got=taken.strerror or str(taken),
            hint=f"choose another one: tidegate up --port {port + 1}",
        ) from taken
    listener.listen(128)
    return listener


def _announce(home: Home, url: str, gateway_url: str, envoys: int) -> None:
    """Write where the controller is; a reader of this file finds everything up."""
    address = {
        "pid": os.getpid(),
        "born": birth_of(os.getpid()),
        "port": urlsplit(url).port,
        "url": url,
        "gateway_port": urlsplit(gateway_url).port,
        "gateway_url": gateway_url,
        "envoys": envoys,
    }
    write_atomically(home.address_file, json.dumps(address))


def configure_logging(file: Path) -> None:
    """Write the controller's log as lines of text to a file that is rotated."""
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
