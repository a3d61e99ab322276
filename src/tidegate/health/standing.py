"""What attempts add up to: when a check passes or fails, when it is due, and what that means for its replica. Pure.

The meanings are those of Kubernetes' probes
(https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/): a check changes what it says
after so many attempts in a row; before the first change a replica is live and not ready; while it has not started, no
other check is made; a check for readiness that does not pass yet is tried more often than its period says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tidegate.health.base import Attempt, Check

#: Between attempts of a check for readiness that never passed, where its period is longer.
EAGER_SECONDS = 1.0


@dataclass(frozen=True)
class Standing:
    """What one check of one process says now. Times are seconds of one clock that never goes back.

    Attributes:
        passing: None before the thresholds were reached for the first time.
        passed, failed: attempts in a row that did, up to now; one of the two is 0.
        detail: of the last attempt.
        since: when `passing` last changed.
        tried_at: when the last attempt ended.
    """

    passing: bool | None = None
    passed: int = 0
    failed: int = 0
    detail: str = ""
    since: float | None = None
    tried_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Standing:
        return cls(**{name: document[name] for name in cls.__dataclass_fields__ if name in document})


UNTRIED = Standing()


def after(check: Check, before: Standing, attempt: Attempt, now: float) -> Standing:
    """Return what the check says after one more attempt."""
    counted = replace(
        before,
        passed=before.passed + 1 if attempt.passed else 0,
        failed=0 if attempt.passed else before.failed + 1,
        detail=attempt.detail,
        tried_at=now,
    )
    if counted.passed >= check.success_threshold and before.passing is not True:
        return replace(counted, passing=True, since=now)
    if counted.failed >= check.failure_threshold and before.passing is not False:
        return replace(counted, passing=False, since=now)
    return counted


def is_due(check: Check, standing: Standing, begins_at: float, now: float) -> bool:
    """Say whether the next attempt is due.

    Args:
        begins_at: when the process was started for what affects startup, else when it had started.
    """
    if standing.tried_at is None:
        return now >= begins_at + check.initial_delay_seconds
    return now >= standing.tried_at + _pause_seconds(check, standing)


def _pause_seconds(check: Check, standing: Standing) -> float:
    is_eager = check.affects == "readiness" and standing.passing is None
    return min(check.period_seconds, EAGER_SECONDS) if is_eager else check.period_seconds


@dataclass(frozen=True)
class Condition:
    """What all checks of one replica come to. Texts are sentences, None where all is well.

    Attributes:
        not_started: it has failed to start, and is to be killed.
        not_live: it is to be restarted.
        not_live_at: when that was last found; None where it was not.
        not_ready: it is to get no requests.
        is_live: whether a check has found it live, beyond none having found otherwise; None without such a check.
    """

    not_started: str | None = None
    not_live: str | None = None
    not_ready: str | None = None
    not_live_at: float | None = None
    is_live: bool | None = None


WELL = Condition()


def condition(checks: Iterable[Check], standings: Mapping[str, Standing], *, started: bool) -> Condition:
    """Return what the standings, by the name of their check, come to."""
    not_started = not_live = not_ready = None
    is_live: bool | None = None
    not_live_at: float | None = None
    for check in checks:
        standing = standings.get(check.name, UNTRIED)
        match check.affects:
            case "startup":
                if standing.passing is False and not started:
                    not_started = not_started or told(check, standing)
            case "liveness":
                is_live = standing.passing is True and is_live is not False
                if standing.passing is False:
                    not_live = not_live or told(check, standing)
                    not_live_at = max(not_live_at or 0.0, standing.tried_at or 0.0)
            case "readiness":
                if standing.passing is not True:
                    not_ready = not_ready or told(check, standing)
    if not started:
        not_ready = not_ready or "it has not started yet"
    return Condition(not_started, not_live, not_ready, not_live_at, is_live)


def told(check: Check, standing: Standing) -> str:
    """Say how a check stands that does not pass."""
    what = check.name if check.name == check.affects else f"the check {check.name}"
    if standing.tried_at is None:
        return f"{what} has not been tried yet"
    if standing.passing is None:
        return f"{what} has not passed yet: {standing.detail}"
    # Its last attempt may have passed, and one does not make it well.
    state = "fails" if standing.failed else "does not pass again yet"
    return f"{what} {state}: {standing.detail}"
