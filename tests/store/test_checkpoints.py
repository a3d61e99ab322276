"""The store's log: no write waits for the disk, and the log does not grow without end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tidegate.controller.checkpoints import Checkpoints
from tidegate.store import NewEvent, Store

#: Pages after which SQLite by itself would move the log into the file, and their size.
PAGES, PAGE = 1_000, 4_096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Any:
    opened = Store(path)
    yield opened
    opened.close()


def write(store: Store, looks: int, size: int = 20_000) -> int:
    """Write so many looks; return the rollout's number."""
    now = datetime.now(UTC)
    row = store.start_rollout(
        "churn",
        digest="a" * 64,
        request={},
        plan_state=lambda stable, candidate: {"phase": "preparing"},
        to_revision=None,
        happened=NewEvent("preparing", "begun"),
        now=now,
    )
    for number in range(looks):
        store.add_look(row.id, {"said": str(number % 10) * size}, now)
    return row.id


def log_of(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def test_no_write_moves_the_log_into_the_file(path: Path, store: Store) -> None:
    before = path.stat().st_size
    write(store, looks=400)
    assert log_of(path) > 1.5 * PAGES * PAGE
    assert path.stat().st_size == before


def test_a_checkpoint_moves_it_and_the_next_writes_begin_the_log_anew(path: Path, store: Store) -> None:
    rollout = write(store, looks=400)
    store.checkpoint()
    assert path.stat().st_size > 400 * 20_000
    grown = log_of(path)
    for _ in range(50):
        store.add_look(rollout, {"said": "x" * 20_000}, datetime.now(UTC))
    assert log_of(path) == grown
    assert len(store.looks(rollout)) == 450


def test_a_store_that_is_closed_leaves_all_in_the_file(path: Path) -> None:
    store = Store(path)
    rollout = write(store, looks=20)
    store.close()
    assert not path.with_name(f"{path.name}-wal").exists()
    again = Store(path)
    assert len(again.looks(rollout)) == 20
    again.close()


def test_checkpoints_go_on_beside_writers_and_after_a_failure(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, real = [], store.checkpoint
    before = path.stat().st_size
    written = asyncio.Event()

    def checkpoint() -> None:
        done.append(None)
        if len(done) == 1:
            raise OSError("no room")
        real()
        if path.stat().st_size > before:
            loop.call_soon_threadsafe(written.set)

    monkeypatch.setattr(store, "checkpoint", checkpoint)
    loop = asyncio.new_event_loop()

    async def story() -> None:
        running = asyncio.create_task(Checkpoints(store, round_seconds=0.001).run())
        write(store, looks=50)
        async with asyncio.timeout(10):
            await written.wait()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(story())
