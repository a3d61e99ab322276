"""The judge as a rule over many simulated rollouts at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tidegate.judge import Policy, crowd
from tidegate.judge.crowd_bets import Tallies

#: Rollouts that have failed are left out once they are this share of those that are still looked at.
WORTH_LEAVING_OUT = 0.1


def until_failed(
    policy: Policy, runs: int, baseline: Tallies, looks: Iterable[tuple[Tallies, Tallies] | None], merged: int = 1
) -> npt.NDArray[np.int64]:
    """Return the look at which each rollout failed, -1 for never.

    Args:
        baseline: stable's counts from before, of shape (runs, signals) or broadcast to it.
        looks: growth of candidate and stable at each, of shape (runs, signals) or broadcast to it; None begins a step.
        merged: how many looks of production each stands for.
    """
    terms = crowd.Terms.of(policy)
    shape = (runs, len(policy.signals))
    known = crowd.begin_step(crowd.begin(shape, baseline))
    failed_at, rows, look = np.full(runs, -1), np.arange(runs), -1
    for grown in looks:
        if grown is None:
            known = crowd.begin_step(known)
            continue
        look += 1
        candidate, stable = (_some(side, shape, rows) for side in grown)
        going = (failed_at[rows] < 0)[:, None]
        known = crowd.observe(terms, known, candidate, stable, going, safety=False, merged=merged)
        failed = known.fails(terms).any(axis=1) & going[:, 0]
        failed_at[rows[failed]] = look
        left = failed_at[rows] < 0
        if not left.any():
            break
        if (~left).mean() > WORTH_LEAVING_OUT:
            rows, known = rows[left], known.some(left)
    return failed_at


def _some(side: Tallies, shape: tuple[int, ...], rows: npt.NDArray[np.int64]) -> Tallies:
    return Tallies(np.broadcast_to(side.requests, shape)[rows], np.broadcast_to(side.bad, shape)[rows])
