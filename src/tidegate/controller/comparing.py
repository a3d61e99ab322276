"""Has both revisions of a rollout note their answers while requests are copied, and compares what they noted."""

from __future__ import annotations

import logging
import time
from typing import Any

from tidegate.contract.errors import TidegateError
from tidegate.controller.shadowing import Comparison
from tidegate.controller.sources import Found, Look, Pair
from tidegate.gateway.base import RevisionRef
from tidegate.judge import Tally
from tidegate.judge.agreement import Allowed
from tidegate.target.base import Target
from tidegate.trial.counting import Totals
from tidegate.trial.rules import DISAGREEMENT
from tidegate.trial.tolerances import tolerances

log = logging.getLogger(__name__)


class Comparer:
    """The comparisons of one deployment's rollouts, each in its turn: a source of disagreements."""

    name = "comparisons"

    def __init__(self, deployment: str, target: Target) -> None:
        self._deployment = deployment
        self._target = target
        self._rollout: int | None = None
        self._comparison = Comparison(lambda _: Allowed())

    @property
    def examples(self) -> list[dict[str, Any]]:
        """The first disagreements of the rollout that was looked at last."""
        return self._comparison.examples

    async def grown(self, look: Look) -> Found:
        """Return what was compared since the last look; nothing while no requests are copied."""
        rollout = look.rollout
        if rollout.plan.stable is None or not rollout.mirror:
            return Found()
        if self._rollout != look.rollout_id:
            self._rollout, self._comparison = look.rollout_id, Comparison(tolerances(look.request.analysis))
        stable = RevisionRef(self._deployment, rollout.plan.stable)
        candidate = RevisionRef(self._deployment, rollout.plan.candidate)
        answered = look.growth.get(rollout.plan.stable, Totals()).requests
        copied = answered * rollout.mirror / 100
        share = self._comparison.aim(copied / max(look.seconds, 0.001))
        try:
            for ref in (stable, candidate):
                await self._target.note_answers(ref, share)
            kept, tried = await self._target.noted(stable), await self._target.noted(candidate)
        except (TidegateError, OSError) as error:
            log.warning("%s: answers could not be compared: %s", self._deployment, error)
            return Found(unmeasured={DISAGREEMENT: f"answers could not be compared: {error}"})
        found = self._comparison.take(kept, tried, time.monotonic())
        return Found({DISAGREEMENT: Pair(Tally(found.requests, found.disagreed), Tally(found.requests))})
