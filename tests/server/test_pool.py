"""The pool: off the loop, in order, together when they wait, bounded, and alive after whatever happens on a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any

import pytest

from tidegate.server.batching import BatchPolicy
from tidegate.server.exchange import Answer, Exchange
from tidegate.server.pool import LARGE_BODY_BYTES, WorkerPool
from tidegate.server.protocols.base import Encoded, Message, ModelFailed, Overloaded

HandOver = Callable[[list[Exchange]], None]


class Desk:
    """Work that notes its batches and waits at a gate while that is shut."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[bytes]] = []
        self.threads: set[int] = set()
        self.started = threading.Semaphore(0)

    def work(self, batch: Sequence[Exchange], hand_over: HandOver) -> None:
        self.threads.add(threading.get_ident())
        self.batches.append([exchange.request_id for exchange in batch])
        self.started.release()
        self.gate.wait()
        for exchange in batch:
            if exchange.message is not None:
                exchange.answer = Answer(Encoded(exchange.message.body), 1, 0.0, 0.0)
        hand_over([exchange for exchange in batch if exchange.answer is not None])


class Asker:
    """Submits exchanges to a pool and waits for their outcomes."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def ask(self, name: bytes, size: int = 10) -> tuple[Exchange, asyncio.Future[Exchange]]:
        future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        codec: Any = None
        exchange = Exchange(codec, Message(b"x" * size), perf_counter(), future.set_result, request_id=name)
        self._pool.submit(exchange)
        return exchange, future


def run(scenario: Callable[[Desk, WorkerPool, Asker], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def body() -> None:
        desk = Desk()
        given: dict[str, Any] = {"threads": 1, "queue_limit": 100, "queue_bytes": 10**9, **options}
        policy = given.pop("policy", BatchPolicy(10.0))
        pool = WorkerPool(desk.work, policy, **given)
        try:
            await scenario(desk, pool, Asker(pool))
        finally:
            desk.gate.set()
            pool.close()

    asyncio.run(body())


async def begun(desk: Desk) -> None:
    await asyncio.to_thread(desk.started.acquire)


def test_requests_are_answered_off_the_loops_thread_and_in_order() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        names = [b"%d" % number for number in range(50)]
        await asyncio.gather(*[asker.ask(name)[1] for name in names])
        assert [name for batch in desk.batches for name in batch] == names
        assert threading.get_ident() not in desk.threads
        assert pool.pending == 0

    run(scenario)


def test_a_lone_request_is_taken_at_once_and_those_that_wait_together() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        desk.gate.clear()
        futures = [asker.ask(b"first")[1]]
        await begun(desk)
        futures += [asker.ask(b"%d" % number)[1] for number in range(7)]
        desk.gate.set()
        await asyncio.gather(*futures)
        assert desk.batches[0] == [b"first"]
        assert desk.batches[1] == [b"0", b"1"]
        assert desk.batches[2] == [b"2", b"3", b"4", b"5"]

    run(scenario)


def test_a_policy_of_one_never_answers_two_together() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        await asyncio.gather(*[asker.ask(b"%d" % number)[1] for number in range(20)])
        assert {len(batch) for batch in desk.batches} == {1}

    run(scenario, policy=BatchPolicy(10.0, requests=1))


def test_nobody_waits_in_one_batch_with_a_large_body() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        desk.gate.clear()
        futures = [asker.ask(b"first")[1]]
        await begun(desk)
        futures += [asker.ask(b"a")[1], asker.ask(b"large", LARGE_BODY_BYTES + 1)[1], asker.ask(b"b")[1]]
        desk.gate.set()
        await asyncio.gather(*futures)
        assert desk.batches == [[b"first"], [b"a"], [b"large"], [b"b"]]

    run(scenario)


def test_more_than_threads_and_queue_is_refused_and_room_comes_back() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        desk.gate.clear()
        futures = [asker.ask(b"%d" % number)[1] for number in range(5)]
        with pytest.raises(Overloaded, match="queue is full"):
            asker.ask(b"one too many")
        desk.gate.set()
        await asyncio.gather(*futures)
        assert pool.pending == 0
        await asker.ask(b"again")[1]

    run(scenario, threads=2, queue_limit=3)


def test_what_waits_may_not_hold_more_bytes_than_allowed() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        desk.gate.clear()
        futures = [asker.ask(b"first", 600)[1]]
        with pytest.raises(Overloaded, match="hold too much"):
            asker.ask(b"second", 600)
        futures.append(asker.ask(b"third", 300)[1])
        desk.gate.set()
        await asyncio.gather(*futures)
        await asker.ask(b"second", 600)[1]

    run(scenario, queue_bytes=1000)


def test_what_would_wait_longer_than_the_objective_is_refused_and_what_is_being_answered_does_not_count() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        pool.cost.learn(1, 100, 0.02)  # 20 ms for each request of 100 bytes, while 40 % of 200 ms may be waited
        desk.gate.clear()
        futures = [asker.ask(b"taken", 100)[1]]
        await begun(desk)
        futures += [asker.ask(b"%d" % number, 100)[1] for number in range(5)]
        with pytest.raises(Overloaded, match="would wait 100 ms"):
            asker.ask(b"too late", 100)
        desk.gate.set()
        await asyncio.gather(*futures)

    run(scenario, policy=BatchPolicy(0.2, requests=1))


def test_what_is_cancelled_is_not_done_and_makes_room_at_once() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        desk.gate.clear()
        first = asker.ask(b"first")[1]
        await begun(desk)
        exchange, never = asker.ask(b"cancelled")
        pool.cancel(exchange)
        pool.cancel(exchange)
        assert pool.pending == 1
        assert exchange.message is None
        last = asker.ask(b"last")[1]
        desk.gate.set()
        await asyncio.gather(first, last)
        assert not never.done()
        assert pool.pending == 0

    run(scenario, queue_limit=1)


def test_to_cancel_what_is_done_already_changes_nothing() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        exchange, future = asker.ask(b"one")
        await future
        pool.cancel(exchange)
        assert pool.pending == 0

    run(scenario)


def test_work_that_hands_over_twice_or_raises_afterwards_answers_once() -> None:
    async def body() -> None:
        outcomes: list[Exchange] = []

        def work(batch: Sequence[Exchange], hand_over: HandOver) -> None:
            batch[0].answer = Answer(Encoded(b""), 1, 0.0, 0.0)
            hand_over(list(batch))
            hand_over(list(batch))

        pool = WorkerPool(work, BatchPolicy(10.0), threads=1, queue_limit=5, queue_bytes=10**6)
        codec: Any = None
        pool.submit(Exchange(codec, Message(b""), perf_counter(), outcomes.append))
        last = Asker(pool).ask(b"last")[1]
        await last
        await asyncio.sleep(0)
        assert len(outcomes) == 1
        assert pool.pending == 0
        pool.close()

    asyncio.run(body())


def test_work_that_raises_fails_its_batch_and_the_thread_lives_on() -> None:
    async def body() -> None:
        def work(batch: Sequence[Exchange], hand_over: HandOver) -> None:
            if batch[0].request_id == b"bad":
                raise SystemExit(3)
            batch[0].answer = Answer(Encoded(b""), 1, 0.0, 0.0)
            hand_over(list(batch))

        pool = WorkerPool(work, BatchPolicy(10.0), threads=1, queue_limit=5, queue_bytes=10**6)
        asker = Asker(pool)
        failed = await asker.ask(b"bad")[1]
        assert isinstance(failed.error, ModelFailed)
        assert isinstance(failed.error.__cause__, SystemExit)
        assert (await asker.ask(b"good")[1]).answer is not None
        assert pool.pending == 0
        pool.close()

    asyncio.run(body())


def test_a_pool_whose_every_thread_is_busy_says_for_how_long() -> None:
    async def scenario(desk: Desk, pool: WorkerPool, asker: Asker) -> None:
        assert pool.stuck_seconds() == 0
        desk.gate.clear()
        first = asker.ask(b"first")[1]
        await begun(desk)
        assert pool.stuck_seconds() == 0  # the other thread is free
        second = asker.ask(b"second")[1]
        await begun(desk)
        one = pool.stuck_seconds()
        assert 0 < one <= pool.stuck_seconds()
        desk.gate.set()
        await asyncio.gather(first, second)

    run(scenario, threads=2)
