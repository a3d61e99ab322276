"""Asks the hooks of a rollout, beside the loop, and lets the engine know what they said.

A call runs as a task; a tick takes what is known and never waits. What was said is kept in the store before anything
follows from it, so a controller that is started again goes on from there. A call that was under way when a controller
was killed is made again: hooks must bear to be asked twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tidegate.contract.notifications import Hook
from tidegate.contract.request import DeploymentRequest
from tidegate.controller import hooks
from tidegate.controller.hooks import GO, Answers, Ruling
from tidegate.notify import Outcome, Unresolved, resolve
from tidegate.notify.webhook import post_json
from tidegate.rollout import Advance, Observation, Rollout, advance
from tidegate.store import NewEvent, RolloutRow, Store
from tidegate.store.hook_answers import Point

log = logging.getLogger(__name__)


#: Of the time that a hook has been waited for, at most this much is lost with a controller that is killed.
_KEPT_SECONDS = 5.0


@dataclass
class _Talk:
    """One hook at one point: what it said, and the call under way.

    Attributes:
        since: when the point was reached, by the monotonic clock; time without a controller does not count.
        begun: when the last call began.
        gone: whether it lets go, and is asked no more.
        told: whether it is on record that the rollout waits for it.
        kept: what the store holds of it; None where it holds nothing.
    """

    since: float
    answers: Answers = field(default_factory=Answers)
    begun: float | None = None
    task: asyncio.Task[Outcome] | None = None
    gone: bool = False
    told: bool = False
    kept: Mapping[str, Any] | None = None

    def for_storage(self) -> dict[str, Any]:
        said = asdict(replace(self.answers, waited_seconds=time.monotonic() - self.since))
        return {**said, "gone": self.gone, "told": self.told}

    @classmethod
    def from_storage(cls, kept: Mapping[str, Any]) -> _Talk:
        said = {name: kept[name] for name in Answers.__dataclass_fields__}
        since = time.monotonic() - said.pop("waited_seconds")
        return cls(since, Answers(**said), gone=kept["gone"], told=kept["told"], kept=kept)


class Gates:
    """The hooks of one deployment. `held` says why the rollout waits now, None when it does not."""

    def __init__(self, store: Store, environ: Mapping[str, str] | None = None) -> None:
        """Tie it to the store; `environ` is where URLs are looked up, the process's own when None."""
        self._store = store
        self._environ = os.environ if environ is None else environ
        self._talks: dict[Point, _Talk] = {}
        self._rollout: int | None = None
        self.held: str | None = None
        #: Where the candidate's ready replicas answer, for those who want to try it.
        self.addresses: Sequence[str] = ()

    def opening(self, row: RolloutRow, rollout: Rollout, request: DeploymentRequest) -> Ruling:
        """Return whether the candidate's replicas may start."""
        self._begin(row)
        found = hooks.of_types(request, hooks.before_start(rollout))
        return self._ask(row, rollout, request, found, rollout.challengers_weight, once=True)

    def advance(
        self, row: RolloutRow, rollout: Rollout, request: DeploymentRequest, seen: Observation, now: datetime
    ) -> Advance:
        """Do what `rollout.advance` does, as far as the hooks allow."""
        self._begin(row)
        if not request.hooks:
            return advance(rollout, seen, now)
        watching = hooks.of_types(request, hooks.meanwhile(rollout))
        seen = _with(seen, self._ask(row, rollout, request, watching, rollout.challengers_weight, once=False))
        moved = advance(rollout, seen, now)
        asked = hooks.of_types(request, hooks.before_edge(rollout, moved.rollout))
        if not asked:
            return moved
        said = self._ask(row, rollout, request, asked, moved.rollout.challengers_weight, once=True)
        return moved if said.outcome == "go" else advance(rollout, _with(seen, said), now)

    def _begin(self, row: RolloutRow) -> None:
        self.held = None
        if self._rollout != row.id:
            self._rollout = row.id
            self._talks = {
                point: _Talk.from_storage(kept) for point, kept in self._store.hook_answers.of(row.id).items()
            }

    def _ask(
        self,
        row: RolloutRow,
        rollout: Rollout,
        request: DeploymentRequest,
        asked: Sequence[Hook],
        weight: float,
        *,
        once: bool,
    ) -> Ruling:
        """Return the worst ruling; hooks are asked one after the other, so that the last is asked when the rest agree.

        Args:
            weight: that the candidate would have.
            once: whether a hook that lets go is asked no more at this point.
        """
        worst = GO
        for hook in asked:
            body = {**_body(hook, row, rollout, weight), "candidate_addresses": list(self.addresses)}
            # Those that watch go on being asked from step to step; the others are asked anew before each.
            key: Point = (hook.type, hook.name, rollout.step if once else None)
            talk = self._talks.setdefault(key, _Talk(since=time.monotonic()))
            said = self._ruling(hook, talk, body, once=once)
            # Before anything follows from it: what was confirmed stays so, and what was refused.
            self._keep(row, key, talk)
            if said.outcome == "refuse":
                return said
            if said.outcome == "hold":
                self._tell_held(row, rollout, hook, key, said.reason)
                self.held = said.reason
                worst = said
                if once:
                    return said
        return worst

    def _ruling(self, hook: Hook, talk: _Talk, body: Mapping[str, Any], *, once: bool) -> Ruling:
        if talk.gone:
            return GO
        clock = time.monotonic()
        if talk.task is not None and talk.task.done():
            talk.answers, talk.task = _heard(talk.answers, talk.task), None
        said = hooks.ruling(hook, replace(talk.answers, waited_seconds=clock - talk.since))
        if once and said.outcome == "go":
            talk.gone = True
            return said
        due = talk.begun is None or clock - talk.begun >= hook.interval.seconds
        if talk.task is None and due and said.outcome != "refuse":
            talk.begun = clock
            talk.task = asyncio.create_task(self._call(hook, body), name=f"hook {hook.name}")
        return said

    async def _call(self, hook: Hook, body: Mapping[str, Any]) -> Outcome:
        try:
            url = resolve(hook.as_document(), self._environ)
        except Unresolved as error:
            return Outcome(delivered=False, detail=error.message)
        return await post_json(url, body, "application/json", hook.timeout.seconds)

    def _keep(self, row: RolloutRow, point: Point, talk: _Talk) -> None:
        """Keep what was said where it is not what is kept; the time that passes is kept from time to time."""
        said = talk.for_storage()
        kept = talk.kept
        is_kept = kept is not None and {**said, "waited_seconds": kept["waited_seconds"]} == kept
        if kept is None or not is_kept or said["waited_seconds"] - kept["waited_seconds"] >= _KEPT_SECONDS:
            self._store.hook_answers.keep(row.id, point, said)
            talk.kept = said

    def _tell_held(self, row: RolloutRow, rollout: Rollout, hook: Hook, point: Point, reason: str) -> None:
        """Record, once per hook and point, that the rollout waits for it: not before it has said no."""
        talk = self._talks[point]
        if talk.told or talk.answers.calls == 0:
            return
        talk.told = True
        self._keep(row, point, talk)
        data = {"hook": hook.name, "type": hook.type, "step": rollout.step}
        log.info("%s: %s", row.deployment, reason)
        happened = NewEvent("held", reason, row.to_revision, data)
        self._store.add_event(row.deployment_id, row.id, happened, datetime.now(UTC))


