"""What a report says of false alarms: how seldom a healthy candidate is taken back, and what that leaves out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate import judge
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.rollout import Step
from tidegate.trial.rules import never_measured, rules


def promise(document: Mapping[str, Any], steps: Iterable[Step]) -> str:
    """Return the sentences on false alarms in a rollout.

    Args:
        document: the request of the candidate or, in an A/B test, of any arm. Nothing is said of one that another
            version of Tidegate stored and this one does not read.
        steps: of the rollout. Of a signal that none of them measures nothing is said.
    """
    try:
        request = parse_request(document)
    except InvalidInput:
        return ""
    held, apart = rules(request), never_measured(steps)
    every: tuple[judge.SignalPolicy | judge.ShiftPolicy, ...] = (*held.signals, *held.shifts)
    counted = [one for one in every if one.name not in apart]
    covered = [one.name for one in counted if one.fails_candidates]
    limited = [metric.name for metric in held.metrics if metric.is_critical and not metric.is_dry_run]
    harmless = [
        f"{one.name} ({'shown only' if one.is_dry_run else 'a warning at most'})"
        for one in (*counted, *held.metrics)
        if one.is_dry_run or not one.is_critical
    ]
    return " ".join(filter(None, (_chance(request, covered), _of_limits(limited), _of_the_rest(harmless))))


def _chance(request: DeploymentRequest, covered: Sequence[str]) -> str:
    alpha = request.analysis.alpha
    arms = len(request.candidates)
    who = "A healthy candidate is taken back" if arms == 1 else "A healthy arm is taken out"
    if not covered:
        return "No signal that is counted takes anybody back."
    of_all = f"all {arms} arms (1/{arms} of it for each) and for " if arms > 1 else ""
    return (
        f"{who} with a chance of {alpha} at most over the whole rollout, for {of_all}{_listed(covered)} together, "
        "however often one looks, if requests are independent within a look."
    )


def _of_limits(limited: Sequence[str]) -> str:
    if not limited:
        return ""
    are = "is held to a threshold" if len(limited) == 1 else "are held to thresholds"
    return f"{_listed(limited)} {are} of the request's own, which that does not cover."


def _of_the_rest(harmless: Sequence[str]) -> str:
    if not harmless:
        return ""
    return f"Not in it, taking nobody back: {_listed(harmless)}."


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
