"""Drops from the store what it need not keep, beside the loops that drive rollouts and never in their way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from tidegate.controller.home import Home
from tidegate.store import Keep, Store

log = logging.getLogger(__name__)

#: Time between two rounds, and between two transactions of one.
ROUND_SECONDS = 3_600.0
REST_SECONDS = 0.05
#: Rollouts whose looks are dropped in one go; SQLite takes a limited number of parameters.
TOGETHER = 100


class Keeper:
    """Start `run` once, as a task."""

    def __init__(self, home: Home, store: Store, keep: Keep | None = None) -> None:
        self._home = home
        self._store = store
        self._keep = keep if keep is not None else Keep()

    async def run(self) -> None:
        """Drop what is too old or too many, each hour, until cancelled."""
        while True:
            try:
                await self.round()
            except Exception:  # a full disk, say
                log.exception("what the store need not keep could not be dropped; trying again in an hour")
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """Drop all that may go now."""
        now, retention = datetime.now(UTC), self._store.retention
        await _to_the_end(partial(retention.drop_notifications, self._keep, now))
        told = [number for number in retention.with_looks_to_drop(self._keep, now) if self._is_reported(number)]
        for first in range(0, len(told), TOGETHER):
            await _to_the_end(partial(retention.drop_looks, told[first : first + TOGETHER]))

    def _is_reported(self, rollout_id: int) -> bool:
        """Say whether the report of an ended rollout is written, which holds its looks."""
        row = self._store.rollout(rollout_id)
        return self._home.report(row.deployment, row.id, "json").exists()


async def _to_the_end(drop_some: Callable[[], int]) -> None:
    """Call it until it says that nothing is left; others have their turn in between."""
    left = True
    while left:
        left = drop_some() > 0
        await asyncio.sleep(REST_SECONDS)