def _heard(before: Answers, task: asyncio.Task[Outcome]) -> Answers:
    failed = Outcome(delivered=False, detail="the call failed")
    outcome = failed if task.cancelled() or task.exception() is not None else task.result()
    return Answers(
        status=outcome.status,
        detail=f"answered {outcome.status}" if outcome.delivered else outcome.detail,
        failures=0 if outcome.delivered else before.failures + 1,
        calls=before.calls + 1,
    )


def _with(seen: Observation, said: Ruling) -> Observation:
    if said.outcome == "hold":
        return replace(seen, held=said.reason)
    return replace(seen, refused=said.reason) if said.outcome == "refuse" else seen


def _body(hook: Hook, row: RolloutRow, rollout: Rollout, weight: float) -> dict[str, Any]:
    return {
        "hook": hook.name,
        "type": hook.type,
        "deployment": row.deployment,
        "rollout": str(row.id),
        "stable": row.from_revision,
        "candidate": rollout.plan.candidate,
        "phase": rollout.phase.value,
        "step": rollout.step,
        "weight": rollout.challengers_weight,
        "next_weight": weight,
        "metadata": dict(hook.metadata),
        **({"arms": [{"name": arm.name, "revision": arm.revision} for arm in rollout.arms]} if rollout.arms else {}),
    }
