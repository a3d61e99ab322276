"""What becomes of what the log says: times that are compared, rows that are stored, events, documents. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.contract.drift import Drift
from tidegate.controller.drift.readings import DRIFT_OVER, DRIFTED
from tidegate.drift import State
from tidegate.drift.watch import Standing
from tidegate.store import AspectRow, NewEvent

#: What is said of an aspect, as `Standing` knows it; all else is inconclusive.
_STATES = {
    "kept": State.NONE,
    "none": State.NONE,
    "worse": State.LARGE,
    "dropped": State.LARGE,
    "moderate": State.MODERATE,
    "large": State.LARGE,
}
_OVER = {
    "quality": "answers are as right as in the reference again",
    "performance": "answers are expected to be as right as in the reference again",
    "together": "all inputs together are like the reference again",
}
_BEGUN = {
    "quality": "answers are less right than in the reference",
    "performance": "answers are expected to be less right than in the reference",
    "together": "all inputs together have drifted from the reference",
}

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Times:
    """What is compared: the first answers of a revision, with those that quality is of, and with the recent ones."""

    reference: Span
    current: Span
    recent: Span


@dataclass(frozen=True)
class AspectSeen:
    """What is known of an aspect.

    Attributes:
        last: the last reading; None before the first.
        why: why there is none now, a sentence without its point; None where nothing is in the way.
    """

    last: AspectRow | None = None
    why: str | None = None


def aspects_of(drift: Drift) -> tuple[str, ...]:
    """Return the aspects that a request asks for."""
    return ("quality", "performance", *(["together"] if drift.together else []))


def why_not_logged(sink: str | None) -> str | None:
    """Return why there is nothing to read, by where predictions are logged; None where there may be."""
    if sink is None:
        return "predictions are not logged to the store (predictionLog.sink)"
    if sink.partition(":")[0] not in ("store", "postgresql"):
        return f"predictions are logged to {sink}, not to the store (predictionLog.sink)"
    return None


def times_of(drift: Drift, first: datetime, now: datetime) -> Times | str:
    """Return the times that are compared, or why there are none yet.

    Args:
        first: when the revision answered the first request that is logged.
    """
    ends = first + timedelta(seconds=drift.reference_period.seconds)
    if now <= ends:
        return (
            f"their reference, the first {drift.reference_period} of the log, is over at {ends:%Y-%m-%d %H:%M:%S} UTC"
        )
    quality, period = (timedelta(seconds=one.seconds) for one in (drift.quality.period, drift.period))
    return Times((first, ends), (max(ends, now - quality), now), (max(ends, now - period), now))


def stored(
    told: Mapping[str, Any],
    aspect: str,
    last: AspectRow | None,
    times: Times,
    *,
    deployment: str,
    revision: int,
    period: timedelta,
) -> AspectRow:
    """Return a reading as the store has it.

    Args:
        told: what the process said, see `drift.aspects.AspectReading`.
        last: the reading before, None for none.
        period: see `Standing.after`.
    """
    current = times.current if aspect == "quality" else times.recent
    at = current[1]
    standing = standing_of(last).after(_STATES.get(told["state"], State.INCONCLUSIVE), at, period)
    data = {
        "measured": dict(told["data"]),
        "said": list(told["said"]),
        "look": look_after(last),
        "reference": [one.isoformat() for one in times.reference],
        "current": [one.isoformat() for one in current],
        "drifted": standing.has_drifted,
        "drift_at": None if standing.drift_at is None else standing.drift_at.isoformat(),
    }
    return AspectRow(at, deployment, revision, aspect, told["state"], told["requests"], data)


def standing_of(last: AspectRow | None) -> Standing:
    """Return the standing after a reading; None: before the first."""
    if last is None:
        return Standing()
    at = last.data["drift_at"]
    return Standing(last.data["drifted"], None if at is None else datetime.fromisoformat(at))


def look_after(last: AspectRow | None) -> int:
    """Return the number of the next reading of an aspect of a revision, from 1."""
    return 1 if last is None else int(last.data["look"]) + 1


def happened(before: AspectRow | None, after: AspectRow) -> NewEvent | None:
    """Return the event that a reading makes; None where the standing is as before."""
    if standing_of(before).has_drifted == after.data["drifted"]:
        return None
    data = {"aspect": after.aspect, "state": after.state, "requests": after.requests, "look": after.data["look"]}
    if not after.data["drifted"]:
        return NewEvent(DRIFT_OVER, f"{_OVER[after.aspect]}, by {after.requests:,} requests", after.revision, data)
    told = f"{_BEGUN[after.aspect]}, by {after.requests:,} requests: {after.data['said'][0]}"
    return NewEvent(DRIFTED, told.rstrip("."), after.revision, data)


def seen_views(seen: Mapping[str, AspectSeen]) -> list[dict[str, Any]]:
    """Return what is known of each aspect, as the status has it."""
    return [
        {
            "aspect": aspect,
            "state": None if one.last is None else one.last.state,
            "drifted": one.last is not None and one.last.data["drifted"],
            "at": None if one.last is None else one.last.at.isoformat(),
            "requests": 0 if one.last is None else one.last.requests,
            "unread": one.why,
        }
        for aspect, one in seen.items()
    ]


def view(row: AspectRow) -> dict[str, Any]:
    """Return a reading as the API shows it."""
    return {
        "aspect": row.aspect,
        "at": row.at.isoformat(),
        "revision": row.revision,
        "state": row.state,
        "requests": row.requests,
        **row.data,
    }


def views(rows: Iterable[AspectRow]) -> list[dict[str, Any]]:
    """Return readings as the API shows them, oldest first."""
    return [view(row) for row in sorted(rows, key=lambda row: row.at)]
