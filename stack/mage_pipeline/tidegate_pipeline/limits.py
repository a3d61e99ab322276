"""Whether a model may be retrained now: limits against loops that feed themselves. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate_pipeline.outcomes import SETBACKS, Outcome

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Retrained:
    """A retraining of before.

    Attributes:
        began_at: when it was claimed.
        outcome: the worst of what came of its models; None where nothing was tried, or nothing is known yet.
        ended_at: when that was known; None where there is none.
    """

    began_at: datetime
    outcome: Outcome | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Limits:
    """How often a model is retrained at most.

    Attributes:
        cool_down: after each retraining began.
        most_a_day: within any 24 hours.
        after_setback: after one whose model was not better, was rolled back or could not be deployed: the same data
            would lead to the same.
    """

    cool_down: timedelta = timedelta(hours=6)
    most_a_day: int = 4
    after_setback: timedelta = timedelta(hours=24)


def against(past: Sequence[Retrained], now: datetime, limits: Limits) -> str | None:
    """Return what speaks against a retraining now; None where nothing does.

    Args:
        past: retrainings of the model, the newest first.
    """
    if any(one.outcome is Outcome.ON_TRIAL for one in past):
        return "a model of an earlier retraining is on trial, and how that ends is not known yet"
    if past and now < past[0].began_at + limits.cool_down:
        began = past[0].began_at
        return f"it was retrained at {_told(began)}, and nothing is due until {_told(began + limits.cool_down)}"
    last = next((one for one in past if one.outcome is not None), None)
    if last is not None and last.outcome in SETBACKS and last.ended_at is not None:
        until = last.ended_at + limits.after_setback
        if now < until:
            return (
                f"the last retraining ended at {_told(last.ended_at)}: {last.outcome.said}; nothing is due until "
                f"{_told(until)}"
            )
    today = [one.began_at for one in past if one.began_at > now - DAY]
    if len(today) >= limits.most_a_day:
        return (
            f"it was retrained {len(today)} times in 24 hours, the first at {_told(min(today))}"
            if today
            else ("it may be retrained 0 times a day")
        )
    return None


def _told(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
