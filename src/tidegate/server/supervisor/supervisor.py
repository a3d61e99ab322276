"""Which generation of workers serves: start, swap, unload, drain, end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from time import monotonic
from typing import Any

from tidegate.contract.errors import Conflict, NotFound, TidegateError
from tidegate.server.channel import Document
from tidegate.server.exits import Exit
from tidegate.server.handover import HandoverQueue
from tidegate.server.rundir import write_state, write_worker_deaths
from tidegate.server.supervisor.generation import Generation, Served
from tidegate.server.supervisor.grpc_standin import GrpcStandIn
from tidegate.server.supervisor.metrics import OUTCOMES, supervision
from tidegate.server.supervisor.repository import RepositoryRequests
from tidegate.server.supervisor.settings import SupervisorSettings
from tidegate.server.supervisor.sources import Builder, Offer, Repository, Source
from tidegate.server.supervisor.standin import StandIn
from tidegate.server.supervisor.turn import Turn
from tidegate.server.supervisor.worker import Post, WorkerProcess
from tidegate.server.totals import Ended, Family, total

_METRICS_SECONDS = 1.0

log = logging.getLogger("tidegate.server")


class Supervisor:
    """One replica: its socket, its workers, its model."""

    def __init__(
        self,
        settings: SupervisorSettings,
        source: Source,
        listener: socket.socket,
        grpc_listener: socket.socket | None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._listener = listener
        self._grpc_port = None if grpc_listener is None else int(grpc_listener.getsockname()[1])
        self._handover = HandoverQueue.create()
        self._repository = source if isinstance(source, Repository) else None
        self._model = source.model if isinstance(source, Repository) else settings.model or "model"
        self._deployment = settings.deployment or self._model
        self._post = Post(listener, self._handover, self._worker_options(), self._worker_asks, grpc_listener)
        self._requests = RepositoryRequests(self, self._repository)
        self._standin = StandIn(listener, self._handover, self._stand_in)
        self._grpc_standin = (
            None
            if grpc_listener is None
            else GrpcStandIn(grpc_listener, self._model, settings.grace_seconds, self._grpc_standin_asks)
        )
        self._builder = Builder(settings)
        self._current: Generation | None = None
        self._served_offer: Offer | None = None
        self._leaving: dict[Generation, asyncio.Task[None]] = {}
        self._turn = Turn()
        self._loading: str | None = None
        self._refusals: dict[str, tuple[tuple[Any, ...], str]] = {}
        self._ended = Ended()
        self._deaths = 0
        self._swaps = dict.fromkeys(OUTCOMES, 0)
        self._is_ending = False
        self._end = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life --------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until told to stop; return the process's exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload("SIGHUP")))
        if self._settings.ends_with_stdin:
            try:
                loop.add_reader(sys.stdin.fileno(), self._stdin_ended)
            except PermissionError:  # a file, or /dev/null: there is nobody at its other end
                self._stop()
        host, port = self._listener.getsockname()[:2]
        write_state(self._settings.run_dir, host, port, self._grpc_port)
        log.info("listening on %s:%s", host, port, extra={"fields": {"pid": os.getpid()}})
        self._announce("listening", host=host, port=port, grpc_port=self._grpc_port, pid=os.getpid())
        self._open_standins()
        starting = asyncio.create_task(self._turn.take("the first model is being loaded", self._start))
        ending = asyncio.create_task(self._end.wait())
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        code: int = Exit.OK
        if self._is_ending:
            starting.cancel()  # who waits for it; the turn's own end takes care of the work
        else:
            code = starting.result()
        if code == Exit.OK:
            if self._settings.watch_seconds:
                self._spawn(self._watch())
            await ending
        ending.cancel()
        await self._finish()
        log.info("ended", extra={"fields": {"exit_code": code}})
        self._announce("ended", code=code)
        return code

    async def _start(self) -> int:
        """Serve the newest version that can be served; say what is wrong with those that cannot."""
        try:
            offers = await self._offers()
        except TidegateError as error:
            return self._unservable(error)
        for offer in offers:
            try:
                await self._swap_to(offer)
            except TidegateError as error:
                if offer is offers[-1]:
                    return self._unservable(error)
                continue
            return Exit.OK
        return Exit.UNSERVABLE

    async def _offers(self) -> list[Offer]:
        """Return the versions that may be served without being asked for by name, the newest first.

        Raises:
            TidegateError: there are none.
        """
        offers = list(await asyncio.to_thread(self._source.offers))
        wanted = self._settings.version
        if self._repository is not None and wanted is not None:
            offers = [offer for offer in offers if offer.version == wanted]
            if not offers:
                raise NotFound(f"the repository has no version {wanted} of {self._model!r}", subject=wanted)
        return offers

    def _unservable(self, error: TidegateError) -> int:
        log.critical("nothing can be served: %s", error.message, extra={"fields": _facts(error)})
        self._announce("unservable", error=error.as_dict())
        return Exit.UNSERVABLE

    def _stop(self) -> None:
        """Drain at the first signal; at the second give up what is in flight, too."""
        if not self._is_ending:
            self._is_ending = True
            log.info("stopping", extra={"fields": {"drain_seconds": self._settings.drain_seconds}})
            self._announce("stopping", drain_seconds=self._settings.drain_seconds)
        for generation in self._generations():
            generation.drain()
        self._end.set()

    def _stdin_ended(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop()

    async def _finish(self) -> None:
        self._is_ending = True
        for task in self._tasks:
            task.cancel()
        await self._turn.end()
        self._standin.end()
        if self._current is not None:
            await self._current.drained(self._longest_drain)
        for task in list(self._leaving.values()):
            await task
        if self._grpc_standin is not None:
            await self._grpc_standin.end()

    # -- swaps -------------------------------------------------------------------------------------------------------

    async def load(self, version: str | None) -> None:
        """Serve a version instead of the one that serves now; None for the newest.

        Raises:
            TidegateError: it cannot be served, there is none, or a load is under way; what served goes on serving.
        """
        what = "another version" if version is None else f"version {version}"
        await self._turn.take(f"{what} is being loaded", lambda: self._load(version))

    async def _load(self, version: str | None) -> None:
        offers = await asyncio.to_thread(self._source.offers)
        wanted = [offer for offer in offers if version is None or offer.version == version]
        if not wanted:
            raise NotFound(f"there is no version {version} of {self._model!r}", subject=version)
        await self._swap_to(wanted[0])

    async def unload(self) -> None:
        """End the workers; the replica answers 503 until a version is loaded.

        Raises:
            Conflict: a load is under way.
        """
        await self._turn.take("the model is being unloaded", self._unload)

    async def _unload(self) -> None:
        old, self._current, self._served_offer = self._current, None, None
        if old is not None:
            self._workers_changed()
            await self._retire(old)
            log.info("unloaded", extra={"fields": {"version": old.served.version}})
            self._announce("unloaded", version=old.served.version)

    async def _swap_to(self, offer: Offer) -> None:
        """Build, load, check and warm a version in new processes, and let these serve instead of the old ones."""
        self._loading = offer.version
        started = monotonic()
        in_background = self._current is not None and self._settings.loads_standing_back
        self._announce("loading", version=offer.version)
        try:
            served = await self._builder.served(self._source, offer, in_background=in_background)
            generation = Generation(
                served, self._post, self._settings.workers, changed=self._workers_changed, buried=self._bury
            )
            load_seconds = await generation.prepare(self._settings.load_seconds, in_background=in_background)
            if self._is_ending:
                await generation.kill()
                raise Conflict("the replica ends")
            with self._turn.whole():  # from here on clients may be answered by it
                await self._change_to(generation)
                self._loading = None
                await self._serves(offer, served, seconds=monotonic() - started, load_seconds=load_seconds)
        except TidegateError as error:
            self._refused(offer, error)
            raise
        finally:
            self._loading = None

    async def _change_to(self, generation: Generation) -> None:
        await generation.serve()
        old, self._current = self._current, generation
        self._workers_changed()
        if self._grpc_standin is not None:
            await self._grpc_standin.has_let_go()
        if self._is_ending:
            generation.drain()
        if old is not None:
            await self._retire(old)

    async def _serves(self, offer: Offer, served: Served, *, seconds: float, load_seconds: float) -> None:
        """Note and say that a version serves; what is on disk of others is not needed any more."""
        self._served_offer = offer
        self._refusals.pop(offer.version, None)
        self._swaps["done"] += 1
        facts = {"version": served.version, "bundle": served.bundle.name, "seconds": seconds}
        log.info("serving", extra={"fields": {**facts, "load_seconds": load_seconds}})
        await self._builder.forget([served.bundle, *(old.served.bundle for old in self._leaving)])
        # Last: who hears it may ask for the next change at once.
        self._announce("serving", **facts, load_seconds=load_seconds, sample=_sample_of(served))

    async def _retire(self, generation: Generation) -> None:
        """Have a generation end; return when nothing new is begun on it."""
        # When the replica ends, those who would get its connections end, too: it was told to drain.
        leaving = (
            generation.drained(self._longest_drain)
            if self._is_ending
            else generation.leave(self._settings.grace_seconds)
        )
        task = self._leaving[generation] = asyncio.create_task(leaving)
        task.add_done_callback(lambda _: self._leaving.pop(generation, None))
        if not self._is_ending:
            await generation.has_let_go.wait()

    def _refused(self, offer: Offer, error: TidegateError) -> None:
        self._swaps["refused"] += 1
        self._refusals[offer.version] = (offer.mark, error.message)
        log.error("version %s is refused: %s", offer.version, error.message, extra={"fields": _facts(error)})
        self._announce("refused", version=offer.version, error=error.as_dict())

    async def _reload(self, why: str) -> None:
        """Serve the newest version if it is another, or has other content, than the one that serves.

        Where the settings name a version of the repository, it is that one.
        """
        try:
            newest = (await self._offers())[0]
            if self._served_offer == newest:
                log.info("%s: the model is the one that is served", why)
                self._announce("unchanged", version=newest.version)
                return
            await self.load(None if self._repository is None else newest.version)
        except TidegateError as error:
            log.error("%s: %s", why, error.message)  # noqa: TRY400 -- the message says it all

    async def _watch(self) -> None:
        """Look for another newest version now and then; take it when it did not change between two looks."""
        seen: Offer | None = self._served_offer
        tried: Offer | None = seen
        while True:
            await asyncio.sleep(self._settings.watch_seconds)
            try:
                newest = (await self._offers())[0]
            except TidegateError:
                continue  # it is being replaced
            if newest == seen and newest not in (tried, self._served_offer) and not self._turn.is_taken:
                tried = newest
                await self._reload("a newer model")
            seen = newest

    def state_of(self, model: str, offer: Offer) -> tuple[str, str]:
        if model != self._model:
            return "UNAVAILABLE", "this replica serves another model"
        if self._loading == offer.version:
            return "LOADING", "it is being checked, loaded and warmed"
        if self._served_offer is not None and self._served_offer.version == offer.version:
            lack = self._why_nobody_serves() if self._current is None else self._current.lack
            return ("READY", "") if lack is None else ("UNAVAILABLE", lack)
        mark, reason = self._refusals.get(offer.version, ((), ""))
        return "UNAVAILABLE", reason if reason and mark == offer.mark else "it is not loaded"

    # -- what workers and clients ask ----------------------------------------------------------------------------------

    async def _worker_asks(self, worker: WorkerProcess, message: Document) -> Mapping[str, Any] | None:
        match message["kind"]:
            case "replica-metrics":
                worker.families = message["families"]
                return {"families": await self._metrics(worker)}
            case "repository":
                status, document = await self._requests.answer(message["action"], message["model"], message["document"])
                return {"status": status, "document": document}
            case unknown:
                log.error("a worker says %r, which nobody knows", unknown)
                return {}

    async def _grpc_standin_asks(self, message: Document) -> Mapping[str, Any] | None:
        match message["kind"]:
            case "repository":
                status, document = await self._requests.answer(message["action"], message["model"], message["document"])
                return {"status": status, "document": document}
            case "lack":
                return {"reason": self._why_nobody_serves()}
            case unknown:
                log.error("what stands in over gRPC says %r, which nobody knows", unknown)
                return {}

    async def _metrics(self, asking: WorkerProcess) -> list[Family]:
        """Return the metrics of the replica: those of all workers together, and of the supervision itself."""
        workers = [worker for generation in self._generations() for worker in generation.workers]
        others = [worker for worker in workers if worker is not asking]
        await asyncio.gather(*(worker.metrics(_METRICS_SECONDS) for worker in others))
        # What those had counted that have ended, also just now, is in the sum of the ended.
        others, workers = ([one for one in some if not one.is_buried] for some in (others, workers))
        # Two generations have workers of the same index while one leaves: the label tells them apart.
        numbered = dict(enumerate([asking, *others])) if self._leaving else {worker.index: worker for worker in workers}
        return total({index: worker.families for index, worker in numbered.items()}, self._ended.families) + self._own()

    def _own(self) -> list[Family]:
        serving = 0 if self._current is None else self._current.serving
        revision = self._settings.revision
        return supervision(self._deployment, revision, serving=serving, deaths=self._deaths, swaps=self._swaps)

    async def _stand_in(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Answer a client while no worker does."""
        if path == "/v2/health/live":
            return 200, {"live": True}
        parts = path.strip("/").split("/")
        if method == "POST" and parts[:2] == ["v2", "repository"]:
            if parts[2:] == ["index"]:
                return await self._repository_request("index", None, body)
            if len(parts) == 5 and parts[2] == "models" and parts[4] in ("load", "unload"):
                return await self._repository_request(parts[4], parts[3], body)
        reason = self._why_nobody_serves()
        if path.endswith("/ready"):
            return 503, {"ready": False, "phase": "loading" if self._loading is not None else "down", "reason": reason}
        return 503, {"error": reason}

    async def _repository_request(self, action: str, model: str | None, body: bytes) -> tuple[int, Any]:
        try:
            document = json.loads(body) if body.strip() else {}
        except (ValueError, RecursionError):
            return 400, {"error": "the body is not JSON"}
        return await self._requests.answer(action, model, document)

    def _why_nobody_serves(self) -> str:
        if self._loading is not None:
            return "the model is still being loaded"
        if self._current is None:
            return f"no version of {self._model!r} is loaded"
        return "the worker ended and is being started again"

    # -- inside ------------------------------------------------------------------------------------------------------

    @property
    def _longest_drain(self) -> float:
        return self._settings.drain_seconds + self._settings.grace_seconds

    def _generations(self) -> list[Generation]:
        return [*([] if self._current is None else [self._current]), *self._leaving]

    def _workers_changed(self) -> None:
        """Stand in where no worker serves, and tell those that do whether the replica is ready."""
        nobody = self._current is None or self._current.serving == 0
        if nobody and not self._is_ending:
            self._open_standins(at_once=self._current is None and self._loading is None)
        else:
            self._standin.close()
            if self._grpc_standin is not None:
                self._grpc_standin.close()
        lack = self._why_nobody_serves() if self._current is None else self._current.lack
        for generation in self._generations():
            for worker in generation.workers:
                worker.tell_of_replica(lack)

    def _open_standins(self, *, at_once: bool = False) -> None:
        self._standin.open()
        if self._grpc_standin is not None:
            self._grpc_standin.open(at_once=at_once)

    def _bury(self, worker: WorkerProcess) -> None:
        """Keep what an ended worker had counted."""
        if worker.last_words is None and worker.returncode:
            self._deaths += 1
            if self._current is not None:  # else it never served, and this process is about to say so by its end
                write_worker_deaths(self._settings.run_dir, self._deaths)
            self._announce("worker-died", worker=worker.index, code=worker.returncode)
        self._ended.add(worker.families)

    def _worker_options(self) -> list[str]:
        settings = self._settings
        options = ["--deployment", self._deployment, "--revision", str(settings.revision)]
        options += ["--model-name", self._model, "--run-dir", str(settings.run_dir), "--host", settings.host]
        options += ["--drain-seconds", str(settings.drain_seconds), "--grace-seconds", str(settings.grace_seconds)]
        return [*options, *settings.worker_options]

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _announce(self, event: str, **facts: Any) -> None:
        if self._settings.announces:
            try:
                sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
                sys.stdout.flush()
            except OSError:  # nobody reads any more
                log.warning("nobody takes what is announced")


def _sample_of(served: Served) -> Any:
    """Return the first row of a bundle's sample, for an example request."""
    try:
        rows = json.loads((served.bundle / "sample.json").read_bytes())
    except (OSError, ValueError):
        return None
    return rows[0] if isinstance(rows, list) and rows else None


def _facts(error: TidegateError) -> dict[str, Any]:
    return {key: value for key, value in error.as_dict().items() if key != "message"}
