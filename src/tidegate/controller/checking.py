"""The checks on a candidate between the start of its replicas and its first traffic, made beside the loop.

They only read, so they may be made again: after a controller that was killed, or a replica that went away meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.contract.request import DeploymentRequest
from tidegate.controller.home import Home
from tidegate.gate.asking import Asked, ask
from tidegate.gate.kept import read_kept
from tidegate.rollout import NOTHING_TO_CHECK, Checked, Phase, Rollout
from tidegate.store import NewEvent, RolloutRow, Store
from tidegate.target.base import RevisionHealth

log = logging.getLogger(__name__)

#: Golden requests that failed are on record; this is for what they ended in.
CHECKED = "checked"


@dataclass
class _Running:
    rollout: int
    task: asyncio.Task[Asked]


class Checks:
    """Makes the checks of one candidate of a deployment at a time."""

    def __init__(self, name: str, home: Home, store: Store) -> None:
        self._name = name
        self._home = home
        self._store = store
        self._running: _Running | None = None
        self._done: tuple[int, Checked] | None = None

    def look(
        self, row: RolloutRow, rollout: Rollout, request: DeploymentRequest, health: RevisionHealth | None
    ) -> Checked | None:
        """Return what came of the rollout's checks, None while they are not made; begin them when it is time.

        Args:
            health: of the candidate's replicas, None when it is not known.
        """
        golden = request.gates.golden
        # A return to a revision that was stable is not held up: people are waiting for it.
        is_return = rollout.plan.stable is not None and not rollout.plan.steps
        if golden is None or is_return or rollout.phase is not Phase.PREPARING:
            return NOTHING_TO_CHECK
        if self._done is not None and self._done[0] == row.id:
            return self._done[1]
        if self._running is not None and self._running.rollout != row.id:
            self._running.task.cancel()
            self._running = None
        if self._running is None:
            self._begin(row, rollout, request, golden, health)
        elif self._running.task.done():
            task, self._running = self._running.task, None
            return self._ended(row, task, golden, rollout.plan.candidate)
        return None

    def _begin(
        self, row: RolloutRow, rollout: Rollout, request: DeploymentRequest, golden: str, health: RevisionHealth | None
    ) -> None:
        ready = [] if health is None else [one.address for one in health.replicas if one.ready and one.address]
        if len(ready) >= rollout.plan.replicas:
            kept = self._home.golden / PurePath(golden).name
            asking = self._ask(kept, ready[0], request.traffic.timeout.seconds)
            self._running = _Running(row.id, asyncio.create_task(asking, name=f"golden requests {self._name}"))

    async def _ask(self, kept: Path, address: str, timeout_seconds: float) -> Asked:
        golden = await asyncio.to_thread(read_kept, kept)
        return await ask(golden, address, self._name, timeout_seconds)

    def _ended(self, row: RolloutRow, task: asyncio.Task[Asked], golden: str, revision: int) -> Checked | None:
        try:
            asked = task.result()
        except InvalidInput as error:
            checked, data = Checked(passed=False, reason=error.message), {"golden": golden, "error": error.as_dict()}
        except TidegateError as error:
            log.warning("%s: golden requests could not be sent and are tried again: %s", self._name, error)
            return None
        else:
            checked = Checked(asked.outcome.passed, asked.outcome.sentence)
            told = {"replica": asked.address, "seconds": round(asked.seconds, 3), **asked.outcome.as_dict()}
            data = {"golden": golden, **told}
        happened = NewEvent(CHECKED, checked.reason, revision, {"passed": checked.passed, **data})
        self._store.add_event(row.deployment_id, row.id, happened, datetime.now(UTC))
        self._done = (row.id, checked)
        return checked
