"""Takes the gateway's notes of served requests into the store, and keeps both small. Runs beside the loops."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

from tidegate.contract.request import DeploymentRequest
from tidegate.controller import planning
from tidegate.gateway.base import NotesPosition, Served
from tidegate.rollout import Rollout
from tidegate.store import DeploymentRow, Note, RolloutRow, Store
from tidegate.target.base import Target

log = logging.getLogger(__name__)

#: Between two looks at the notes while there are none.
_PAUSE_SECONDS = 0.25
_RETRY_SECONDS = 1.0
_PRUNE_SECONDS = 60.0
#: How long after its end notes of a rollout may still come in.
LINGER = timedelta(seconds=30)


class NoteTaker:
    """Run it once; it goes on from where an earlier process was."""

    def __init__(self, store: Store, target: Target) -> None:
        self._store = store
        self._target = target
        self._pruned_at = 0.0
        self._wanted: tuple[float, dict[str, int]] = (float("-inf"), {})

    async def run(self) -> None:
        """Take notes in for ever. What fails is tried again: nothing is lost meanwhile."""
        while True:
            try:
                if not await self.step():
                    await asyncio.sleep(_PAUSE_SECONDS)
            except Exception:  # a full disk, say: the notes wait in the gateway's file
                log.exception("notes of served requests could not be taken in; trying again")
                await asyncio.sleep(_RETRY_SECONDS)

    async def step(self) -> bool:
        """Take the next notes in; return whether there may be more."""
        stored = await asyncio.to_thread(self._store.told.positions)
        positions = {number: NotesPosition(*position) for number, position in stored.items()}
        page = await self._target.served(positions)
        if page.positions != positions:
            notes = self._of_rollouts(page.entries)
            read = {number: (position.file, position.offset) for number, position in page.positions.items()}
            await asyncio.to_thread(self._store.told.add_notes, notes, read)
            return True
        if time.monotonic() - self._pruned_at > _PRUNE_SECONDS:
            more = await asyncio.to_thread(self._store.told.prune, round(time.time() * 1000))
            self._pruned_at = self._pruned_at if more else time.monotonic()
        return False

    def _of_rollouts(self, entries: tuple[Served, ...]) -> list[Note]:
        """Return the notes that a rollout wants; any other request was none that users' outcomes are joined to."""
        at, wanted = self._wanted
        if time.monotonic() - at > 1.0:
            wanted = {one.name: one.id for one in self._store.deployments() if is_noting(self._store, one)}
            self._wanted = time.monotonic(), wanted
        return [
            Note(wanted[one.ref.deployment], one.request_id, one.ref.revision, one.at_ms)
            for one in entries
            if one.ref.deployment in wanted
        ]


def is_noting(store: Store, deployment: DeploymentRow) -> bool:
    """Say whether requests of the deployment are noted now, or were a moment ago."""
    found = last_trial(store, deployment)
    if found is None or found[1].analysis.outcomes is None:
        return False
    ended = found[0].ended_at
    return ended is None or datetime.now(UTC) - ended < LINGER


def last_trial(store: Store, deployment: DeploymentRow) -> tuple[RolloutRow, DeploymentRequest] | None:
    """Return the latest rollout that tried a candidate beside stable, and the candidate's request."""
    row = store.last_rollout(deployment.id)
    if row is None or Rollout.from_storage(row.state).plan.stable is None:
        return None
    return row, planning.request_of(store.revision(row.deployment_id, row.to_revision))
