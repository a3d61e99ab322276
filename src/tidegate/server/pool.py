"""A bounded pool of threads that run the model, so that the event loop never does.

Threads take what waits in order of arrival, several requests at once when several wait. Every count is kept on the
event loop's thread, so there is no lock: `submit` adds, the completion that comes back to the loop subtracts. What
would wait too long is refused at once, because a request that waits longer than its client does is work for nobody.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import perf_counter

from tidegate.server.batching import BatchPolicy, CostModel
from tidegate.server.exchange import Exchange
from tidegate.server.protocols.base import ModelFailed, Overloaded

#: Answers the exchanges: sets the outcome of each and hands those that are finished over, all at once or bit by bit.
Work = Callable[[Sequence[Exchange], Callable[[list[Exchange]], None]], None]

#: A body beyond this size is decoded alone, so that nobody small waits for it in one batch.
LARGE_BODY_BYTES = 128 * 1024


def _nobody(_: Exchange) -> None:
    """Take an outcome that nobody waits for."""


class WorkerPool:
    """Threads that answer exchanges.

    The threads are daemons: a model that hangs in native code cannot keep the process from ending.
    """

    def __init__(self, work: Work, policy: BatchPolicy, threads: int, queue_limit: int, queue_bytes: int) -> None:
        """Start `threads` threads; up to `queue_limit` requests wait beyond those being answered.

        Args:
            work: called on a thread with one batch at a time.
            queue_bytes: the most that the bodies of all pending requests may hold together.
        """
        self.policy = policy
        self.cost = CostModel()
        self._work = work
        self._limit = threads + queue_limit
        self._bytes_limit = queue_bytes
        self._pending = 0
        self._pending_bytes = 0
        self._queue: SimpleQueue[Exchange | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        #: When each thread took what it is at, None while it waits; and how much that is, in requests and bytes.
        self._busy_since: list[float | None] = [None] * threads
        self._taken: list[tuple[int, int]] = [(0, 0)] * threads
        self._threads = [
            threading.Thread(target=self._run, args=(index,), name=f"inference-{index}", daemon=True)
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pending(self) -> int:
        """Requests that wait or are being answered."""
        return self._pending

    @property
    def is_idle(self) -> bool:
        """Whether no thread is in the model, also for requests that were given up, and none waits."""
        return self._queue.empty() and all(start is None for start in self._busy_since)

    def stuck_seconds(self) -> float:
        """Return for how long every thread has been at one batch without an end; 0 when one is free."""
        now, starts = perf_counter(), list(self._busy_since)
        return min((0.0 if start is None else now - start for start in starts), default=0.0)

    def submit(self, exchange: Exchange) -> None:
        """Queue an exchange; its `done` is called on this thread later, unless it is cancelled before.

        Raises:
            Overloaded: as many wait already as may, or it would wait longer than the latency objective allows.
        """
        if self._pending:
            self._admit(exchange)
        self._pending += 1
        self._pending_bytes += exchange.size
        self._queue.put(exchange)

    def _admit(self, exchange: Exchange) -> None:
        if self._pending >= self._limit:
            raise Overloaded(
                "the server is busy: its queue is full", expected=f"at most {self._limit} requests at a time"
            )
        if self._pending_bytes + exchange.size > self._bytes_limit:
            raise Overloaded(
                "the server is busy: the requests that wait hold too much", expected=f"{self._bytes_limit} bytes"
            )
        if self.policy.is_soon(self.cost, self._pending, self._pending_bytes, len(self._threads)):
            return
        # What is being answered is left out: one large request would have all others refused that come meanwhile.
        waiting = self._pending - sum(requests for requests, _ in self._taken)
        waiting_bytes = self._pending_bytes - sum(size for _, size in self._taken)
        wait = self.policy.expected_wait(self.cost, max(waiting, 0), max(waiting_bytes, 0), len(self._threads))
        longest = self.policy.longest_wait(self.cost, exchange.size)
        if wait > longest:
            raise Overloaded(
                f"the server is busy: this request would wait {wait * 1e3:.0f} ms",
                expected=f"at most {longest * 1e3:.0f} ms",
            )

    def cancel(self, exchange: Exchange) -> None:
        """Let go of an exchange that was submitted and is not done: it is not worked on, its `done` is not called."""
        if not exchange.cancelled and not exchange.finished:
            exchange.cancelled = True
            exchange.message = None
            exchange.done = _nobody  # the queue must not keep the client's connection
            self._forget(exchange)

    def close(self) -> None:
        """End each thread after the requests that wait."""
        for _ in self._threads:
            self._queue.put(None)

    def _forget(self, exchange: Exchange) -> None:
        self._pending -= 1
        self._pending_bytes -= exchange.size

    def _run(self, index: int) -> None:
        held: Exchange | None = None
        while True:
            first = self._queue.get() if held is None else held
            held = None
            if first is None:
                return
            if first.cancelled:
                continue
            batch, held = self._gather(first)
            size = sum(exchange.size for exchange in batch)
            self._taken[index] = (len(batch), size)
            self._busy_since[index] = started = perf_counter()
            try:
                self._work(batch, self._hand_over)
            except BaseException as error:  # noqa: BLE001 -- a fault of ours: these get it, this thread lives on
                for exchange in batch:
                    if exchange.answer is None and exchange.error is None:
                        exchange.error = ModelFailed(f"the request was not served: {type(error).__name__}")
                        exchange.error.__cause__ = error
                        self._hand_over([exchange])
            self._busy_since[index] = None
            self._taken[index] = (0, 0)
            self.cost.learn(len(batch), size, perf_counter() - started)

    def _gather(self, first: Exchange) -> tuple[list[Exchange], Exchange | None]:
        """Return what to answer together with `first`, and what was taken from the queue beyond that."""
        queue = self._queue
        waiting = queue.qsize()
        if not waiting or first.size > LARGE_BODY_BYTES:
            return [first], None
        batch = [first]
        most = self.policy.take(self.cost, waiting + 1, first.size * (waiting + 1))
        while len(batch) < most:
            try:
                another = queue.get_nowait()
            except Empty:
                break
            if another is None or another.size > LARGE_BODY_BYTES:
                if another is None:
                    queue.put(None)
                    return batch, None
                return batch, another
            if not another.cancelled:  # one that was is no work, and its time would say that work takes none
                batch.append(another)
        return batch, None

    def _hand_over(self, finished: list[Exchange]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._finish, finished)
        except RuntimeError:  # the loop has ended, and with it everybody who waited
            return

    def _finish(self, finished: list[Exchange]) -> None:
        for exchange in finished:
            if not exchange.cancelled and not exchange.finished:
                exchange.finished = True
                self._forget(exchange)
                try:
                    exchange.done(exchange)
                except Exception as error:  # noqa: BLE001 -- the others that are finished get their answers
                    self._loop.call_exception_handler({"message": "an answer was not delivered", "exception": error})
