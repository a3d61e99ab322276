"""The process that answers gRPC while no worker does, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

from tidegate.contract.errors import Unavailable
from tidegate.server.channel import Channel, Document
from tidegate.server.supervisor.backoff import next_delay

#: A worker that starts is there sooner than a process that stands in for it; what calls meanwhile waits.
_DELAY_SECONDS = 2.0
#: For sending its clients away; it gives itself less.
_LET_GO_SECONDS = 5.0
#: Beyond the time that the process gives itself to end.
_MARGIN_SECONDS = 5.0

log = logging.getLogger("tidegate.server")

Answer = Callable[[Document], Awaitable[Mapping[str, Any] | None]]


class GrpcStandIn:
    """Starts the process when it is wanted, and has it leave when it is not."""

    def __init__(self, listener: socket.socket, model: str, grace_seconds: float, answer: Answer) -> None:
        """`answer` is called with what the process asks: "lack", and "repository" as a worker does."""
        self._listener = listener
        self._options = ["--model-name", model, "--grace-seconds", str(grace_seconds)]
        self._longest_end = grace_seconds + _MARGIN_SECONDS
        self._answer = answer
        self._leave: asyncio.Event | None = None
        self._lives: set[asyncio.Task[None]] = set()
        #: Of each process that takes connections: set when it does no more.
        self._let_go: set[asyncio.Event] = set()

    def open(self, *, at_once: bool) -> None:
        """Stand in: at once where no worker is on its way, else only when that takes a while."""
        if self._leave is None:
            self._leave = asyncio.Event()
            life = asyncio.create_task(self._live(self._leave, 0.0 if at_once else _DELAY_SECONDS))
            self._lives.add(life)
            life.add_done_callback(self._lives.discard)

    def close(self) -> None:
        """A worker serves: send clients there, finish what was begun, and end."""
        if self._leave is not None:
            self._leave.set()
            self._leave = None

    async def has_let_go(self) -> None:
        """Wait, after `close`, until clients that begin a call begin it on a worker."""
        for gone in list(self._let_go):
            await gone.wait()

    async def end(self) -> None:
        """Close, and wait for the end."""
        self.close()
        if self._lives:
            await asyncio.wait(self._lives)

    async def _live(self, leave: asyncio.Event, delay: float) -> None:
        """Be there until told to leave; a process that ends by itself is started again."""
        pause = 0.0
        await _waited_for(leave, delay)
        while not leave.is_set():
            started = monotonic()
            try:
                code = await self._run(leave)
            except OSError as error:
                code = error.strerror or str(error)
            if not leave.is_set():
                pause = next_delay(pause, monotonic() - started)
                log.error("what stands in over gRPC ended with %s: starting another in %g s", code, pause)
                await _waited_for(leave, pause)

    async def _run(self, leave: asyncio.Event) -> int | str:
        ours, theirs = socket.socketpair()
        with theirs:
            shared = (self._listener.fileno(), theirs.fileno())
            command = [sys.executable, "-m", "tidegate.server.grpc.standin", *self._options]
            command += ["--grpc-fd", str(shared[0]), "--control-fd", str(shared[1])]
            try:
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=asyncio.subprocess.DEVNULL, pass_fds=shared, process_group=0
                )
            except OSError:
                ours.close()
                raise
        gone = asyncio.Event()

        async def hear(message: Document) -> Mapping[str, Any] | None:
            if message["kind"] != "begin":
                return await self._answer(message)
            if not leave.is_set():
                self._let_go.add(gone)
            return {"wanted": not leave.is_set()}

        channel = Channel(ours, hear)
        listening = asyncio.create_task(channel.run())
        ended, told = asyncio.create_task(process.wait()), asyncio.create_task(leave.wait())
        try:
            await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
            if gone in self._let_go and told.done():  # else it has no clients, and ends with what follows
                with contextlib.suppress(Unavailable):  # it ended meanwhile, or is too busy to say so
                    await channel.ask("leave", _LET_GO_SECONDS)
                gone.set()
                await asyncio.wait({ended}, timeout=self._longest_end)
        finally:
            gone.set()
            self._let_go.discard(gone)
            told.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            code = await ended
            listening.cancel()
        return code


async def _waited_for(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event, but no longer than so."""
    if seconds:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
