"""Moments as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from tidegate.contract.errors import InvalidInput

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def parsed_moment(text: str, flag: str, zone: tzinfo | None = None) -> datetime:
    """Read an ISO 8601 date or time.

    Args:
        zone: of one that says none; None for this machine's.

    Raises:
        InvalidInput: it is none; `flag` is named.
    """
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        expected = "a date or time such as 2026-12-24T18:00 or 2026-12-24T18:00+01:00"
        raise InvalidInput(f"{flag}: expected {expected}, got {text!r}", subject=flag, expected=expected) from None


def parsed_span(start: str | None, end: str | None, duration: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Return start and end of a span from the options --start, --end and --for; it starts at `now` when none is given.

    Raises:
        InvalidInput: neither or both of --end and --for, or one of them cannot be read.
    """
    from tidegate.contract.quantities import Duration

    begins = now if start is None else parsed_moment(start, "--start")
    if (end is None) == (duration is None):
        raise InvalidInput(
            "a freeze has an end: either --end or --for",
            expected="one of the two",
            got="both" if end is not None else "neither",
            hint="Try: --for 4h, or --end 2027-01-02T08:00",
        )
    if duration is not None:
        return begins, begins + timedelta(seconds=Duration.parse(duration, field="--for").seconds)
    return begins, parsed_moment(str(end), "--end")


def moment_or_ago(text: str, flag: str, now: datetime) -> datetime:
    """Read "24h" or "7d" as how long before `now`, and anything else as a moment.

    Raises:
        InvalidInput: it is neither; `flag` is named.
    """
    ago = _time(text)
    if ago is not None:
        return now - ago
    try:
        return parsed_moment(text, flag)
    except InvalidInput:
        expected = "how long ago, such as 24h or 7d, or a date or time such as 2026-12-24T18:00"
        raise InvalidInput(f'{flag}: expected {expected}, got "{text}"', subject=flag, expected=expected) from None


def parsed_time(text: str, flag: str) -> timedelta:
    """Read "24h" or "7d" as a time.

    Raises:
        InvalidInput: it is none, or 0; `flag` is named.
    """
    found = _time(text)
    if not found:
        expected = "a time such as 24h or 7d"
        raise InvalidInput(f'{flag}: expected {expected}, got "{text}"', subject=flag, expected=expected)
    return found


def _time(text: str) -> timedelta | None:
    found = re.fullmatch(r"([0-9]{1,5})([smhd])", text)
    return None if found is None else int(found[1]) * _UNITS[found[2]]
