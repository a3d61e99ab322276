"""Comparing what candidate and stable answered to the same requests, while requests are copied.

Both revisions note a share of their answers to copied requests under the requests' ids; here the two sides of each id
are brought together. A side whose other one never comes (a copy that failed, a share that was changed in between) is
forgotten after a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.judge.agreement import Allowed, Difference, disagreement
from tidegate.target.base import Noted

#: Answers a second on each side that are looked at, about.
ANSWERS_PER_SECOND = 200.0
#: The share is set anew when it is this many times off.
_OFF = 2.0
#: Answers whose other side has not come yet, at most, and how long they are kept.
_MOST_WAITING = 20_000
_WAIT_SECONDS = 30.0
#: Disagreements that a report shows.
MOST_SHOWN = 20


@dataclass(frozen=True)
class Compared:
    """What one look brought: requests that both sides answered, and those of them that were answered otherwise."""

    requests: int = 0
    disagreed: int = 0


@dataclass
class Comparison:
    """What is known of the answers of one rollout; lost with the controller, which only costs what was waiting."""

    allowed: Callable[[str], Allowed]
    share: float = 1.0
    examples: list[dict[str, Any]] = field(default_factory=list)
    _waiting: tuple[dict[str, tuple[float, Noted]], dict[str, tuple[float, Noted]]] = field(
        default_factory=lambda: ({}, {})
    )

    def take(self, stable: Sequence[Noted], candidate: Sequence[Noted], now: float) -> Compared:
        """Compare the requests that both sides have answered by now.

        Args:
            stable, candidate: noted since the last call.
            now: in seconds, on a clock that never goes back.
        """
        kept, tried = self._waiting
        kept.update((noted.request_id, (now, noted)) for noted in stable)
        tried.update((noted.request_id, (now, noted)) for noted in candidate)
        both = kept.keys() & tried.keys()
        disagreed = 0
        for request_id in both:
            found = disagreement(kept.pop(request_id)[1].outputs, tried.pop(request_id)[1].outputs, self.allowed)
            if found is not None:
                disagreed += 1
                self._show(request_id, found)
        for side in self._waiting:
            _forget(side, now)
        return Compared(len(both), disagreed)

    def aim(self, copied_per_second: float) -> float:
        """Return the share of the answers to copied requests to note, so that no more are noted than are looked at."""
        wanted = min(1.0, ANSWERS_PER_SECOND / max(copied_per_second, 1e-9))
        if not self.share / _OFF <= wanted <= self.share * _OFF:
            self.share = max(round(wanted, 4), 0.0001)
        return self.share

    def _show(self, request_id: str, found: Difference) -> None:
        if len(self.examples) < MOST_SHOWN:
            self.examples.append(
                {"request_id": request_id, "output": found.place, "stable": found.expected, "candidate": found.got}
            )


def _forget(side: dict[str, tuple[float, Noted]], now: float) -> None:
    """Drop what has waited too long, and the oldest beyond what may wait; entries are in the order of their coming."""
    for request_id in list(side):
        if now - side[request_id][0] < _WAIT_SECONDS and len(side) <= _MOST_WAITING:
            return
        del side[request_id]
