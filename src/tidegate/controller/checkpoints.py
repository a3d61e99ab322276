"""Moves what the store has written from its log into its file, beside everything else.

SQLite would do it in the middle of a write, each time the log has grown enough, and wait for the disk meanwhile. Most
writes are looks; but one of them is the decision to take a candidate back, and that is not to wait.
"""

from __future__ import annotations

import asyncio
import logging

from tidegate.store import Store

log = logging.getLogger(__name__)

ROUND_SECONDS = 5.0


class Checkpoints:
    """Start `run` once, as a task."""

    def __init__(self, store: Store, round_seconds: float = ROUND_SECONDS) -> None:
        self._store = store
        self._round_seconds = round_seconds

    async def run(self) -> None:
        """Do it again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._round_seconds)
            try:
                await asyncio.to_thread(self._store.checkpoint)
            except Exception:  # a full disk, say; the log grows meanwhile
                log.exception("the store's log could not be moved into its file; trying again")
