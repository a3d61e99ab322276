"""Counts of a revision as the pages of a report say them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.trial.counting import Totals


def in_words(counts: Mapping[str, Any] | None) -> str:
    """Return `Totals.as_dict` as "39 requests, 5 failed (3 × 503, 2 × 504), 0 slow"; a dash without counts."""
    if not counts:
        return "–"
    counted = Totals.from_dict(counts)
    rejected = f", {counted.rejections:,} rejected" if counted.rejections else ""
    further = "".join(
        f", {name} {tally.bad:,} of {tally.requests:,}" for name, tally in counted.further.items() if tally.bad
    )
    failed = f"{counted.errors:,} failed{_how(counted.failed_as)}"
    return f"{counted.requests:,} requests, {failed}, {counted.slow:,} slow{rejected}{further}"


def _how(failed_as: Mapping[str, int]) -> str:
    """Return with which statuses, the most frequent first."""
    by_count = sorted(failed_as.items(), key=lambda item: (-item[1], item[0]))
    return f" ({', '.join(f'{count:,} × {status}' for status, count in by_count)})" if by_count else ""
