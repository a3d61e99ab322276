"""A worker: the same server as a replica's own process, on connections that it shares with its siblings.

Its supervisor (`server.supervisor`) tells it when to serve and when to leave. It loads first and takes connections
afterwards. Leaving, it takes no more, finishes what it has begun with the model that it has, gives every connection to
the others between two requests, and ends, which returns its memory. When the supervisor is gone it ends, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from time import monotonic
from typing import Any

from tidegate.artifact.bundle import Bundle, read_bundle
from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import Model
from tidegate.scheduling import stand_back
from tidegate.server.channel import Channel, Document
from tidegate.server.handover import Giver, HandoverQueue, Intake
from tidegate.server.life import loop_factory, unservable
from tidegate.server.process import ReplicaProcess, tune
from tidegate.server.settings import ServerSettings, WorkerLinks
from tidegate.server.siblings import Siblings
from tidegate.server.wording import one_line

_POLL_SECONDS = 0.02

log = logging.getLogger("tidegate.server")


def run(settings: ServerSettings) -> int:
    """Be a worker until told to leave; return the process's exit code."""
    links = settings.worker
    assert links is not None  # noqa: S101 (the caller looked)
    tune()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            bundle = read_bundle(settings.bundle)
            if bundle.signature.kind == "opaque":
                raise InvalidInput(
                    "a server that a command starts has processes of its own and cannot be a worker",
                    hint="tidegate deploy serves it",
                )
        except TidegateError as error:
            return runner.run(_refuse(links, error))
        return runner.run(_WorkerProcess(settings, bundle, links).run())


async def _refuse(links: WorkerLinks, error: TidegateError) -> int:
    """Say what is wrong with a bundle that cannot even be read."""

    async def ignore(_: Document) -> None:
        return None

    channel = Channel(socket.socket(fileno=links.control_fd), ignore)
    listening = asyncio.create_task(channel.run())
    channel.tell("unservable", error=error.as_dict())
    await asyncio.sleep(_POLL_SECONDS)
    listening.cancel()
    return unservable(error)


class _WorkerProcess(ReplicaProcess):
    def __init__(self, settings: ServerSettings, bundle: Bundle, links: WorkerLinks) -> None:
        super().__init__(settings, bundle, [])
        self._links = links
        self._handover = HandoverQueue.inherited(*links.handover_fds)
        self._intake = Intake(socket.socket(fileno=links.listen_fd), self._handover, self._server.adopt)
        self._channel = Channel(socket.socket(fileno=links.control_fd), self._told)
        self._siblings = self._replica.siblings = Siblings(self._channel, self._replica.metrics)
        self._leaving: asyncio.Task[None] | None = None

    async def run(self) -> int:
        listening = asyncio.create_task(self._listen())
        try:
            return await super().run()
        finally:
            listening.cancel()
            # Giving a large model's memory back takes the kernel a while.
            stand_back()

    def _announce(self, _: int | None) -> None:
        log.info("worker started", extra={"fields": {"worker": self._links.index, "pid": os.getpid()}})

    def _load(self) -> Model:
        if self._links.in_background:
            stand_back()
        return super()._load()

    def _ready(self, load_seconds: float) -> None:
        self._channel.tell("ready", load_seconds=load_seconds)

    def _unservable(self, error: BaseException) -> None:
        document = (
            error.as_dict() if isinstance(error, TidegateError) else {"code": "error", "message": one_line(error)}
        )
        self._channel.tell("unservable", error=document)
        super()._unservable(error)

    def _exit(self) -> None:
        self._intake.close()
        super()._exit()

    async def _listen(self) -> None:
        await self._channel.run()
        if not self._server.should_exit:
            log.error("the supervisor is gone: ending")
            self._exit()

    async def _told(self, message: Document) -> Mapping[str, Any] | None:
        match message["kind"]:
            case "serve":
                await self._serve_grpc()
                self._intake.open(asyncio.get_running_loop())
                return {}
            case "leave":
                if self._leaving is None:
                    giver = self._let_go()
                    self._leaving = asyncio.create_task(self._leave(giver))
                if self._grpc is not None:
                    await self._grpc.let_go()
                return {}
            case "replica":
                self._siblings.lack = message["lack"]
                return None
            case "metrics":
                return {"families": self._replica.metrics.dump()}
            case unknown:
                log.error("the supervisor says %r, which this worker does not know", unknown)
                return None

    async def _serve_grpc(self) -> None:
        descriptor = self._links.grpc_fd
        if descriptor is not None and self._grpc is None:
            from tidegate.server.grpc.serving import server_of

            self._grpc = server_of(self._replica)
            await self._grpc.start_behind(socket.socket(fileno=descriptor))

    @property
    def _grpc_is_done(self) -> bool:
        return self._grpc_ending is None or self._grpc_ending.done()

    def _let_go(self) -> Giver:
        """Take no connections any more, and give those away that are between two requests."""
        self._intake.close()
        if self._grpc is not None and self._grpc_ending is None:
            # gRPC has a way of its own: GOAWAY, upon which clients take their next call to another connection.
            self._grpc_ending = asyncio.create_task(self._grpc.stop())
        giver = Giver(self._handover, asyncio.get_running_loop())
        self._server.hand_over(giver.give)
        return giver

    async def _leave(self, giver: Giver) -> None:
        """Finish what was begun, give the connections away, and end within the grace."""
        until = monotonic() + self._settings.grace_seconds
        while monotonic() < until and not self._server.should_exit:
            self._server.hand_over(giver.give)
            if giver.is_done and not self._server.has_connections and not self._replica.pending and self._grpc_is_done:
                break
            await asyncio.sleep(_POLL_SECONDS)
        self._channel.tell("last-words", families=self._replica.metrics.dump())
        self._exit()
