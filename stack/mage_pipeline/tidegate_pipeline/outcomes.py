"""What came of the best model of a retraining: how it is called, and which of several is the worst. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What came of a model so far; the first two are no end."""

    PASSED = "passed"
    ON_TRIAL = "on_trial"
    PROMOTED = "promoted"
    NOT_BETTER = "not_better"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"

    @property
    def said(self) -> str:
        return _SAID[self]

    @property
    def is_end(self) -> bool:
        return self not in (Outcome.PASSED, Outcome.ON_TRIAL)


_SAID = {
    Outcome.PASSED: "better than stable, and not deployed yet",
    Outcome.ON_TRIAL: "on trial",
    Outcome.PROMOTED: "promoted",
    Outcome.NOT_BETTER: "not better than stable",
    Outcome.ROLLED_BACK: "rolled back",
    Outcome.FAILED: "not tried to the end",
}
#: Ends after which another retraining is not due for a while.
SETBACKS = frozenset({Outcome.NOT_BETTER, Outcome.ROLLED_BACK, Outcome.FAILED})
#: From what weighs most on the next run.
_ORDER = (
    Outcome.ON_TRIAL,
    Outcome.FAILED,
    Outcome.ROLLED_BACK,
    Outcome.NOT_BETTER,
    Outcome.PASSED,
    Outcome.PROMOTED,
)
#: How a rollout ended, by its phase.
_BY_PHASE = {
    "promoted": Outcome.PROMOTED,
    "rolled_back": Outcome.ROLLED_BACK,
    "aborted": Outcome.ROLLED_BACK,
    "failed": Outcome.FAILED,
}


def worst(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Return the one that counts where a run has several models; None where there is none."""
    return min(outcomes, key=_ORDER.index, default=None)


def of_rollout(rollout: Mapping[str, Any]) -> Outcome:
    """Return what a rollout says of its model, under way or ended."""
    return _BY_PHASE.get(rollout["phase"], Outcome.ON_TRIAL)


def lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return outcomes for people."""
    return [_line(row) for row in rows]


def _line(row: Mapping[str, Any]) -> str:
    told = f"{row['reference']}: {Outcome(row['state']).said}"
    if not row["rollout"]:
        return f"{told}: {row['reason']}"
    compared = row["evaluation"]["why"] if row["evaluation"] else ""
    return f"{told}, rollout {row['rollout']} of {row['deployment']}: {row['reason']} (before: {compared})"


def rollout_of(history: Mapping[str, Any], digest: str, reference: str, after: int) -> Mapping[str, Any] | None:
    """Return the rollout that put a version on trial; None where there is none.

    Args:
        history: of the deployment, as `Client.history` has it.
        digest, reference: of the version.
        after: the number of the last rollout of before.
    """
    numbers = {
        one["number"]
        for one in history["revisions"]
        if one["digest"] == digest and one["request"]["modelArtifact"]["path"] == reference
    }
    found = [one for one in history["rollouts"] if one["to_revision"] in numbers and int(one["id"]) > after]
    return found[0] if found else None
