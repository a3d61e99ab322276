"""The pool: bounded, in order, and alive after whatever a job does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest

from tidegate.server.pool import WorkerPool
from tidegate.server.protocols.base import Overloaded


async def admitted(pool: WorkerPool, *jobs: Callable[[], object]) -> list[asyncio.Task[object]]:
    """Hand jobs over, one after the other, and return once the pool has taken them all."""
    tasks: list[asyncio.Task[object]] = []
    for job in jobs:
        tasks.append(asyncio.create_task(pool.run(job)))
        await asyncio.sleep(0)
    return tasks


def test_jobs_run_off_the_loops_thread_and_in_order() -> None:
    async def scenario() -> None:
        pool, ran = WorkerPool(threads=1, queue_limit=100), list[int]()
        done = await asyncio.gather(*[pool.run(partial(ran.append, number)) for number in range(50)])
        assert ran == list(range(50))
        assert all(one.waited_seconds >= 0 for one in done)
        assert (await pool.run(threading.get_ident)).value != threading.get_ident()
        pool.close()

    asyncio.run(scenario())


def test_more_than_threads_and_queue_is_refused_and_room_comes_back() -> None:
    async def scenario() -> None:
        pool, gate = WorkerPool(threads=2, queue_limit=3), threading.Event()
        running = await admitted(pool, *[gate.wait] * 5)
        assert pool.pending == 5
        with pytest.raises(Overloaded):
            await pool.run(lambda: 1)
        gate.set()
        await asyncio.gather(*running)
        assert pool.pending == 0
        assert (await pool.run(lambda: 1)).value == 1
        pool.close()

    asyncio.run(scenario())


def test_an_exception_is_the_jobs_own_and_the_thread_lives_on() -> None:
    def fail() -> None:
        raise SystemExit("a model that wants to end the process")

    async def scenario() -> None:
        pool = WorkerPool(threads=1, queue_limit=2)
        with pytest.raises(SystemExit):
            await pool.run(fail)
        assert (await pool.run(lambda: "alive")).value == "alive"
        assert pool.pending == 0
        pool.close()

    asyncio.run(scenario())


def test_a_job_that_nobody_waits_for_any_more_is_not_begun_and_its_room_comes_back() -> None:
    async def scenario() -> None:
        pool, gate, begun = WorkerPool(threads=1, queue_limit=2), threading.Event(), list[int]()
        first, second = await admitted(pool, gate.wait, lambda: begun.append(1))
        second.cancel()
        await asyncio.wait([second])
        gate.set()
        await first
        assert (await pool.run(lambda: 2)).value == 2
        assert begun == []
        assert pool.pending == 0
        pool.close()

    asyncio.run(scenario())
