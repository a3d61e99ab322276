"""Whether a replica that is found not live may be restarted now. Pure.

A cause that all replicas share (a database, a full disk, a machine without a free core) fails them all at once, and a
restart mends nothing of it. So the replicas of a revision are restarted one at a time: the next one not before the
last has shown that it is well again, or after a pause that grows as restarts do not help.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Between two restarts that did not help, as between those of a Kubernetes container that keeps failing.
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True)
class Restarted:
    """A replica that was restarted because it was not live, and has not been well since.

    Attributes:
        times: in a row.
        at: the last time, seconds since the machine booted.
        is_back: whether it takes requests again, though it did not yet show that it is live.
    """

    times: int
    at: float
    is_back: bool


def pause_seconds(unhelpful: Iterable[Restarted]) -> float:
    """Return how long after the last of these restarts the next one may be; 0 where there is none."""
    restarted = list(unhelpful)
    if not restarted:
        return 0.0
    if not all(one.is_back for one in restarted):
        # It may be loading a large model: to take the next one away meanwhile could take the last.
        return LONGEST_PAUSE_SECONDS
    times = sum(one.times for one in restarted)
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(times - 1, 20)))


def may_restart(unhelpful: Iterable[Restarted], now: float) -> bool:
    """Say whether one more replica of the revision may be restarted now."""
    restarted = list(unhelpful)
    return not restarted or now >= max(one.at for one in restarted) + pause_seconds(restarted)
