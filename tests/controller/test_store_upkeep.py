"""The store is maintained once a day by who leads: failures are told once, and rollouts are waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support.rollouts import finish, start
from tests.support.telemetry_rows import count, put, put_outcomes, request_ids, row
from tidegate.controller import upkeep
from tidegate.controller.upkeep import (
    DAY_SECONDS,
    FIRST_SECONDS,
    MORE_SECONDS,
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    Run,
    Upkeep,
    is_due,
)
from tidegate.store import Store
from tidegate.store.pace import DELETED_AT_ONCE
from tidegate.store.schema.telemetry import outcomes

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=91)


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "tidegate.db")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def look(kept: Upkeep) -> None:
    asyncio.run(kept.look())


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (None, FIRST_SECONDS),
        (Run(1000.0, "done"), 1000.0 + DAY_SECONDS),
        (Run(1000.0, "more"), 1000.0 + MORE_SECONDS),
        (Run(1000.0, "failed"), 1000.0 + RETRY_SECONDS),
    ],
)
def test_a_run_is_due_some_time_after_the_one_before_and_may_wait_for_a_rollout(last: Run | None, due: float) -> None:
    assert [is_due(0.0, last, due + later, is_busy=False) for later in (-1, 0)] == [False, True]
    patience = PATIENCE_SECONDS
    assert [is_due(0.0, last, due + later, is_busy=True) for later in (0, patience - 1, patience)] == [
        False,
        False,
        True,
    ]


def test_rows_past_retention_go_some_minutes_after_the_start_and_each_day(store: Store, clock: Clock) -> None:
    kept = Upkeep(store, clock)
    put(store.database, [row(LONG_AGO, "old"), row(NOW, "new")])
    put_outcomes(store.database, [(LONG_AGO, "old"), (NOW, "new")])
    look(kept)
    assert count(store.database) == 2
    clock.now = FIRST_SECONDS
    look(kept)
    assert request_ids(store.database) == request_ids(store.database, outcomes) == ["new"]
    put(store.database, [row(LONG_AGO, "old")])
    clock.now += DAY_SECONDS - 1
    look(kept)
    assert count(store.database) == 2
    clock.now += 1
    look(kept)
    assert request_ids(store.database) == ["new"]


def test_a_rollout_under_way_is_waited_for(store: Store, clock: Clock) -> None:
    kept = Upkeep(store, clock)
    put(store.database, [row(LONG_AGO)])
    rollout = start(store)
    clock.now = FIRST_SECONDS
    look(kept)
    assert count(store.database) == 1
    finish(store, rollout)
    look(kept)
    assert count(store.database) == 0


def test_a_failure_is_told_once_and_what_it_left_is_done_later(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, upkeep.__name__)
    kept = Upkeep(store, clock)
    put(store.database, [row(LONG_AGO)])
    rename(store, "outcomes", "away")
    clock.now = FIRST_SECONDS
    for _ in range(3):
        look(kept)
        clock.now += RETRY_SECONDS
    assert kept.trouble is not None
    assert "no such table" in kept.trouble
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    rename(store, "away", "outcomes")
    put(store.database, [row(LONG_AGO)])
    look(kept)
    assert (kept.trouble, count(store.database)) == (None, 0)
    assert "the store is maintained again" in caplog.messages


def test_nothing_is_deleted_any_more_once_it_has_been_ended(store: Store, clock: Clock) -> None:
    many = 20 * DELETED_AT_ONCE
    put(store.database, [row(LONG_AGO) for _ in range(many)])
    kept = Upkeep(store, clock)
    clock.now = FIRST_SECONDS

    async def story() -> int:
        running = asyncio.create_task(kept.run())
        async with asyncio.timeout(20):
            while await asyncio.to_thread(count, store.database) == many:  # noqa: ASYNC110 -- rows go without a word
                await asyncio.sleep(0.01)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return count(store.database)

    left = asyncio.run(story())  # which waits for its threads
    assert 0 < left < many
    assert count(store.database) == left


def rename(store: Store, before: str, after: str) -> None:
    with store.database.write() as db:
        db.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))
