"""Times and numbers as people read them."""

from __future__ import annotations

from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units: "850 ms", "4.2 s", "1 min 05 s", "2 min", "3 h 20 min"."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, part, part_unit in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest:02d} {part_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def moment(text: str | None) -> datetime | None:
    """Return an ISO 8601 time of the API; None stays None."""
    return None if text is None else datetime.fromisoformat(text)


def ago(text: str | None, now: datetime) -> str:
    """Return how long ago an ISO 8601 time was, in its largest unit: "just now", "12 s ago", "3 h ago"; "" for None."""
    at = moment(text)
    if at is None:
        return ""
    seconds = (now - at).total_seconds()
    if seconds < 2:
        return "just now"
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def clock(text: str) -> str:
    """Return an ISO 8601 time in the local zone to the second, still ISO 8601."""
    at = datetime.fromisoformat(text).astimezone()
    return at.isoformat(timespec="seconds")


def count(number: float) -> str:
    """Return a whole number with thousands set apart."""
    return f"{number:,.0f}"


def percent(value: float) -> str:
    """Return percent with as many decimals as matter: "5 %", "0.25 %", "4.9 %", "0.003 %"."""
    if round(value, 2) == round(value, 9):
        return f"{round(value, 2):g} %"
    return f"{value:.1f} %" if value >= 0.1 else f"{value:.2g} %"
