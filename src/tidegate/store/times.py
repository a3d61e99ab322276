"""Moments as the store keeps them: ISO 8601 text in UTC with microseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def as_text(moment: datetime) -> str:
    """Return an aware moment as text that sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def as_moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
