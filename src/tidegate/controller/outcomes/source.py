"""Outcomes as a source of counts for the judge."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from tidegate.contract.outcomes import Outcomes
from tidegate.controller.outcomes.joining import Counted, count
from tidegate.controller.sources import Found, Look, Pair
from tidegate.judge import Tally
from tidegate.store import Store
from tidegate.trial.rules import OUTCOMES

#: Requests that one look counts at most; what is left over is for the next.
MOST_PER_LOOK = 20_000
#: An outcome that is being stored while its window ends is still counted.
SLACK_MS = 1_000


class OutcomeSource:
    """Counts the requests of a rollout whose window is over, by what came of them. Their order is that of their notes.

    The memory is the last request that was counted: it is stored with the counts, so none is counted twice or left out.
    """

    name = OUTCOMES

    def __init__(self, store: Store) -> None:
        self._store = store

    async def grown(self, look: Look) -> Found:
        """Return the requests whose window ended since the last look; nothing where outcomes are not judged."""
        settings = look.request.analysis.outcomes
        plan = look.rollout.plan
        if settings is None or plan.stable is None:
            return Found(memory=look.memory)
        after = (look.memory or {}).get("counted", 0)
        row = self._store.rollout(look.rollout_id)
        found = await asyncio.to_thread(
            ripened, self._store, row.deployment_id, settings, after, since=row.started_at, until=None
        )
        pair = Pair(found.grown.get(plan.candidate, Tally()), found.grown.get(plan.stable, Tally()))
        lost = await asyncio.to_thread(self._store.told.forgotten, row.deployment_id)
        why = {}
        if after and lost > after:
            why[OUTCOMES] = (
                "more requests are served within analysis.outcomes.window than can be remembered, so that outcomes "
                "were lost; a shorter window is needed"
            )
        return Found(grown={OUTCOMES: pair}, unmeasured=why, memory={"counted": found.last})


def ripened(
    store: Store, deployment_id: int, settings: Outcomes, after: int, *, since: datetime, until: datetime | None
) -> Counted:
    """Count the next requests whose window is over; waits for the store.

    Args:
        after: the `seq` of the last request that was counted before.
        since, until: of the answers that count.
    """
    window_ms = round(settings.window.seconds * 1000)
    over = round(time.time() * 1000) - window_ms - SLACK_MS
    rows = store.told.ripe(deployment_id, after=after, until=over, window_ms=window_ms, limit=MOST_PER_LOOK)
    return count(
        rows,
        after=after,
        since=milliseconds(since),
        until=None if until is None else milliseconds(until),
        missing=settings.missing,
    )


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
