"""How long to wait before a worker that died is started again."""

from __future__ import annotations

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 30.0
#: A worker that served for so long died of something else than its predecessor.
SETTLED_SECONDS = 60.0


def next_delay(previous_seconds: float, lived_seconds: float) -> float:
    """Return the delay in seconds after a worker died that lived so long; `previous_seconds` is 0 at the first death.

    The first replacement starts at once, so that one crash costs no more than a start; the delay then doubles.
    """
    if lived_seconds >= SETTLED_SECONDS or previous_seconds <= 0:
        return FIRST_SECONDS
    return min(2 * previous_seconds, LONGEST_SECONDS)
