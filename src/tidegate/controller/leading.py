"""The right to lead: of several controllers of one home and one store, one acts, and the others stand by.

With SQLite a lock on a file of the home says who. With PostgreSQL the database says it, so that controllers may run on
several machines that share the home's folder; who leads has the home's lock as well, so that no controller of another
store acts in it meanwhile. One that hangs and keeps that lock is ended by who leads now.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tidegate.contract.errors import Conflict, Unavailable
from tidegate.controller.home import Home, read_json
from tidegate.gateway.os_process import OsProcess
from tidegate.store import Store
from tidegate.store.address import Address
from tidegate.store.leadership import Leadership

log = logging.getLogger(__name__)

#: Between two tries to lead, and between two looks whether one still does.
TRY_SECONDS, LOOK_SECONDS = 0.5, 1.0
#: How long a controller that another has succeeded may keep the home's lock: it lets go when it notices.
LET_GO_SECONDS = 8.0
_END_SECONDS = 1.0


@dataclass
class Lead:
    """What a controller has that leads.

    Attributes:
        store: opened.
    """

    store: Store
    _leadership: Leadership | None = None

    async def lost(self) -> None:
        """Return when another may lead.

        A database that is away for a while, or a connection that broke, ends it only when another led in between.
        """
        if self._leadership is None:
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await asyncio.to_thread(self._leadership.is_held):
                continue
            if not await self._regained(self._leadership):
                return

    async def _regained(self, leadership: Leadership) -> bool:
        term = leadership.term
        log.warning("the connection that keeps the lead is gone: trying to have it again")
        while True:
            try:
                if not await asyncio.to_thread(leadership.try_take, datetime.now(UTC)):
                    return False
            except Unavailable:
                await asyncio.sleep(TRY_SECONDS)
            else:
                return leadership.term == term


@asynccontextmanager
async def leading(
    home: Home, address: Address, open_store: Callable[[Address], Store], *, waits: bool
) -> AsyncIterator[Lead]:
    """Lead while in it.

    Args:
        waits: until nobody else leads, for as long as it takes.

    Raises:
        Conflict: another controller leads, and this one does not wait.
        Unavailable: the store cannot be opened.
    """
    if isinstance(address, Path):
        async with _locked(home, waits=waits):
            store = open_store(address)
            try:
                yield Lead(store)
            finally:
                store.close()
        return
    store = open_store(address)
    leadership = Leadership(store.database, f"{socket.gethostname()} (pid {os.getpid()})")
    try:
        await _take(leadership, waits=waits)
        async with _locked(home, waits=waits, succeeds=True):
            yield Lead(store, leadership)
    finally:
        leadership.release()
        store.close()


async def _take(leadership: Leadership, *, waits: bool) -> None:
    while True:
        try:
            if await asyncio.to_thread(leadership.try_take, datetime.now(UTC)):
                return
        except Unavailable:
            if not waits:
                raise
        else:
            if not waits:
                raise Conflict(
                    f"another controller of this database leads: {leadership.led_by()}",
                    subject=str(leadership.led_by()),
                    hint="to have one that takes over when it dies: tidegate up --standby",
                )
        await asyncio.sleep(TRY_SECONDS)


@asynccontextmanager
async def _locked(home: Home, *, waits: bool, succeeds: bool = False) -> AsyncIterator[None]:
    """Hold the home's lock: it goes with the process, however that ends.

    Args:
        succeeds: whoever has it may not lead any more, and is ended when it keeps it.
    """
    with _lock_file(home) as descriptor:
        lets_go = time.monotonic() + LET_GO_SECONDS
        while not _try_lock(descriptor):
            if not waits:
                raise Conflict("another controller has this home", subject=str(home.root))
            if succeeds and time.monotonic() > lets_go:
                await _end_other(home)
            await asyncio.sleep(TRY_SECONDS)
        yield


async def _end_other(home: Home) -> None:
    """End the controller of this home that led and keeps the home's lock: it hangs, or sleeps."""
    told = read_json(home.address_file) or {}
    if told.get("pid") not in (None, os.getpid()):
        log.warning("the controller that led (pid %s) keeps the lock of %s: ending it", told["pid"], home.root)
        await OsProcess(told["pid"], told["born"]).end(_END_SECONDS)


@contextmanager
def _lock_file(home: Home) -> Iterator[int]:
    descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
