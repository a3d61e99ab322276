"""How a living replica is: by what its server says of itself, and by the checks that a request asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate.gateway.base import Endpoint
from tidegate.health.base import LIVENESS, Attempts, Check, Replica
from tidegate.health.checker import Checker
from tidegate.health.standing import UNTRIED, WELL, Condition, Standing
from tidegate.target import lifecycle
from tidegate.target.base import CheckHealth, RevisionSpec
from tidegate.target.lifecycle import SlotRecord
from tidegate.target.probes import Prober
from tidegate.target.runner import Listening
from tidegate.target.slots import Slot


@dataclass(frozen=True)
class Watched:
    """What was found of one replica at one look. The texts are sentences for people, None where there is nothing.

    Attributes:
        endpoint: where it listens; None when it is not to get requests because it does not run, or is to end.
        says_ready: whether its server said at its last answer that it takes requests.
        not_started: it is to be killed at once, for it did not start in time.
        not_live: it is to be restarted when it may be, see `restarts`.
        not_live_at: when that was last found, seconds since the machine booted; None where it was not.
        not_ready: it gets no requests.
        is_live: see `health.standing.Condition`.
        checks: that were asked for, and what they say.
    """

    endpoint: Endpoint | None = None
    says_ready: bool = False
    not_started: str | None = None
    not_live: str | None = None
    not_ready: str | None = None
    not_live_at: float | None = None
    is_live: bool | None = None
    checks: tuple[CheckHealth, ...] = ()

    @property
    def unwell(self) -> str | None:
        return self.not_started or self.not_live or self.not_ready

    @property
    def gets_requests(self) -> bool:
        return self.endpoint is not None and self.not_ready is None

    @property
    def is_well_again(self) -> bool:
        """Whether a replica that was restarted because it was not live has shown that this helped."""
        return self.not_live is None and self.says_ready and self.is_live is not False


class Watcher:
    """Asks replicas how they are; `look` begins what is due and never waits.

    Args:
        attempts: makes those of the checks; None for one that looks at no replica with checks.
        silent_seconds: how long a server may live without answering before it is not live, where no check says.
        clock: seconds since the machine booted.
    """

    def __init__(self, attempts: Attempts | None, silent_seconds: float, clock: Callable[[], float]) -> None:
        self._silent_seconds = silent_seconds
        self._clock = clock
        self._prober = Prober()
        self._asked: dict[Path, Listening] = {}
        self._checker = None if attempts is None else Checker(attempts, clock)

    def look(self, slot: Slot, record: SlotRecord, spec: RevisionSpec, state: Listening | None) -> Watched:
        """Return how a replica is that lives and is wanted.

        Args:
            state: where it listens; None before it does.
        """
        if state is not None:
            self._asked[slot.folder] = state
            self._prober.ask(state, state.endpoint)
        says_ready = self.says_ready(state)
        replica = None
        if state is not None:
            at = state.endpoint
            replica = Replica(at.host, at.port, slot.ref.deployment, slot.ref.revision, slot.index)
        began_at = record.spawned_at or 0.0
        condition = WELL
        standings: Mapping[str, Standing] = {}
        if spec.checks:
            if self._checker is None:
                raise ValueError(f"{slot.ref} has checks, and nothing here makes their attempts")
            condition = self._checker.look(slot.folder, began_at, replica, spec.checks, says_ready=says_ready)
            standings = self._checker.standings(slot.folder)
        silent = self._silent(state, spec)
        return Watched(
            endpoint=None if state is None else state.endpoint,
            says_ready=says_ready,
            not_started=self._not_started(condition, record, state, spec),
            not_live=condition.not_live or silent,
            not_ready=condition.not_ready,
            not_live_at=self._clock() if silent is not None else condition.not_live_at,
            is_live=condition.is_live,
            checks=tuple(
                _check_health(check, standings.get(check.name, UNTRIED), self._clock()) for check in spec.checks
            ),
        )

    def says_ready(self, state: Listening | None) -> bool:
        """Return whether the server said at its last answer that it takes requests."""
        return state is not None and self._prober.last(state).ready

    def forget(self, slot: Slot) -> None:
        """Forget a copy that is gone."""
        state = self._asked.pop(slot.folder, None)
        if state is not None:
            self._prober.forget(state)
        if self._checker is not None:
            self._checker.forget(slot.folder)

    async def close(self) -> None:
        await self._prober.close()
        if self._checker is not None:
            await self._checker.close()

    def _not_started(
        self, condition: Condition, record: SlotRecord, state: Listening | None, spec: RevisionSpec
    ) -> str | None:
        if condition.not_started is not None or any(check.affects == "startup" for check in spec.checks):
            return condition.not_started
        now = self._clock()
        if state is None and now - (record.spawned_at or now) > lifecycle.START_SECONDS:
            return f"it did not listen within {lifecycle.START_SECONDS:.0f} s"
        return None

    def _silent(self, state: Listening | None, spec: RevisionSpec) -> str | None:
        if state is None or any(check.name == LIVENESS for check in spec.checks):
            return None
        is_silent = self._prober.last(state).silent_seconds(time.monotonic()) > self._silent_seconds
        return f"it did not answer for {self._silent_seconds:g} s" if is_silent else None


def untried(spec: RevisionSpec) -> tuple[CheckHealth, ...]:
    """Return what checks say of a replica that has no process to ask."""
    return tuple(_check_health(check, UNTRIED, 0.0) for check in spec.checks)


def _check_health(check: Check, standing: Standing, now: float) -> CheckHealth:
    seconds = None if standing.since is None else now - standing.since
    return CheckHealth(check.name, check.affects, check.critical, standing.passing, standing.detail, seconds)
