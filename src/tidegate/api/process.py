"""The controller's process: its socket, its address file, its orderly end, and who stands by for it."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import logging.handlers
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from tidegate.api.app import build_app
from tidegate.api.stopping import Stopping
from tidegate.boot import birth_of
from tidegate.contract.errors import InvalidInput
from tidegate.controller.home import Home, read_json, write_atomically
from tidegate.controller.leading import Lead, leading
from tidegate.controller.notifications import addressees
from tidegate.controller.service import Service
from tidegate.controller.stage import Stage
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.base import LOOPBACK, from_here
from tidegate.gateway.opening import open_gateway
from tidegate.health.attempts import RealAttempts
from tidegate.store import Store, place
from tidegate.store.address import Address, whole
from tidegate.target.local import LocalTarget
from tidegate.target.opening import open_target
from tidegate.target.process import SERVING_STORE_VARIABLE, server_command, with_faults

log = logging.getLogger(__name__)

LOG_BYTES = 5_000_000
LOG_FILES = 3
#: How often the controller of a rehearsal looks whether somebody still rehearses.
STAGE_SECONDS = 0.5
#: How long the port of a controller that led is waited for; it lets go of it when it notices that another leads.
TAKE_OVER_SECONDS = 3.0


@dataclass(frozen=True)
class Setup:
    """How a controller is to run.

    Attributes:
        port, gateway_port: 0 takes any free port.
        host, gateway_host: addresses of this machine to listen on.
        envoys: of the gateway.
        store: where the store is.
        stands_by: until no other controller leads.
        stage: of the rehearsal that this controller is for: it injects faults, and ends with who rehearses.
    """

    port: int
    gateway_port: int
    envoys: int
    store: Address
    stands_by: bool = False
    stage: Stage | None = None
    host: str = LOOPBACK
    gateway_host: str = LOOPBACK


async def serve(home: Home, setup: Setup) -> None:
    """Run the controller until it is told to end. One that another has succeeded stands by from then on.

    Raises:
        Conflict: another controller leads, and this one is not to stand by.
        InvalidInput: a port is taken.
        Unavailable: the store cannot be opened.
    """
    home.create()
    waits = setup.stands_by
    while True:
        async with AsyncExitStack() as held:
            with _standing_by(home) if waits else nullcontext():
                leads = leading(home, setup.store, lambda address: Store(address, addressees), waits=waits)
                lead = await held.enter_async_context(leads)
            listener = await _take_over(setup.host, setup.port) if waits else _listen(setup.host, setup.port)
            if await _lead(home, setup, lead, listener):
                return
        log.warning("another controller leads now: standing by")
        waits = True


async def _lead(home: Home, setup: Setup, lead: Lead, listener: socket.socket) -> bool:
    """Do what a controller does; return whether it is over, False when another leads."""
    # Replicas that log to the store or look features up there have its address from here, unless there is another for
    # them: the store that is led, which need not be the one of TIDEGATE_STORE. Those of a rehearsal look features up
    # where they are: in the store of the user's own home.
    store = setup.store if setup.stage is None else place.place_of(setup.stage.root.parent)
    os.environ[SERVING_STORE_VARIABLE] = os.environ.get(SERVING_STORE_VARIABLE) or whole(store)
    stage = setup.stage
    # The gateway of a rehearsal is its own, like all that it starts, and ends with it.
    environment = os.environ if stage is None else {}
    gateway = open_gateway(home.gateway, environment, setup.gateway_host, setup.gateway_port, setup.envoys)
    if stage is None:
        target = open_target(home.root, gateway, os.environ, RealAttempts())
    else:  # beside what serves, which has the names of the containers
        command = with_faults(server_command, stage.faults_file)
        target = LocalTarget(home.root, gateway, command=command, attempts=RealAttempts())
    supervisor = Supervisor(home, lead.store, target)
    url = f"http://{from_here(setup.host)}:{listener.getsockname()[1]}"
    service = Service(home, url, lead.store, target, supervisor)
    stopping = Stopping()
    app = build_app(service, home.token(), stopping)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3, lifespan="off")
    server = uvicorn.Server(config)
    # Signals end the server and with it this function; what runs goes on running without a controller.
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    lost = asyncio.create_task(lead.lost())
    try:
        await supervisor.start()
        _announce(home, setup, url, gateway.url)
        stop = asyncio.create_task(stopping.wait())
        leaving = asyncio.create_task(_end_with(stage, stopping)) if stage is not None else None
        await asyncio.wait({serving, stop, lost}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if leaving is not None:
            leaving.cancel()
    finally:
        is_over = not lost.done()
        lost.cancel()
        await supervisor.stop()
        if stopping.is_set():
            await target.stop(keep_containers=stopping.keeps_containers)
        else:
            await target.close()
        server.should_exit = True
        await serving
        if is_over:  # else it is the other one's
            home.address_file.unlink(missing_ok=True)
    return is_over


@contextmanager
def _standing_by(home: Home) -> Iterator[None]:
    """Say that this process stands by, for as long as it does."""
    file = home.standbys / str(os.getpid())
    write_atomically(file, json.dumps({"pid": os.getpid(), "born": birth_of(os.getpid())}))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


async def _end_with(stage: Stage, stopping: asyncio.Event) -> None:
    """End everything as soon as nobody rehearses any more, however that came about."""
    while stage.is_held():  # noqa: ASYNC110 -- a lock tells nobody that it is free
        await asyncio.sleep(STAGE_SECONDS)
    log.info("the rehearsal is over: ending")
    stopping.set()


def _listen(host: str, port: int) -> socket.socket:
    # With the protocol named, asyncio sends at once what is written (TCP_NODELAY); with none it does not know to.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as taken:
        listener.close()
        if taken.errno == errno.EADDRNOTAVAIL:
            raise InvalidInput(
                "the controller cannot listen on an address that this machine does not have",
                subject="--host",
                expected="one of its addresses, or 0.0.0.0 for all of them",
                got=host,
            ) from taken
        raise InvalidInput(
            f"port {port} is taken, the controller cannot listen on it",
            subject=f"{host}:{port}",
            expected="a free port",
            got=taken.strerror or str(taken),
            hint=f"choose another one: tidegate up --port {port + 1}",
        ) from taken
    listener.listen(128)
    return listener


async def _take_over(host: str, port: int) -> socket.socket:
    """Listen where the one that led has listened; where it still does, on any port: `controller.json` tells clients."""
    deadline = time.monotonic() + TAKE_OVER_SECONDS
    while time.monotonic() < deadline:
        with suppress(InvalidInput):
            return _listen(host, port)
        await asyncio.sleep(STAGE_SECONDS)
    log.warning("port %d is still taken, by the controller that led: listening on another", port)
    return _listen(host, 0)


def _announce(home: Home, setup: Setup, url: str, gateway_url: str) -> None:
    """Write where the controller is, and where its store; a reader of the former finds everything up."""
    if setup.stage is None:
        _remember_store(home, setup.store)
    address = {
        "pid": os.getpid(),
        "born": birth_of(os.getpid()),
        "host": setup.host,
        "port": urlsplit(url).port,
        "url": url,
        "gateway_host": setup.gateway_host,
        "gateway_port": urlsplit(gateway_url).port,
        "gateway_url": gateway_url,
        "envoys": setup.envoys,
    }
    write_atomically(home.address_file, json.dumps(address))


def _remember_store(home: Home, store: Address) -> None:
    """Write where the store is, unless that is known: there may be no room for it."""
    file, told = home.root / place.FILE, {"store": place.remembered_form(store)}
    known = read_json(file) or {"store": str(home.database)}
    if known != told:
        write_atomically(file, json.dumps(told))


def configure_logging(file: Path) -> None:
    """Write the controller's log as lines of text to a file that is rotated."""
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
