"""One worker process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Any

from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.server.channel import Channel, Document
from tidegate.server.handover import HandoverQueue

_ANSWER_SECONDS = 5.0

log = logging.getLogger("tidegate.server")


class State(StrEnum):
    """loading; ready: warm, and takes no connections yet; serving; leaving: finishes what it has; ended."""

    LOADING = "loading"
    READY = "ready"
    SERVING = "serving"
    LEAVING = "leaving"
    ENDED = "ended"


@dataclass(frozen=True)
class Post:
    """What every worker of a replica is given.

    Attributes:
        options: of `python -m tidegate.server`, those that do not depend on the model.
        answer: called with (worker, message) for what a worker asks or says that is not about itself.
    """

    listener: socket.socket
    handover: HandoverQueue
    options: Sequence[str]
    answer: Callable[[WorkerProcess, Document], Awaitable[Mapping[str, Any] | None]]
    grpc_listener: socket.socket | None = None


class WorkerProcess:
    """A worker from its start to its end.

    Attributes:
        families: what it counted, as far as it said so.
        last_words: the same, said as it ended when it was told to leave; None before.
        is_buried: it ended, and what it had counted is kept elsewhere.
    """

    def __init__(self, index: int, post: Post) -> None:
        self.index = index
        self.state = State.LOADING
        self.started_at = monotonic()
        self.families: list[Any] = []
        self.last_words: list[Any] | None = None
        self.is_buried = False
        self._post = post
        self._ready: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._life: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()

    @property
    def is_serving(self) -> bool:
        """Whether it takes connections and its process lives."""
        return self.state is State.SERVING and not self._gone.is_set()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.returncode

    async def start(self, bundle: Path, options: Sequence[str], *, in_background: bool) -> None:
        """Start the process.

        Raises:
            Unavailable: the system refuses.
        """
        ours, theirs = socket.socketpair()
        listener, queue = self._post.listener, self._post.handover
        shared = [listener.fileno(), queue.reading.fileno(), queue.writing.fileno(), theirs.fileno()]
        command = [sys.executable, "-m", "tidegate.server", "--bundle", str(bundle), *self._post.options, *options]
        command += ["--worker", str(self.index), "--listen-fd", str(shared[0])]
        command += ["--handover-fds", str(shared[1]), str(shared[2]), "--control-fd", str(shared[3])]
        if self._post.grpc_listener is not None:
            shared.append(self._post.grpc_listener.fileno())
            command += ["--grpc-fd", str(shared[-1])]
        command += ["--in-background"] if in_background else []
        try:
            with theirs:
                # A process group of its own: Ctrl-C in a terminal is for the supervisor, which then drains its workers.
                # Not a session: Linux shares processors out between sessions first (sched(7), autogroup), and what
                # stands back within its own session takes half of them from the workers of another.
                self._process = await asyncio.create_subprocess_exec(
                    *command, stdin=asyncio.subprocess.DEVNULL, pass_fds=shared, process_group=0
                )
        except OSError as error:
            ours.close()
            raise Unavailable(f"a worker cannot be started: {error.strerror or error}") from error
        self._channel = Channel(ours, self._hear)
        self._life = asyncio.create_task(self._live(self._process, self._channel))

    async def ready(self) -> float:
        """Wait until the model is warm and return the seconds that it took.

        Raises:
            TidegateError: it cannot be served, in the worker's own words or for the way in which it ended.
        """
        return await asyncio.shield(self._ready)

    async def serve(self) -> None:
        """Have it take connections.

        Raises:
            Unavailable: it is gone, or does not answer.
        """
        assert self._channel is not None  # noqa: S101 (it was started)
        await self._channel.ask("serve", _ANSWER_SECONDS)
        if self.state is State.READY:
            self.state = State.SERVING

    async def leave(self) -> None:
        """Have it finish what it has, give its connections to the others, and end.

        When this returns it has given away every connection that was between two requests.
        """
        if self.state is not State.ENDED and self._channel is not None:
            self.state = State.LEAVING
            with contextlib.suppress(Unavailable):  # it is gone, or too busy to say so
                await self._channel.ask("leave", _ANSWER_SECONDS)

    def signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def tell_of_replica(self, lack: str | None) -> None:
        """Say what the replica lacks to be ready; None for nothing."""
        if self._channel is not None and self.state is not State.ENDED:
            self._channel.tell("replica", lack=lack)

    async def gone(self) -> None:
        """Wait until its process is no more; `ended` comes later, when all that it said is read."""
        if self._life is not None:  # else there never was one
            await self._gone.wait()

    async def ended(self, timeout_seconds: float | None = None) -> None:
        """Wait for its end; one that lasts longer than the timeout is killed."""
        if self._life is None:
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.shield(self._life)
        except TimeoutError:
            log.error(  # noqa: TRY400 -- a trace says nothing here
                "worker %s did not end in time: killed", self.index, extra={"fields": {"pid": self.pid}}
            )
            self.signal(signal.SIGKILL)
            await self._life

    async def metrics(self, timeout_seconds: float) -> list[Any]:
        """Return its metrics; what was known of them last when it does not answer."""
        if self._channel is not None and self.state in (State.SERVING, State.LEAVING):
            try:
                self.families = (await self._channel.ask("metrics", timeout_seconds))["families"]
            except Unavailable:
                # It may be ending, and its last words just be arriving; an older count would let counters fall.
                if self._life is not None:
                    await asyncio.wait({self._life}, timeout=timeout_seconds)
        return self.families

    async def _live(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        reading = asyncio.create_task(channel.run())
        code = await process.wait()
        self._gone.set()
        # What it said before it ended is still in the channel.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await asyncio.shield(reading)
        reading.cancel()
        if not self._ready.done():
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._refuse(InvalidInput(f"the process that loaded the model {how}", hint="see its log"))
        self.state = State.ENDED

    async def _hear(self, message: Document) -> Mapping[str, Any] | None:
        match message["kind"]:
            case "ready":
                if self.state is State.LOADING:
                    self.state = State.READY
                if not self._ready.done():
                    self._ready.set_result(float(message["load_seconds"]))
                return None
            case "unservable":
                told = message["error"]
                details = {key: told.get(key) for key in ("subject", "expected", "got", "hint")}
                self._refuse(InvalidInput(str(told.get("message", "the model cannot be served")), **details))
                return None
            case "last-words":
                self.last_words = self.families = message["families"]
                return None
            case _:
                return await self._post.answer(self, message)

    def _refuse(self, error: TidegateError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # looked at: nobody may be waiting
