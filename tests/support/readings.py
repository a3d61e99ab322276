"""Readings of a gateway of one process."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from tidegate.gateway.base import Counts, ProcessCounts
from tidegate.target.base import Reading


def of_one_process(counts: Mapping[int, Counts], epoch: str = "a", at: datetime | None = None) -> Reading:
    """Return a reading of these counters by revision, taken now unless a time is given."""
    return Reading(at or datetime.now(UTC), (ProcessCounts(1, epoch, counts),))
