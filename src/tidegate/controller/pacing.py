"""How long a deployment is left alone between two ticks. Pure.

Every tick asks replicas and the store, and on one machine that is processor time that users' requests could have had.
So it is often where something is about to change, and seldom where only a look or a person is waited for. A person's
command, and whatever else wakes the loop, is not kept waiting by this.
"""

from __future__ import annotations

from datetime import datetime

from tidegate.rollout import Phase, Rollout

#: Replicas start or end, or traffic moves.
TICK_SECONDS = 0.2
#: Nothing is under way: the gateway routes around a dead replica by itself.
IDLE_SECONDS = 0.6
#: At most, while a step lasts.
_STEP_SECONDS = 0.5


def seconds_to_next(rollout: Rollout, interval_seconds: float, now: datetime) -> float:
    """Return how long a rollout may be left alone in which nothing was to be decided just now.

    Args:
        interval_seconds: between two looks at the counters; none is to come late by much.
    """
    if rollout.phase not in (Phase.ANALYZING, Phase.PAUSED):
        return TICK_SECONDS
    pause = min(_STEP_SECONDS, interval_seconds / 2)
    if rollout.present is not None:
        left = rollout.present.duration_seconds - (now - rollout.phase_since).total_seconds()
        pause = min(pause, left) if left > 0 else pause
    return max(pause, TICK_SECONDS)
