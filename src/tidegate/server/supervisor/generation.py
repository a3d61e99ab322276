"""The workers of one model: started together, replaced one by one when they die, and ended together."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.server.supervisor.backoff import next_delay
from tidegate.server.supervisor.worker import Post, State, WorkerProcess

#: Beyond the time that a worker gives itself to end.
_MARGIN_SECONDS = 10.0
#: For workers that serve without a sibling that was to serve with them.
_GIVING_UP_SECONDS = 5.0

log = logging.getLogger("tidegate.server")


@dataclass(frozen=True)
class Served:
    """What a generation serves: a bundle, and under which version its clients know it."""

    version: str
    bundle: Path

    def options(self) -> list[str]:
        return ["--model-version", self.version]


class Generation:
    """All workers of one model.

    `changed` is called when a worker begins to serve or ends; `buried` once with each worker that ended. `has_let_go`
    is set when it was told to leave and begins nothing new.
    """

    def __init__(
        self,
        served: Served,
        post: Post,
        workers: int,
        *,
        changed: Callable[[], None],
        buried: Callable[[WorkerProcess], None],
    ) -> None:
        self.served = served
        self.deaths = 0
        self.has_let_go = asyncio.Event()
        self._post = post
        self._wanted = workers
        self._changed = changed
        self._buried = buried
        self._workers: dict[int, WorkerProcess] = {}
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def workers(self) -> Sequence[WorkerProcess]:
        return list(self._workers.values())

    @property
    def serving(self) -> int:
        """How many workers take connections."""
        return sum(worker.is_serving for worker in self._workers.values())

    @property
    def lack(self) -> str | None:
        """What it lacks to be ready, a sentence; None when all its workers serve."""
        if self.serving == self._wanted:
            return None
        return f"{self.serving} of {self._wanted} workers serve: another is being started"

    async def prepare(self, timeout_seconds: float, *, in_background: bool) -> float:
        """Start all workers and wait until each has its model warm; return the seconds of the slowest.

        Raises:
            TidegateError: the model cannot be served, or was not ready in time; nothing is left running.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                for index in range(self._wanted):
                    await self._start(index, in_background=in_background)
                return max(await asyncio.gather(*(worker.ready() for worker in self.workers)))
        except TimeoutError:
            await self.kill()
            raise InvalidInput(
                f"the model was not ready within {timeout_seconds:g} s",
                subject=str(self.served.bundle),
                hint="give it more time with --load-seconds, or a share of busy processors with --load-priority normal",
            ) from None
        except BaseException:
            await self.kill()
            raise

    async def serve(self) -> None:
        """Have all workers take connections, and replace from now on those that die.

        Raises:
            Unavailable: one died in the meantime; all are ended, those that had begun to serve after their answers.
        """
        outcomes = await asyncio.gather(*(worker.serve() for worker in self.workers), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                for worker in self.workers:
                    if worker.state is not State.SERVING:
                        worker.signal(signal.SIGKILL)
                await self.leave(_GIVING_UP_SECONDS)
                raise outcome
        self._keepers = [asyncio.create_task(self._keep(index)) for index in range(self._wanted)]
        self._changed()

    async def leave(self, grace_seconds: float) -> None:
        """Have the workers give their connections away and end; see `has_let_go`."""
        self._let_go()
        try:
            await asyncio.gather(*(worker.leave() for worker in self.workers))
        finally:
            self.has_let_go.set()
        await self._until_ended(grace_seconds + _MARGIN_SECONDS)

    def drain(self) -> None:
        """Have the workers stop serving as a replica does at SIGTERM: soon, and at once when called again."""
        self._let_go()
        for worker in self.workers:
            worker.signal(signal.SIGTERM)

    async def drained(self, longest_seconds: float) -> None:
        await self._until_ended(longest_seconds + _MARGIN_SECONDS)

    async def kill(self) -> None:
        """End the workers now; they serve nobody. Who is cancelled meanwhile still waits for their end."""
        self._let_go()
        for worker in self.workers:
            worker.signal(signal.SIGKILL)
        ending = asyncio.create_task(self._until_ended(_MARGIN_SECONDS))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    async def _start(self, index: int, *, in_background: bool) -> WorkerProcess:
        worker = self._workers[index] = WorkerProcess(index, self._post)
        await worker.start(self.served.bundle, self.served.options(), in_background=in_background)
        return worker

    async def _keep(self, index: int) -> None:
        """Replace the worker of this place whenever it ends."""
        delay = 0.0
        while True:
            worker = self._workers[index]
            await worker.gone()
            self._changed()  # not ready from now on; reading what it said last may take a while
            await worker.ended()
            self._bury(worker)
            self.deaths += 1
            self._changed()
            delay = next_delay(delay, monotonic() - worker.started_at)
            log.error(
                "worker %s ended with code %s: starting another",
                index,
                worker.returncode,
                extra={"fields": {"pid": worker.pid, "delay_seconds": delay}},
            )
            await asyncio.sleep(delay)
            try:
                # In the background where others serve; alone, the sooner it is back the better.
                replacement = await self._start(index, in_background=self.serving > 0)
                self._changed()  # it too must know, before it is asked, that it is not all
                await replacement.ready()
                await replacement.serve()
            except TidegateError as error:
                log.error("the worker cannot be replaced: %s", error.message)  # noqa: TRY400 -- the message says it all
                # One that is too slow to answer serves nobody; its end starts another.
                self._workers[index].signal(signal.SIGKILL)
            self._changed()

    def _bury(self, worker: WorkerProcess) -> None:
        """Say once that a worker ended: its keeper may have said so when all are ended."""
        if not worker.is_buried:
            worker.is_buried = True
            self._buried(worker)

    def _let_go(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        self._keepers = []

    async def _until_ended(self, longest_seconds: float) -> None:
        workers = self.workers
        await asyncio.gather(*(worker.ended(longest_seconds) for worker in workers))
        for worker in workers:
            self._bury(worker)
        self._workers.clear()
        self._changed()
