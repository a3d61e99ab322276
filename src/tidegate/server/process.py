"""The life of a replica's process: lock, bind, load, warm, serve, drain, end.

The socket is bound and liveness answers before the model is loaded, so that whoever started the process can tell a
slow load from a dead process. After SIGTERM readiness is 503 at once; requests are still taken for `drain_seconds`,
until those who route to us have noticed; then the socket closes and what is in flight is finished.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from prometheus_client import disable_created_metrics

from tidegate.artifact.bundle import Bundle, load_model, read_bundle, verify_bundle
from tidegate.contract.errors import Conflict, TidegateError
from tidegate.contract.faults import Fault
from tidegate.runtime.base import Model
from tidegate.runtime.frameworks import import_framework
from tidegate.server.allocator import return_free_memory
from tidegate.server.exits import Exit
from tidegate.server.life import Stopping, listen_on, loop_factory, unservable
from tidegate.server.listener import HttpServer
from tidegate.server.replica import Phase, Replica
from tidegate.server.rundir import take_lock, write_state
from tidegate.server.settings import ServerSettings
from tidegate.server.threads import run_in_daemon_thread

if TYPE_CHECKING:  # it is there with the extra `grpc` alone
    from tidegate.server.grpc.listener import GrpcServer

#: How long a thread that wants the interpreter waits for the one that has it. The default, 5 ms, is longer than many
#: models take, and the event loop pays it whenever a model computes in Python.
_SWITCH_INTERVAL_SECONDS = 0.0005

#: Beyond the time that a request may take, a thread that is still at it gets this long, or as long again, to come back.
_STUCK_SECONDS = 5.0

#: A request leaves no circles behind, so a collection after every 700 objects, the default, finds nothing.
_GC_THRESHOLD = (50_000, 20, 100)

log = logging.getLogger("tidegate.server")


def run(settings: ServerSettings) -> int:
    """Serve until told to stop; return the process's exit code."""
    try:
        lock = take_lock(settings.run_dir)
    except Conflict as error:
        log.critical(error.message, extra={"fields": error.as_dict()})
        return Exit.LOCKED
    with lock:
        try:
            bundle = read_bundle(settings.bundle)
        except TidegateError as error:
            return unservable(error)
        tune()
        try:
            if settings.grpc_port is not None:
                import_framework("grpc", extra="grpc", what="--grpc-port")
        except TidegateError as error:
            log.critical(error.message, extra={"fields": error.as_dict()})
            return Exit.UNSERVABLE
        listener = listen_on(settings.host, settings.port)
        if listener is None:
            return Exit.NO_ADDRESS
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(ReplicaProcess(settings, bundle, [listener]).run())


def tune() -> None:
    """Set what holds for the whole process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)


class ReplicaProcess:
    """One run of the server on one event loop, on the sockets that it is given; `worker` has a kind without any."""

    def __init__(self, settings: ServerSettings, bundle: Bundle, listeners: list[socket.socket]) -> None:
        self._settings = settings
        self._listeners = listeners
        self._bundle = bundle
        self._replica = Replica(settings, bundle)
        self._server = HttpServer(self._replica)
        self._grpc: GrpcServer | None = None
        self._grpc_ending: asyncio.Task[None] | None = None
        self._exit_code = Exit.OK
        self._model: Model | None = None
        #: Lets the fault of a rehearsal begin.
        self._arm_fault: Callable[[], None] | None = None

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        stopping = Stopping(self._settings.drain_seconds, self._begin_to_stop, self._exit)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping)
        try:
            grpc_port = None if self._settings.worker is not None else await self._listen_for_grpc()
        except TidegateError as error:
            log.critical(error.message, extra={"fields": error.as_dict()})
            return Exit.NO_ADDRESS
        preparing = asyncio.create_task(self._prepare())
        serving = asyncio.create_task(self._server.serve(sockets=self._listeners))
        self._announce(grpc_port)
        watching = asyncio.create_task(self._watch())
        await serving
        if self._grpc_ending is not None:
            await self._grpc_ending
        preparing.cancel()
        watching.cancel()
        is_idle = self._replica.is_idle
        self._replica.close()
        if self._model is not None and is_idle:  # else a thread is still in it, whoever has given up waiting
            self._model.close()
        log.info("ended", extra={"fields": {"exit_code": self._exit_code}})
        return self._exit_code

    async def _listen_for_grpc(self) -> int | None:
        """Start to answer over gRPC where the settings ask for it; return the port.

        Raises:
            Unavailable: the address cannot be listened on.
        """
        if self._settings.grpc_port is None:
            return None
        from tidegate.server.grpc.serving import server_of

        self._grpc = server_of(self._replica)
        return await self._grpc.start(self._settings.host, self._settings.grpc_port)

    def _announce(self, grpc_port: int | None) -> None:
        """Say where this process listens."""
        host, port = self._listeners[0].getsockname()[:2]
        write_state(self._settings.run_dir, host, port, grpc_port)
        facts = {"pid": os.getpid()} | ({} if grpc_port is None else {"grpc_port": grpc_port})
        log.info("listening on %s:%s", host, port, extra={"fields": facts})

    async def _prepare(self) -> None:
        started = perf_counter()
        try:
            self._model = await run_in_daemon_thread(self._load)
            await self._replica.warm(self._model)
        except Exception as error:  # noqa: BLE001 -- whatever a model's code raises, the answer is the same
            self._unservable(error)
            return
        seconds = perf_counter() - started
        self._replica.metrics.model_load_seconds = seconds
        log.info("ready", extra={"fields": {"load_seconds": round(seconds, 3)}})
        if self._arm_fault is not None:
            self._arm_fault()
        self._ready(seconds)

    def _unservable(self, error: BaseException) -> None:
        """The bundle cannot be served: end."""
        self._exit_code = unservable(error)
        self._exit()

    def _ready(self, load_seconds: float) -> None:
        """The model is warm."""

    async def _watch(self) -> None:
        """End the process when its model hangs: whoever started it starts it again, and nobody else can."""
        timeout = self._settings.timeout_seconds
        if timeout == 0:
            return
        longest = timeout + max(timeout, _STUCK_SECONDS)
        while self._replica.stuck_seconds() < longest:  # noqa: ASYNC110 -- nothing happens when a thread hangs
            await asyncio.sleep(1.0)
        log.critical("the model hangs: no inference thread came back for %.0f s", self._replica.stuck_seconds())
        self._exit_code = Exit.DIED
        self._exit()

    def _load(self) -> Model:
        verify_bundle(self._bundle)
        model = load_model(self._bundle, threads=1)
        if self._settings.fault is not None:
            model = self._with_fault(model, self._settings.fault)
        gc.collect()
        return_free_memory()
        gc.freeze()  # what is loaded now lives as long as the process: no collection needs to look at it again
        gc.set_threshold(*_GC_THRESHOLD)
        return model

    def _with_fault(self, model: Model, fault: Fault) -> Model:
        from tidegate.server.faults import FaultyModel

        log.warning("a rehearsal: %s", fault)
        faulty = FaultyModel(model, fault)
        self._arm_fault = faulty.arm
        return faulty

    def _begin_to_stop(self) -> bool:
        was_ready = self._replica.is_ready
        self._replica.phase = Phase.DRAINING
        return was_ready

    def _exit(self) -> None:
        self._server.should_exit = True
        if self._grpc is not None and self._grpc_ending is None:
            self._grpc_ending = asyncio.create_task(self._grpc.stop())
