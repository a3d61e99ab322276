"""A listing of containers that was under way while one was started or removed tells nothing of that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.target.conftest import Run, spec_of
from tidegate.agent.client import AgentClient
from tidegate.agent.service import Found
from tidegate.agent.specification import ReplicaKey, Specification
from tidegate.contract.errors import Conflict, NotFound, Unavailable
from tidegate.gateway.base import RevisionRef
from tidegate.target.containers import ContainerRunner
from tidegate.target.slots import Slot

FIRST, OTHER = ReplicaKey("churn", 1, 0), ReplicaKey("churn", 1, 1)


def container(key: ReplicaKey, number: int = 1) -> Found:
    return Found(key, f"{key}-{number}", "tidegate/api", is_running=True, address="10.0.0.2")


class Listing(AgentClient):
    """An agent in memory, whose answer to a listing can be held back after it was made."""

    def __init__(self, *there: Found) -> None:
        self.there = {found.key: found for found in there}
        self.hold: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.listings = 0
        self.is_away = False

    async def replicas(self) -> list[Found]:
        if self.is_away:
            raise Unavailable("the agent does not answer")
        self.listings += 1
        listed = list(self.there.values())
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        return listed

    async def start(self, asked: Specification) -> Found:
        if asked.key in self.there:
            raise Conflict("this replica runs", subject=str(asked.key))
        self.there[asked.key] = container(asked.key, 2)
        return self.there[asked.key]

    async def remove(self, key: ReplicaKey) -> None:
        if self.there.pop(key, None) is None:
            raise NotFound("no container", subject=str(key))

    async def log(self, key: ReplicaKey, lines: int) -> list[str]:
        return [f"of {key}"]

    def ended(self, key: ReplicaKey) -> None:
        self.there[key] = replace(self.there[key], is_running=False, address=None, exit_code=137)


class Bench:
    """A runner over such an agent, and its replicas' slots."""

    def __init__(self, home: Path, *there: Found) -> None:
        self.home = home
        self.agent = Listing(*there)
        self.runner = ContainerRunner(home, self.agent)

    def slot(self, key: ReplicaKey) -> Slot:
        return Slot(self.home, RevisionRef(key.deployment, key.revision), key.index)

    def is_alive(self, key: ReplicaKey) -> bool:
        return self.runner.is_alive(self.slot(key))

    async def start(self, key: ReplicaKey) -> None:
        await self.runner.start(self.slot(key), spec_of(key.deployment, key.revision))

    async def look(self) -> None:
        """Look, and not at what was found a moment ago."""
        listings = self.agent.listings
        while self.agent.listings == listings:
            await self.runner.look()
            await asyncio.sleep(0.02)

    async def during_a_look(self, change: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Make a change after the engine was listed and before its answer is here."""
        await asyncio.sleep(0.11)
        self.agent.hold, self.agent.asked = asyncio.Event(), asyncio.Event()
        looking = asyncio.create_task(self.runner.look())
        await self.agent.asked.wait()
        await change()
        self.agent.hold.set()
        await looking
        self.agent.hold = None


@pytest.fixture
def nothing(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def one(tmp_path: Path) -> Bench:
    return Bench(tmp_path, container(FIRST))


def test_a_replica_that_was_started_during_a_look_is_not_forgotten(nothing: Bench, run: Run[None]) -> None:
    async def work() -> None:
        await nothing.during_a_look(lambda: nothing.start(FIRST))
        assert nothing.is_alive(FIRST)

    run(work())


def test_a_replica_that_was_removed_during_a_look_does_not_come_back(one: Bench, run: Run[None]) -> None:
    async def work() -> None:
        one.agent.ended(FIRST)
        await one.look()
        assert not one.is_alive(FIRST)
        await one.during_a_look(lambda: one.runner.reap(one.slot(FIRST)))
        assert one.agent.there == {}
        assert one.runner.left() == []

    run(work())


def test_a_copy_that_took_the_place_of_one_during_a_look_is_the_one_that_is_known(one: Bench, run: Run[None]) -> None:
    async def work() -> None:
        one.agent.ended(FIRST)
        await one.look()

        async def replaced() -> None:
            await one.runner.reap(one.slot(FIRST))
            await one.start(FIRST)

        await one.during_a_look(replaced)
        assert one.is_alive(FIRST)

    run(work())


def test_such_a_look_tells_of_the_others(one: Bench, run: Run[None]) -> None:
    async def work() -> None:
        one.agent.there[OTHER] = container(OTHER)
        await one.look()
        one.agent.ended(OTHER)
        del one.agent.there[FIRST]
        await one.during_a_look(lambda: one.start(FIRST))
        assert one.is_alive(FIRST)
        assert not one.is_alive(OTHER)

    run(work())


def test_the_look_after_it_tells_of_what_was_changed(nothing: Bench, run: Run[None]) -> None:
    async def work() -> None:
        await nothing.during_a_look(lambda: nothing.start(FIRST))
        nothing.agent.ended(FIRST)
        await nothing.look()
        assert not nothing.is_alive(FIRST)
        del nothing.agent.there[FIRST]
        await nothing.look()
        assert nothing.runner.left() == []

    run(work())


def test_one_that_runs_unseen_is_found_at_once(nothing: Bench, run: Run[None]) -> None:
    async def work() -> None:
        await nothing.look()
        nothing.agent.there[FIRST] = container(FIRST)
        with pytest.raises(Conflict):
            await nothing.start(FIRST)
        # Without the pause that lies between two looks else.
        await nothing.runner.look()
        assert nothing.is_alive(FIRST)

    run(work())


def test_while_the_agent_is_away_what_was_found_last_stays(one: Bench, run: Run[None]) -> None:
    async def work() -> None:
        assert not one.runner.knows()
        await one.look()
        one.agent.is_away = True
        await asyncio.sleep(0.11)
        await one.runner.look()
        assert one.runner.knows()
        assert one.is_alive(FIRST)

    run(work())
