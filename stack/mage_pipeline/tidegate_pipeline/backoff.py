"""What an answer of an HTTP server means for who asked, and how long to wait before asking again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

#: Beside all from 500 on: request timeout, too early, too many requests.
_PASSING = {408, 425, 429}
#: Nobody may ask so, whichever page it is: credentials, or an address that has moved.
_OF_ALL_PAGES = {401, 403, 407}


class Meaning(StrEnum):
    """What the status of an answer means."""

    GOOD = "good"
    #: The same request may be answered later.
    AGAIN = "again"
    #: This page will not be answered; others may be.
    LOST = "lost"
    #: No page will be answered so.
    STOP = "stop"


def meaning_of(status: int) -> Meaning:
    """Return what a status means."""
    if 200 <= status < 300:
        return Meaning.GOOD
    if status in _PASSING or status >= 500:
        return Meaning.AGAIN
    if status in _OF_ALL_PAGES or status < 400:
        return Meaning.STOP
    return Meaning.LOST


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for; None where it says nothing that can be read.

    Args:
        value: whole seconds, or a date of HTTP (RFC 9110, section 10.2.3).
        now: aware.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


@dataclass(frozen=True)
class Patience:
    """How often and how long the same is asked for again.

    Attributes:
        attempts: that may fail, before a page is given up. One that the server refuses and says when to come again
            is no failure of an attempt.
        first_delay_seconds: the longest wait after the first failure; it doubles with each further one.
        longest_delay_seconds: the longest wait after any failure, and the longest `Retry-After` that is waited for.
        seconds: for one page, all waits included.
    """

    attempts: int = 6
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 60.0
    seconds: float = 900.0


def delay_seconds(failures: int, asked_for: float | None, patience: Patience, chance: float) -> float:
    """Return how long to wait.

    Without a word of the server it is "full jitter": evenly between nothing and a bound that doubles, so that those
    who failed together do not come again together. What the server asked for is never cut short, and spread a little.

    Args:
        failures: so far, 1 or more.
        asked_for: seconds of a `Retry-After`; None where there was none.
        chance: from 0 to 1.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    bound = min(patience.longest_delay_seconds, patience.first_delay_seconds * 2.0 ** min(failures - 1, 60))
    if asked_for is not None:
        return asked_for + chance * min(patience.first_delay_seconds, bound)
    return chance * bound
