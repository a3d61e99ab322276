"""Maintains the store once a day: partitions are made ahead, and what is past retention goes.

A thread does it, in small steps, beside the loops that drive rollouts. The lead is not let go of before that thread has
ended. In a file, which this machine reads and writes itself, a rollout that is under way has it wait for some hours.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tidegate.boot import seconds_since_boot
from tidegate.contract.errors import TidegateError
from tidegate.store import Store
from tidegate.store.maintenance import Maintained
from tidegate.store.pace import Stopped
from tidegate.store.upkeep import Upkept, keep_up

log = logging.getLogger(__name__)

#: From the start to the first run, and from one that came to its end to the next.
FIRST_SECONDS, DAY_SECONDS = 180.0, 86_400.0
#: Until the next run where there was more to do than one does, and where something was in the way.
MORE_SECONDS, RETRY_SECONDS = 600.0, 3_600.0
#: How much later a run may be for rollouts that are under way.
PATIENCE_SECONDS = 6 * 3_600.0
#: Between two looks whether a run is due, and between two of its transactions: others have their turn then.
LOOK_SECONDS, REST_SECONDS = 30.0, 0.1

How = Literal["done", "more", "failed"]
_PAUSES: dict[How, float] = {"done": DAY_SECONDS, "more": MORE_SECONDS, "failed": RETRY_SECONDS}


@dataclass(frozen=True)
class Run:
    """A run that is over: when it was, in seconds of a clock that nobody can set, and how it ended."""

    at: float
    how: How


def is_due(started: float, last: Run | None, now: float, *, is_busy: bool) -> bool:
    """Say whether to maintain now; pure.

    Args:
        started: when the controller came to lead, by the clock of `now`.
        last: None before the first run since then.
        is_busy: rollouts are under way that it is better to wait for, as long as that is no harm.
    """
    due = started + FIRST_SECONDS if last is None else last.at + _PAUSES[last.how]
    return now >= due + (PATIENCE_SECONDS if is_busy else 0.0)


class Upkeep:
    """Start `run` once, as a task of the controller that leads.

    Args:
        clock: seconds that only grow, time asleep included.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = seconds_since_boot) -> None:
        self._store = store
        self._clock = clock
        self._started = clock()
        self._last: Run | None = None
        #: What is in the way, for people; None where nothing is.
        self.trouble: str | None = None

    async def run(self) -> None:
        """Maintain whenever it is due, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Maintain if it is due. Nothing that is in the way is raised: it is told once, and tried again later."""
        if not is_due(self._started, self._last, self._clock(), is_busy=False):
            return
        try:
            is_busy = await asyncio.to_thread(self._is_busy)
            if not is_due(self._started, self._last, self._clock(), is_busy=is_busy):
                return
            done = await self._in_a_thread()
        except Exception as error:  # noqa: BLE001 -- a full disk, say; the store is used without it as well
            # What is no message of ours says more with where it came from.
            self._note([f"{error}"], None if isinstance(error, TidegateError) else error)
            self._last = Run(self._clock(), "failed")
            return
        _log_done(done.tables)
        self._note(done.left)
        self._last = Run(self._clock(), "failed" if done.left else "more" if done.is_unfinished else "done")

    def _is_busy(self) -> bool:
        """Say whether to wait for rollouts. PostgreSQL does the work in processes of its own, elsewhere as a rule."""
        if not self._store.database.is_sqlite:
            return False
        return any(self._store.active_rollout(one.id) is not None for one in self._store.deployments())

    async def _in_a_thread(self) -> Upkept:
        ends = threading.Event()
        work = asyncio.ensure_future(asyncio.to_thread(keep_up, self._store.database, datetime.now(UTC), _rest(ends)))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # Whoever stops this lets go of the lead next: nothing is written after that.
            ends.set()
            await asyncio.wait({work})
            raise

    def _note(self, left: Iterable[str], unexpected: Exception | None = None) -> None:
        trouble = "; ".join(left) or None
        if trouble == self.trouble:
            return
        if trouble is not None:
            log.warning("the store could not be maintained: %s; trying again", trouble, exc_info=unexpected)
        else:
            log.info("the store is maintained again")
        self.trouble = trouble


def _rest(ends: threading.Event) -> Callable[[], None]:
    def rest() -> None:
        if ends.wait(REST_SECONDS):
            raise Stopped

    return rest


def _log_done(tables: Iterable[Maintained]) -> None:
    for one in tables:
        counts = {"partitions made": len(one.made), "dropped": len(one.dropped), "rows moved": one.moved}
        told = [f"{number} {what}" for what, number in {**counts, "rows deleted": one.deleted}.items() if number]
        if told:
            log.info("%s: %s", one.table, ", ".join(told))
