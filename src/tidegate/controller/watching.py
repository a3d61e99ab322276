"""Who watches what a deployment is asked and answers: each gets what its replicas counted since they last asked.

Replicas count while somebody wants them to. While a rollout is under way the judge does, by its own share; else the
first of those who watch does it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tidegate.contract.errors import Conflict
from tidegate.gateway.base import RevisionRef
from tidegate.rollout import Phase, Rollout
from tidegate.target.base import Counted, CountsReader, Target

#: Requests a second of a revision that are counted, about.
REQUESTS_PER_SECOND = 200.0
#: Who has not asked for so long does not watch any more.
LAPSE_SECONDS = 60.0
MOST_READERS = 16
_LEAST_SHARE = 0.0001


@dataclass
class _Reader:
    """One who watches a revision.

    Attributes:
        share: of the requests that was asked for since they last asked, 0 to 1.
        at: when they last asked, in seconds of the clock.
    """

    ref: RevisionRef
    counts: CountsReader
    share: float
    at: float
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Watching:
    """Those who watch. They are known by a name of their own choice, and forgotten with the controller.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, target: Target, clock: Callable[[], float] = monotonic) -> None:
        self._target = target
        self._clock = clock
        #: By whether it is the controller's own, and its name.
        self._readers: dict[tuple[bool, str], _Reader] = {}

    async def counted(
        self, ref: RevisionRef, reader: str, *, is_judged: bool, is_own: bool = False
    ) -> Sequence[Counted]:
        """Return what was counted since this reader last asked for the revision; nothing when it asks at first.

        Args:
            is_judged: a rollout is under way, in which the judge says how much is counted.
            is_own: the controller itself watches: its readers have names apart, and there may be any number of them.

        Raises:
            Conflict: too many watch already.
        """
        now = self._clock()
        self._readers = {name: one for name, one in self._readers.items() if now - one.at < LAPSE_SECONDS}
        known = self._readers.get((is_own, reader))
        if known is None or known.ref != ref:
            others = sum(not own for own, _ in self._readers)
            if known is None and not is_own and others >= MOST_READERS:
                raise Conflict(
                    "too many watch what deployments are asked",
                    expected=f"{MOST_READERS} at most",
                    hint=f"end one of them; who asks no more is forgotten after {LAPSE_SECONDS:.0f} s",
                )
            known = _Reader(ref, self._target.counts_reader(ref), 1.0, now)
            self._readers[is_own, reader] = known
        async with known.reading:
            # Replicas may have written much: nobody else waits for that.
            found = await asyncio.to_thread(known.counts.read)
        known.share = _share(sum(one.requests for one in found), known.share, now - known.at)
        known.at = now
        if not is_judged:
            # Those who watch one revision have one share, else each would undo what the other asked for.
            shares = [one.share for one in self._readers.values() if one.ref == ref]
            await self._target.count_columns(ref, min(shares, default=known.share))
        return found


def has_judge(rollout: Rollout) -> bool:
    """Say whether the judge has replicas count for its own comparison; see `controller.distributions`."""
    return rollout.plan.stable is not None and not rollout.arms and rollout.phase is not Phase.PREPARING


def _share(counted: int, share: float, seconds: float) -> float:
    """Return the share to ask for next, from how many were counted in some seconds of the share before."""
    if seconds <= 0 or not counted:
        return share
    wanted = min(1.0, REQUESTS_PER_SECOND * share * seconds / counted)
    # One that is about right stays, so that replicas are not told something new all the time.
    return share if share / 2 <= wanted <= share * 2 else max(round(wanted, 4), _LEAST_SHARE)


def as_plain(counted: Sequence[Counted]) -> list[dict[str, Any]]:
    """Return plain JSON values, as replicas write them."""
    return [
        {
            "requests": one.requests,
            "inputs": {name: sketch.as_plain() for name, sketch in one.inputs.items()},
            "outputs": {name: sketch.as_plain() for name, sketch in one.outputs.items()},
        }
        for one in counted
    ]
