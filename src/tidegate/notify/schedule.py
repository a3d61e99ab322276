"""When to try again: the wait doubles, with jitter, and ends after a number of attempts and a time. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 1800.0
MOST_ATTEMPTS = 60
GIVE_UP_SECONDS = 24 * 3600.0
#: A receiver may ask for more than the usual wait, not for more than this.
LONGEST_RETRY_AFTER_SECONDS = 3600.0


def wait_seconds(made: int, chance: float) -> float:
    """Return the wait after `made` attempts, between half and the whole of min(30 min, 2^(made - 1) s).

    Args:
        chance: uniform in [0, 1]; spreads those that failed together.
    """
    whole = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(made - 1, 30))
    return whole * (0.5 + 0.5 * chance)


def next_attempt(
    made: int, created_at: datetime, now: datetime, chance: float, retry_after_seconds: float | None = None
) -> datetime | None:
    """Return when to try again after `made` failed attempts, or None to give up."""
    wait = wait_seconds(made, chance)
    if retry_after_seconds is not None:
        wait = max(wait, min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS))
    again = now + timedelta(seconds=wait)
    if made >= MOST_ATTEMPTS or again > created_at + timedelta(seconds=GIVE_UP_SECONDS):
        return None
    return again
