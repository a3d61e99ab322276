"""What replicas counted of what they are asked and answer over a sliding period, in the bins of a reference. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from tidegate.contract.sketch import Sketch
from tidegate.drift.reading import Policy, Reading
from tidegate.drift.reference import Reference
from tidegate.drift.tally import Tally

#: Of a period; what is older than it leaves it in so many steps.
_SLICES = 60


class _Slice(NamedTuple):
    """What was counted from one time on."""

    at: float
    tally: Tally


class Served:
    """Counts of what is served over a sliding period, in the bins of a reference.

    Args:
        seconds: of the period.
    """

    def __init__(self, reference: Reference, seconds: float) -> None:
        self._reference = reference
        self._seconds = seconds
        self._slices: deque[_Slice] = deque()
        self._hashed: frozenset[str] = frozenset()

    @property
    def requests(self) -> int:
        """Requests of the period."""
        return sum(one.tally.requests for one in self._slices)

    def clear(self) -> None:
        """Forget all that was counted."""
        self._slices.clear()
        self._hashed = frozenset()

    def add(self, at: float, requests: int, columns: Mapping[str, Sketch]) -> Tally:
        """Count what replicas counted, and return it in the bins of the reference.

        Args:
            at: seconds of a clock that only grows.
            columns: by name; those that the reference does not have are passed over.
        """
        found = Tally.of(self._reference, requests, columns)
        self._hashed |= found.hashed
        last = self._slices[-1] if self._slices else None
        if last is not None and at - last.at < self._seconds / _SLICES:
            self._slices[-1] = _Slice(last.at, last.tally + found)
        else:
            self._slices.append(_Slice(at, found))
        while self._slices and self._slices[0].at <= at - self._seconds:
            self._slices.popleft()
        return found

    def reading(self, policy: Policy) -> Reading | None:
        """Compare the period with the reference; None while nothing was counted that the reference has."""
        total = sum((one.tally for one in self._slices), Tally())
        return replace(total, hashed=self._hashed).read(self._reference, policy)
