"""After a rollout: when the last windows are over, what came of its requests is said once, as an event.

It changes nothing: a rollout that ended stays as it ended. Where the outcomes would have taken the candidate back, the
event says so, and a person may return (`tidegate rollback`).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tidegate import judge
from tidegate.contract.outcomes import Outcomes
from tidegate.controller.arms import mark
from tidegate.controller.evidence import Measured
from tidegate.controller.outcomes.noting import LINGER, last_trial
from tidegate.controller.outcomes.source import ripened
from tidegate.judge import Tally
from tidegate.rollout import Rollout
from tidegate.store import DeploymentRow, NewEvent, RolloutRow, Store
from tidegate.trial.counting import Totals
from tidegate.trial.rules import OUTCOMES, rules

#: The kinds of the event.
ALL_TOLD = "outcomes_complete"
HARM = "harm_after_end"

_MOST_EVENTS = 10_000


class Aftermath:
    """Looks after the latest rollout of one deployment once it has ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._done: int | None = None

    async def look(self, deployment: DeploymentRow) -> RolloutRow | None:
        """Say what came of the last rollout's requests when that is known; return the rollout if it was said now."""
        row = self._store.last_rollout(deployment.id)
        if row is None or row.ended_at is None or row.id == self._done:
            return None
        trial = last_trial(self._store, deployment)
        settings = trial[1].analysis.outcomes if trial is not None else None
        was_judged = row.evidence.get("evidence") or row.evidence.get("arms")
        if trial is None or settings is None or not was_judged:
            self._done = row.id
            return None
        wait = timedelta(seconds=settings.window.seconds) + LINGER
        if datetime.now(UTC) < row.ended_at + wait:
            return None
        self._done = row.id
        events = self._store.events(deployment.id, rollout_id=row.id, limit=_MOST_EVENTS)
        if any(event.kind in (ALL_TOLD, HARM) for event in events):
            return None
        grown = await asyncio.to_thread(self._rest, row, settings)
        happened = told(row, rules(trial[1]), grown)
        self._store.add_event(deployment.id, row.id, happened, datetime.now(UTC))
        return row

    def _rest(self, row: RolloutRow, settings: Outcomes) -> dict[int, Tally]:
        """Return what was not counted yet when the rollout ended, by revision.

        Each arm of an A/B test counts for itself, and one that went before the others stopped at that.
        """
        memories = row.evidence.get("memories", {})
        plan = Rollout.from_storage(row.state).plan
        arms = [arm.revision for arm in plan.arms]
        sources = {number: f"{OUTCOMES}{mark(number)}" for number in arms} or {plan.candidate: OUTCOMES}
        counted = {number: (memories.get(name) or {}).get("counted", 0) for number, name in sources.items()}
        counted[plan.stable or 0] = max(counted.values())
        return {number: self._since(row, settings, number, after) for number, after in counted.items()}

    def _since(self, row: RolloutRow, settings: Outcomes, revision: int, after: int) -> Tally:
        """Return what came of a revision's requests behind the last one that was counted."""
        total = Tally()
        while True:
            found = ripened(self._store, row.deployment_id, settings, after, since=row.started_at, until=row.ended_at)
            if found.last == after:
                return total
            total += found.grown.get(revision, Tally())
            after = found.last


def told(row: RolloutRow, policy: judge.Policy, grown: dict[int, Tally]) -> NewEvent:
    """Return the event: all outcomes of a rollout, and what the judge says of them now. Pure.

    Args:
        grown: by revision, what came in after the end.
    """
    measured = Measured.from_storage(row.evidence)
    plan = Rollout.from_storage(row.state).plan
    stable, tried = plan.stable or 0, [arm.revision for arm in plan.arms] or [plan.candidate]
    totals = {
        number: measured.total.get(number, Totals()).of(OUTCOMES) + grown.get(number, Tally())
        for number in (*tried, stable)
    }
    verdicts = {number: _verdict(policy, measured, number, stable, grown) for number in tried}
    numbers = ", ".join(
        f"{tally.bad:,} of {tally.requests:,} of revision {number}'s were bad" for number, tally in totals.items()
    )
    data = {
        "outcomes": {str(number): tally.as_dict() for number, tally in totals.items()},
        "verdicts": {str(number): said.as_dict() for number, said in verdicts.items() if said is not None},
    }
    if harmful := [number for number, said in verdicts.items() if said is not None and said.outcome == "fail"]:
        whose = " and ".join(map(str, harmful))
        return NewEvent(HARM, f"outcomes show harm of revision {whose} after the rollout's end: {numbers}", data=data)
    return NewEvent(ALL_TOLD, f"the windows of all requests are over: {numbers}", data=data)


def _verdict(
    policy: judge.Policy, measured: Measured, tried: int, stable: int, grown: dict[int, Tally]
) -> judge.SignalVerdict | None:
    """Return what is said of one revision; None where nothing was judged."""
    stored = measured.arms.get(str(tried)) if measured.arms else measured.evidence
    if stored is None:
        return None
    pairs = ({OUTCOMES: grown.get(number, Tally())} for number in (tried, stable))
    known = judge.observe(policy, judge.Evidence.from_storage(dict(stored)), *pairs)
    said = judge.assess(policy, known, distributions=measured.distributions)
    return next(one for one in said.signals if one.signal == OUTCOMES)
