"""A watch: what is served is compared again and again, and all readings together raise few false alarms. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.contract.sketch import Sketch
from tidegate.drift.reading import Policy, Reading, State
from tidegate.drift.reference import Reference
from tidegate.drift.served import Served
from tidegate.drift.significance import alpha_of_look
from tidegate.drift.tally import Tally


class Watch:
    """Readings of a sliding period, each at its part of the policy's alpha: all of them, however many there are, call
    anything drift where there is none with a chance of that alpha at most.

    Args:
        seconds: of the period.
        look: readings that this watch has had before.

    Attributes:
        look: the number of the last reading, from 1; 0 before the first.
    """

    def __init__(self, reference: Reference, seconds: float, policy: Policy, look: int = 0) -> None:
        self._served = Served(reference, seconds)
        self._policy = policy
        self.look = look

    def add(self, at: float, requests: int, columns: Mapping[str, Sketch]) -> Tally:
        """Count what replicas counted, and return it in the bins of the reference; see `Served.add`."""
        return self._served.add(at, requests, columns)

    def clear(self) -> None:
        """Forget all that was counted. Readings that were made stay made."""
        self._served.clear()

    def reading(self) -> Reading | None:
        """Compare the period with the reference; None, which is no reading, while nothing of it was counted."""
        alpha = alpha_of_look(self._policy.alpha, self.look + 1)
        found = self._served.reading(replace(self._policy, alpha=alpha))
        if found is not None:
            self.look += 1
        return found

    def whole(self) -> Reading | None:
        """Compare as if this were the only reading, with all of alpha; for who reads once."""
        return self._served.reading(self._policy)


@dataclass(frozen=True)
class Standing:
    """Whether data counts as drifted, which readings at the edge of a threshold do not turn over again and again.

    Attributes:
        has_drifted: from the first reading that is drift, until for a whole period none was and the last says none.
        drift_at: when a reading was drift last; None when none ever was.
    """

    has_drifted: bool = False
    drift_at: datetime | None = None

    def after(self, state: State, at: datetime, period: timedelta) -> Standing:
        """Return the standing after a reading.

        Args:
            state: of the reading. An inconclusive one changes nothing.
            at: when it was made.
            period: that readings are of.
        """
        if state in (State.MODERATE, State.LARGE):
            return Standing(True, at)
        is_over = self.drift_at is None or at - self.drift_at >= period
        return replace(self, has_drifted=False) if state is State.NONE and is_over else self
