"""Metrics with thresholds of the user's own: what their measurements add up to. Pure.

A measurement is good, bad, neither, or could not be made; the limits are those of Argo Rollouts. There is no promise
about false alarms here: the threshold is the user's, and `Policy.alpha` does not cover it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from tidegate.judge.records import MetricPolicy, MetricVerdict, Outcome

#: How one measurement went.
Went = Literal["success", "failure", "inconclusive", "error"]
#: Of a text that tells of a measurement: what it holds came from elsewhere.
LONGEST_DETAIL = 300


@dataclass(frozen=True)
class Measurements:
    """What the measurements of one metric came to; plain values, stored as they are.

    Attributes:
        taken: over the rollout.
        failures: over the rollout: what was held against a candidate is not forgotten in the next step.
        successes, inconclusives: in this step.
        errors: up to now, in a row.
        last, passed, failed: the last one, the last that passed, and the last that failed, in words.
    """

    taken: int = 0
    failures: int = 0
    successes: int = 0
    inconclusives: int = 0
    errors: int = 0
    last: str = ""
    passed: str = ""
    failed: str = ""

    def after(self, went: Went, detail: str) -> Measurements:
        """Return what it comes to with one more."""
        detail = detail if len(detail) <= LONGEST_DETAIL else detail[: LONGEST_DETAIL - 1] + "…"
        return replace(
            self,
            taken=self.taken + 1,
            failures=self.failures + (went == "failure"),
            successes=self.successes + (went == "success"),
            inconclusives=self.inconclusives + (went == "inconclusive"),
            errors=self.errors + 1 if went == "error" else 0,
            last=detail,
            passed=detail if went == "success" else self.passed,
            failed=detail if went == "failure" else self.failed,
        )

    def at_new_step(self) -> Measurements:
        """Return what is kept when a step begins: all that is against the candidate, nothing that is for it."""
        return replace(self, successes=0, inconclusives=0)

    def for_storage(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any] | None) -> Measurements:
        """Rebuild what `for_storage` gave; None gives no measurement."""
        return cls(**stored) if stored else cls()


def assess_metric(policy: MetricPolicy, seen: Measurements) -> MetricVerdict:
    """Return what the measurements say now."""
    outcome, why = _outcome(policy, seen)
    return MetricVerdict(
        signal=policy.name,
        outcome=outcome,
        reason=f"{policy.name}: {why}",
        harm=min(1.0, seen.failures / (policy.failure_limit + 1)),
        safety=min(1.0, seen.successes / policy.successes),
        measurements=seen.taken,
        failures=seen.failures,
        errors_in_a_row=seen.errors,
        last=seen.last,
    )


def _outcome(policy: MetricPolicy, seen: Measurements) -> tuple[Outcome, str]:
    if seen.failures > policy.failure_limit:
        allowed = f", {policy.failure_limit} allowed" if policy.failure_limit else ""
        return "fail", f"{seen.failed} ({_times(seen.failures, seen.taken, 'failed')}{allowed})"
    if seen.errors > policy.consecutive_error_limit:
        in_a_row = f" ({seen.errors} times in a row)" if seen.errors > 1 else ""
        return "error", f"could not be measured{in_a_row}: {seen.last}"
    if seen.inconclusives > policy.inconclusive_limit:
        return "inconclusive", f"{seen.last} ({seen.inconclusives} in this step neither passed nor failed)"
    if seen.successes < policy.successes:
        # The last one is told where it did not pass: it is why there are too few.
        last = f"; the last: {seen.last}" if seen.errors or seen.inconclusives else ""
        return "inconclusive", f"{seen.successes} of {policy.successes} measurements needed so far{last}"
    failed = (
        f" ({_times(seen.failures, seen.taken, 'failed')}, {policy.failure_limit} allowed)" if seen.failures else ""
    )
    return "pass", f"{seen.passed}{failed}"


def _times(count: int, taken: int, what: str) -> str:
    return f"{count} of {taken} measurement{'' if taken == 1 else 's'} {what}"
