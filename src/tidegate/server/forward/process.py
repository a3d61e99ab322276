"""The life of a replica whose server is somebody else's: lock, bind, start the child, pass requests on, drain, end.

To whoever started it, it behaves as `server.process` does: the same lock, `state.json`, health paths, drain and exit
codes. A child that ends by itself takes the replica with it, with an exit code that is not 0, so that it is replaced
and its death is counted.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from time import perf_counter

from tidegate.artifact.bundle import Bundle, read_bundle
from tidegate.contract.errors import Conflict, InvalidInput, TidegateError
from tidegate.server.exits import Exit
from tidegate.server.forward.app import ForwardApp
from tidegate.server.forward.child import Child, Phase
from tidegate.server.hot_request import BodyBudget
from tidegate.server.http_server import ConnectionServer
from tidegate.server.life import Stopping, listen_on, loop_factory, unservable
from tidegate.server.metrics import ServerMetrics
from tidegate.server.rundir import take_lock, write_state
from tidegate.server.settings import ServerSettings

#: From SIGTERM to SIGKILL for the child; shorter than what a target leaves a replica that has drained.
_CHILD_GRACE_SECONDS = 4.0

log = logging.getLogger("tidegate.server")


def run(settings: ServerSettings) -> int:
    """Serve until told to stop, or until the child ends; return the process's exit code."""
    try:
        lock = take_lock(settings.run_dir)
    except Conflict as error:
        log.critical(error.message, extra={"fields": error.as_dict()})
        return Exit.LOCKED
    with lock:
        try:
            bundle = read_bundle(settings.bundle)
            if settings.grpc_port is not None:
                raise InvalidInput(
                    "a server of somebody else's is passed on over HTTP alone", got=f"--grpc-port {settings.grpc_port}"
                )
            child = Child(bundle, settings.run_dir, most=settings.queue_limit)
        except TidegateError as error:
            return unservable(error)
        listener = listen_on(settings.host, settings.port)
        if listener is None:
            return Exit.NO_ADDRESS
        # An answer that breaks off is told by us, at a bounded rate.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        return _run_on_loop(settings, bundle, child, listener)


def _run_on_loop(settings: ServerSettings, bundle: Bundle, child: Child, listener: socket.socket) -> int:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_Process(settings, bundle, child, listener).run())


class _Process:
    """One run of the replica on one event loop."""

    def __init__(self, settings: ServerSettings, bundle: Bundle, child: Child, listener: socket.socket) -> None:
        self._settings = settings
        self._child = child
        self._listener = listener
        identity = settings.identity
        self._metrics = ServerMetrics(
            identity.deployment, identity.revision, settings.latency_objective_seconds, identity.model_version
        )
        self._metrics.describe_model(
            digest=bundle.manifest.digest,
            runtime=bundle.manifest.runtime,
            format=bundle.manifest.format,
            framework_version=bundle.manifest.framework_version or "",
        )
        budget = BodyBudget(settings.queue_bytes)
        app = ForwardApp(child, self._metrics, settings, budget)
        # An answer's date is the child's.
        self._server = ConnectionServer(app, settings, hot={}, budget=budget, dates=False)
        self._exit_code = Exit.OK

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        stopping = Stopping(self._settings.drain_seconds, self._begin_to_stop, self._exit)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping)
        tasks = [asyncio.create_task(work) for work in (self._start(), self._follow(), self._child.watch())]
        host, port = self._listener.getsockname()[:2]
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        write_state(self._settings.run_dir, host, port)
        log.info("listening on %s:%s", host, port, extra={"fields": {"pid": os.getpid()}})
        await serving
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._child.end(min(self._settings.grace_seconds, _CHILD_GRACE_SECONDS))
        log.info("ended", extra={"fields": {"exit_code": self._exit_code}})
        return self._exit_code

    async def _start(self) -> None:
        started = perf_counter()
        try:
            await self._child.start()
        except Exception as error:  # noqa: BLE001 -- whatever is in the way, the answer is the same
            self._exit_code = unservable(error)
            self._exit()
            return
        if self._child.is_ready:
            gc.collect()
            gc.freeze()  # what is loaded now lives as long as the process: no collection needs to look at it again
            seconds = self._metrics.model_load_seconds = perf_counter() - started
            log.info("ready", extra={"fields": {"load_seconds": round(seconds, 3)}})

    async def _follow(self) -> None:
        """End with the child, should it end by itself."""
        code = await self._child.ended()
        log.critical("the command ended by itself", extra={"fields": {"command_exit_code": code}})
        self._child.phase = Phase.DRAINING
        self._exit_code = Exit.DIED
        self._exit()

    def _begin_to_stop(self) -> bool:
        was_ready = self._child.is_ready
        self._child.phase = Phase.DRAINING
        return was_ready

    def _exit(self) -> None:
        self._server.should_exit = True
