"""A source of distributions: what both revisions predict and are asked, counted in the same bins.

Replicas count by column in sketches; here stable's of the first seconds lay out the bins, and from then on what either
revision counts is grouped into them. Bins are laid out once, from counts that are not compared, so that no verdict
rests on what they were chosen by.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tidegate.contract.errors import TidegateError
from tidegate.contract.sketch import Sketch
from tidegate.controller.sources import Found, Look
from tidegate.gateway.base import RevisionRef
from tidegate.target.base import Counted, Target
from tidegate.trial.bins import Bins, group, lay_out
from tidegate.trial.comparing import Binned
from tidegate.trial.counting import Totals
from tidegate.trial.rules import INPUTS, PREDICTIONS, idle

log = logging.getLogger(__name__)

#: Requests a second of each revision that are counted, about.
REQUESTS_PER_SECOND = 200.0
#: The share is set anew when it is this many times off.
_OFF = 2.0
#: Requests of stable by which bins are laid out.
LEAST_LAID_OUT = 100


class Distributions:
    """The distributions of one deployment's rollouts, each in its turn."""

    name = "distributions"

    def __init__(self, deployment: str, target: Target) -> None:
        self._deployment = deployment
        self._target = target
        self._rollout: int | None = None
        self._shares: dict[int, float] = {}
        #: What was seen before there were bins; lost with the controller, which only makes them come later.
        self._before: dict[int, Counted] = {}

    async def grown(self, look: Look) -> Found:
        """Return what was counted in bins since the last look; nothing where there is nothing to compare."""
        plan = look.rollout.plan
        if plan.stable is None:
            return Found()
        if self._rollout != look.rollout_id:
            self._rollout, self._shares, self._before = look.rollout_id, {}, {}
        try:
            counted = {number: await self._counted(number, look) for number in (plan.candidate, plan.stable)}
        except (TidegateError, OSError) as error:
            log.warning("%s: columns could not be counted: %s", self._deployment, error)
            told = f"columns could not be counted: {error}"
            return Found(unmeasured={PREDICTIONS: told, INPUTS: told}, memory=look.memory)
        if look.memory is None:
            return Found(memory=self._laid_out(counted, plan.candidate, plan.stable))
        if PREDICTIONS in idle(mirror=look.rollout.mirror, weight=look.rollout.weight):
            return Found(memory=look.memory)
        candidate, stable = counted[plan.candidate], counted[plan.stable]
        return Found(
            distributions={
                PREDICTIONS: _binned(look.memory[PREDICTIONS], candidate.outputs, stable.outputs),
                INPUTS: _binned(look.memory[INPUTS], candidate.inputs, stable.inputs),
            },
            memory=look.memory,
        )

    async def _counted(self, number: int, look: Look) -> Counted:
        ref = RevisionRef(self._deployment, number)
        answered = look.growth.get(number, Totals()).requests / max(look.seconds, 0.001)
        wanted = min(1.0, REQUESTS_PER_SECOND / max(answered, 1e-9))
        share = self._shares.get(number, 1.0)
        if not share / _OFF <= wanted <= share * _OFF:
            share = max(round(wanted, 4), 0.0001)
        self._shares[number] = share
        await self._target.count_columns(ref, share)
        return await self._target.counted(ref)

    def _laid_out(self, counted: Mapping[int, Counted], candidate: int, stable: int) -> dict[str, Any] | None:
        """Return the bins in their storage form once enough of stable was seen, and what columns the candidate has."""
        for number, more in counted.items():
            self._before[number] = self._before.get(number, Counted()) + more
        tried, kept = self._before[candidate], self._before[stable]
        if kept.requests < LEAST_LAID_OUT or not tried.requests:
            return None
        self._before = {}
        return {
            PREDICTIONS: _bins(kept.outputs, tried.outputs),
            INPUTS: _bins(kept.inputs, tried.inputs),
        }


def _bins(stable: Mapping[str, Sketch], candidate: Mapping[str, Sketch]) -> dict[str, list[Any]]:
    """Return bins for the columns that both have."""
    return {name: lay_out(sketch).for_storage() for name, sketch in stable.items() if name in candidate}


def _binned(
    bins: Mapping[str, list[Any]], candidate: Mapping[str, Sketch], stable: Mapping[str, Sketch]
) -> dict[str, Binned]:
    found = {}
    for name, stored in bins.items():
        laid_out = Bins.from_storage(stored)
        counts = (group(laid_out, side.get(name, Sketch())) for side in (candidate, stable))
        found[name] = Binned(laid_out.names, *counts)
    return found
