"""A bounded pool of threads that run the model, so that the event loop never does.

Every count is kept on the event loop's thread, so there is no lock: `run` adds, the completion that comes back to the
loop subtracts. What does not fit into the queue is refused at once, because a request that waits longer than its
client does is work for nobody.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Generic, NamedTuple, TypeVar

from tidegate.server.protocols.base import Overloaded

T = TypeVar("T")


class Done(NamedTuple, Generic[T]):
    """A job's result and how long, in seconds, it waited for a thread."""

    value: T
    waited_seconds: float


class _Job(NamedTuple):
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    queued_at: float


class WorkerPool:
    """Threads that take jobs in order of arrival.

    The threads are daemons: a model that hangs in native code cannot keep the process from ending.
    """

    def __init__(self, threads: int, queue_limit: int) -> None:
        """Start `threads` threads; up to `queue_limit` jobs wait beyond those that run."""
        self._capacity = threads + queue_limit
        self._pending = 0
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{index}", daemon=True) for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pending(self) -> int:
        """Jobs that wait or run."""
        return self._pending

    async def run(self, work: Callable[[], T]) -> Done[T]:
        """Run `work` on a thread and return its result; its exception is raised here.

        Raises:
            Overloaded: as many jobs wait already as may.
        """
        if self._pending >= self._capacity:
            raise Overloaded(
                "the server is busy: its queue is full", expected=f"at most {self._capacity} requests at a time"
            )
        future: asyncio.Future[Done[T]] = asyncio.get_running_loop().create_future()
        self._pending += 1
        self._jobs.put(_Job(work, future, perf_counter()))
        return await future

    def close(self) -> None:
        """End each thread after the jobs that wait."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            waited = perf_counter() - job.queued_at
            result: Any = None
            failure: BaseException | None = None
            if not job.future.cancelled():
                try:
                    result = Done(job.work(), waited)
                except BaseException as error:  # noqa: BLE001 -- the job's owner gets it, this thread lives on
                    failure = error
            job.future.get_loop().call_soon_threadsafe(self._finish, job.future, result, failure)

    def _finish(self, future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
        self._pending -= 1
        if future.done():
            return
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(result)
