"""What is kept of the judge's looks for the plots of a report: a few hundred, however long a rollout lasts. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tidegate import judge
from tidegate.controller.evidence import Measured
from tidegate.rollout import Rollout

#: A look is kept when this share of the rollout's time so far has gone by since the one before: about
#: ln(longest / interval) / 0.01 of them, some 1,200 for a day at a look a second.
SHARE = 0.01


def is_due(started_at: datetime, last: datetime, now: datetime) -> bool:
    """Say whether a look is to be kept; `last` is when one was kept before, or the start.

    One that was kept later than now is from before the clock was set back.
    """
    since = (now - last).total_seconds()
    return since < 0 or since >= SHARE * (now - started_at).total_seconds()


def entry(rollout: Rollout, measured: Measured, verdict: judge.Verdict | None) -> dict[str, Any]:
    """Return what is kept of one look."""
    observed = measured.observed_percent() or {}
    signals = verdict.said if verdict is not None else ()
    return {
        "phase": rollout.phase.value,
        "step": rollout.step,
        "weight": rollout.weight,
        "observed_percent": observed.get(str(rollout.plan.candidate)),
        "signals": {
            signal.signal: {"harm": round(signal.harm, 4), "safety": round(signal.safety, 4)} for signal in signals
        },
    }
