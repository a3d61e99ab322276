"""Delivers what is in the outbox, beside the loops that drive rollouts and never in their way.

Each receiver has a lane of its own, in which one notification is under way at a time, the oldest first: one that is
slow or down delays nobody else. A kill between delivery and its record repeats the delivery, with the same id.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tidegate import notify
from tidegate.store import AttemptRow, NotificationRow, Store

log = logging.getLogger(__name__)

#: Time between two looks at the outbox while something is delivered, and while nothing is.
POLL_SECONDS, IDLE_SECONDS = 0.25, 1.0
#: Time that a lane rests when what it did cannot be recorded, so that a full disk floods no receiver.
RETRY_SECONDS = 5.0
#: Lanes in use at once.
MOST_LANES = 32

_Lane = tuple[str, str, str]


class Courier:
    """Start `run` once, as a task."""

    def __init__(self, store: Store, environ: Mapping[str, str] | None = None) -> None:
        """Tie it to the store; `environ` is where URLs are looked up, the process's own when None."""
        self._outbox = store.outbox
        self._environ = os.environ if environ is None else environ
        self._lanes: dict[_Lane, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                try:
                    self._begin_due()
                except Exception:  # a full disk, say
                    log.exception("the outbox could not be read; trying again")
                await asyncio.sleep(POLL_SECONDS if self._lanes else IDLE_SECONDS)
        finally:
            lanes = list(self._lanes.values())
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    def _begin_due(self) -> None:
        for row in self._outbox.due(datetime.now(UTC)):
            lane = (row.event.deployment, row.addressee.kind, row.addressee.receiver)
            if lane not in self._lanes and len(self._lanes) < MOST_LANES:
                task = asyncio.create_task(self._serve(row), name=f"notify {' '.join(lane)}")
                self._lanes[lane] = task
                task.add_done_callback(partial(self._free, lane))

    def _free(self, lane: _Lane, _task: asyncio.Task[None]) -> None:
        self._lanes.pop(lane, None)

    async def _serve(self, row: NotificationRow) -> None:
        try:
            await self._deliver(row)
        except Exception:
            log.exception("%s: a notification could not be recorded; trying again", row.event.deployment)
            await asyncio.sleep(RETRY_SECONDS)

    async def _deliver(self, row: NotificationRow) -> None:
        began, clock = datetime.now(UTC), time.monotonic()
        told = row.addressee
        outcome = await notify.send(told.destination, row.event.as_dict(), row.event_id, told.moment, self._environ)
        now = datetime.now(UTC)
        attempt = _attempt(row.attempts + 1, began, clock, outcome)
        again = None
        if not outcome.delivered and not outcome.is_final:
            chance = random.random()  # noqa: S311 - spreads load, guards nothing
            again = notify.next_attempt(attempt.number, row.created_at, now, chance, outcome.retry_after_seconds)
        self._outbox.record(row, attempt, again, now)
        if not outcome.delivered:
            what = "given up" if again is None else "will be tried again"
            name, moment = row.event.deployment, told.moment
            log.warning("%s: %s was not told of %s, %s: %s", name, told.receiver, moment, what, outcome.detail)


async def send_test(
    name: str, destination: Mapping[str, Any], by: str, environ: Mapping[str, str] | None = None
) -> AttemptRow:
    """Send one message to one receiver now, past the outbox, and return how it went."""
    began, clock = datetime.now(UTC), time.monotonic()
    event = {
        "seq": 0,
        "at": began.isoformat(),
        "deployment": name,
        "rollout": None,
        "revision": None,
        "kind": "test",
        "message": f"{by} asked for a test of this notification",
        "data": {},
    }
    found = os.environ if environ is None else environ
    outcome = await notify.send(destination, event, str(uuid.uuid4()), "test", found)
    return _attempt(1, began, clock, outcome)


def _attempt(number: int, began: datetime, clock: float, outcome: notify.Outcome) -> AttemptRow:
    took_ms = round((time.monotonic() - clock) * 1000)
    return AttemptRow(number, began, took_ms, outcome.delivered, outcome.status, outcome.detail)
