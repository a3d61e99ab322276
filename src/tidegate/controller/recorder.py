"""Writes down every look of a rollout beside its report, for `tidegate judge replay`. Form: trial.recording.

Lines are written after the store has what they tell of. Nothing waits for them and nothing fails with them: a recording
that cannot be written is missed by people, not by a rollout.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from tidegate.contract.request import DeploymentRequest
from tidegate.controller.evidence import Measured
from tidegate.controller.home import Home
from tidegate.rollout import Rollout
from tidegate.store import RolloutRow
from tidegate.trial import recording
from tidegate.trial.counting import Totals

log = logging.getLogger(__name__)

#: Of one recording: about 70,000 looks under steady traffic, 19 hours of one each second.
MOST_BYTES = 16 << 20


class Recorder:
    """The recordings of one deployment's rollouts; each in its turn.

    A recording is of one candidate beside stable, so an A/B test of several challengers has none.
    """

    def __init__(self, home: Home, deployment: str) -> None:
        self._home = home
        self._deployment = deployment
        self._rollout: int | None = None
        self._last: tuple[Mapping[str, Totals], str | None] | None = None
        self._written: Mapping[str, Totals] = {}
        self._is_closed = False
        self._is_begun = False

    def looked(
        self, row: RolloutRow, rollout: Rollout, measured: Measured, verdict: str | None, request: DeploymentRequest
    ) -> None:
        """Write a look down; one that brought nothing new is left out, since it says nothing to the judge either."""
        self._follow(row)
        if len(rollout.plan.arms) > 1:
            return
        totals = _totals(rollout, measured)
        if measured.step < 0 or self._last == (totals, verdict):
            return
        counts = {side: recording.counts_line(now, self._written.get(side)) for side, now in totals.items()}
        self._last, self._written = (totals, verdict), totals
        self._write(row, request, measured, recording.line("look", _at(row), **counts, verdict=verdict))

    def moved(
        self, row: RolloutRow, rollout: Rollout, before: Measured, after: Measured, request: DeploymentRequest
    ) -> None:
        """Write down that the rollout went on, and whether the evidence of a step begins.

        What comes before the first step is left to the events.
        """
        self._follow(row)
        if after.step < 0 or len(rollout.plan.arms) > 1:
            return
        if after.step != before.step:
            totals = _totals(rollout, after)
            self._last, self._written = None, totals
            fields = {"step": after.step, "weight": rollout.weight, "mirror": rollout.mirror}
            sides = {"baseline": after.baseline, **totals}
            counts = {side: recording.counts_line(now) for side, now in sides.items()}
            self._write(row, request, after, recording.line("step", _at(row), **fields, **counts))
        phase = recording.line("phase", _at(row), phase=rollout.phase.value, reason=rollout.reason)
        self._write(row, request, after, phase)

    def _follow(self, row: RolloutRow) -> None:
        if self._rollout != row.id:
            self._rollout, self._last, self._is_closed, self._is_begun = row.id, None, False, False
            # What an earlier controller wrote last is not known.
            self._written = {}

    def _write(self, row: RolloutRow, request: DeploymentRequest, measured: Measured, line: str) -> None:
        if self._is_closed:
            return
        path = self._home.recording(self._deployment, row.id)
        try:
            size = path.stat().st_size if path.exists() else 0
            if size and not self._is_begun:
                # What a controller that was killed had begun to write must not spoil the line that follows.
                line = "\n" + line
            self._is_begun = True
            if size + len(line.encode()) > MOST_BYTES:
                self._is_closed = True
                line = recording.line("full", _at(row))
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with path.open("a", encoding="utf-8") as stream:
                stream.write(line if size else _first(row, request, measured) + line)
        except OSError as error:
            self._is_closed = True
            log.warning("%s: rollout %d is no longer recorded: %s", self._deployment, row.id, error)


def _first(row: RolloutRow, request: DeploymentRequest, measured: Measured) -> str:
    return recording.first_line(
        rollout=str(row.id),
        deployment=row.deployment,
        from_revision=row.from_revision,
        to_revision=row.to_revision,
        started_at=row.started_at.isoformat(),
        request=request.as_document(),
        bounds=measured.bounds,
    )


def _at(row: RolloutRow) -> float:
    return (datetime.now(UTC) - row.started_at).total_seconds()


def _totals(rollout: Rollout, measured: Measured) -> dict[str, Totals]:
    plan = rollout.plan
    stable = measured.total.get(plan.stable, Totals()) if plan.stable is not None else Totals()
    return {"candidate": measured.total.get(plan.candidate, Totals()), "stable": stable}
