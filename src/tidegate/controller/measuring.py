"""Measures the metrics that a request names, beside the loop: a source of counts and of measurements.

A measurement runs as a task with a time limit; a look takes what has ended and starts what is due. What is remembered
(when each metric was measured last, counters) is stored with the look, so that a controller that was killed goes on as
if it had not been. A measurement that was under way then is made again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tidegate.contract.errors import InvalidInput
from tidegate.contract.metrics import Compared, Counted, Metric
from tidegate.contract.request import DeploymentRequest
from tidegate.controller.sources import Found, Look, Pair
from tidegate.measure import Asked, UnmeasurableError, ask, check, numbers_of
from tidegate.rollout import Phase
from tidegate.trial.measurements import (
    Counters,
    Measurement,
    NoNumberError,
    beside_stable,
    by_conditions,
    counters_from,
    one_number,
)

log = logging.getLogger(__name__)

_ON_TRIAL = (Phase.SCALING, Phase.SHIFTING, Phase.ANALYZING, Phase.PAUSED)


class _Read(NamedTuple):
    """What one measurement of counters found: bad and total of each revision."""

    candidate: list[Any]
    stable: list[Any]


@dataclass(frozen=True)
class Counting:
    """What is remembered of one counted metric; plain values.

    Attributes:
        candidate, stable: counters as they were read last; None before the first time.
        errors: up to now, in a row; `why` says the last of them.
    """

    candidate: Counters | None = None
    stable: Counters | None = None
    errors: int = 0
    why: str = ""

    def after(self, read: _Read | Measurement) -> tuple[Counting, Pair | None]:
        """Return what is remembered after one measurement, and the growth; None when it could not be made."""
        if isinstance(read, Measurement):
            return self._without(read.detail), None
        try:
            candidate = Counters.of(read.candidate, self.candidate, is_new=True)
            stable = Counters.of(read.stable, self.stable, is_new=False)
        except NoNumberError as error:
            return self._without(str(error)), None
        (tried, next_candidate), (kept, next_stable) = candidate.since(self.candidate), stable.since(self.stable)
        return Counting(next_candidate, next_stable), Pair(tried, kept)

    def _without(self, why: str) -> Counting:
        return replace(self, errors=self.errors + 1, why=why)

    def unmeasured(self, limit: int) -> str | None:
        """Return why the metric counts as not measured: too many errors in a row, or nothing but errors."""
        if self.errors > limit or (self.errors and self.candidate is None):
            return self.why
        return None

    def for_storage(self) -> dict[str, Any]:
        return {
            "candidate": self.candidate.as_list() if self.candidate is not None else None,
            "stable": self.stable.as_list() if self.stable is not None else None,
            "errors": self.errors,
            "why": self.why,
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Counting:
        return cls(counters_from(stored["candidate"]), counters_from(stored["stable"]), stored["errors"], stored["why"])


@dataclass(frozen=True)
class Memory:
    """What is remembered from look to look.

    Attributes:
        since: when the candidate got its first traffic, in seconds since 1970; None before.
        begun: when each metric was measured last, in seconds since 1970.
        counting: of counted metrics.
    """

    since: float | None = None
    begun: Mapping[str, float] = field(default_factory=dict)
    counting: Mapping[str, Counting] = field(default_factory=dict)

    def is_due(self, metric: Metric, now: float) -> bool:
        """Say whether a metric is to be measured now; a clock that was set back makes it due."""
        if metric.counted is None and (self.since is None or 0 <= now - self.since < metric.initial_delay.seconds):
            return False
        begun = self.begun.get(metric.name)
        return begun is None or not 0 <= now - begun < metric.interval.seconds

    def for_storage(self) -> dict[str, Any]:
        return {
            "since": self.since,
            "begun": dict(self.begun),
            "counting": {name: counting.for_storage() for name, counting in self.counting.items()},
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any] | None) -> Memory:
        if not stored:
            return cls()
        counting = {name: Counting.from_storage(one) for name, one in stored["counting"].items()}
        return cls(stored["since"], stored["begun"], counting)


@dataclass(frozen=True)
class _Running:
    step: int
    task: asyncio.Task[Measurement | _Read]


class MetricSource:
    """The metrics of one deployment's rollouts; each in its turn."""

    name = "metrics"

    def __init__(self, deployment: str) -> None:
        self._deployment = deployment
        self._rollout: int | None = None
        self._running: dict[str, _Running] = {}

    async def grown(self, look: Look) -> Found:
        """Take what has ended since the last look, and start what is due."""
        if self._rollout != look.rollout_id:
            self._stop()
            self._rollout = look.rollout_id
        metrics = look.request.analysis.metrics
        if not metrics:
            return Found()
        now, memory = time.time(), Memory.from_storage(look.memory)
        if memory.since is None and look.rollout.phase in _ON_TRIAL and look.rollout.step >= 0:
            memory = replace(memory, since=now)
        pairs, measurements, counting = {}, {}, dict(memory.counting)
        for metric in metrics:
            ended = self._ended(metric.name, look.rollout.step)
            if ended is None:
                continue
            if metric.counted is None:
                measurements[metric.name] = (ended,) if isinstance(ended, Measurement) else ()
                continue
            counting[metric.name], pair = counting.get(metric.name, Counting()).after(ended)
            if pair is not None:
                pairs[metric.name] = pair
        memory = replace(memory, counting=counting, begun={**memory.begun, **self._start_due(look, memory, now)})
        lost = {
            one.name: counting[one.name].unmeasured(one.consecutive_error_limit)
            for one in metrics
            if one.name in counting
        }
        unmeasured = {name: why for name, why in lost.items() if why is not None}
        return Found(pairs, unmeasured, measurements, memory=memory.for_storage())

    def _stop(self) -> None:
        for running in self._running.values():
            running.task.cancel()
        self._running = {}

    def _ended(self, name: str, step: int) -> Measurement | _Read | None:
        """Return what a metric's measurement found, once it has ended."""
        running = self._running.get(name)
        if running is None or not running.task.done():
            return None
        del self._running[name]
        found = Measurement("error", "it was cancelled") if running.task.cancelled() else running.task.result()
        if isinstance(found, Measurement) and found.went == "success" and running.step != step:
            # What was good before the step began says nothing of the step.
            return None
        return found

    def _start_due(self, look: Look, memory: Memory, now: float) -> dict[str, float]:
        """Start what is due and return when it was begun, by name."""
        begun: dict[str, float] = {}
        plan = look.rollout.plan
        if plan.stable is None:
            return begun
        for metric in look.request.analysis.metrics:
            if metric.name in self._running or not memory.is_due(metric, now):
                continue
            asked = Asked(self._deployment, plan.candidate, plan.stable, plan.candidate)
            task = asyncio.create_task(_measured(metric, asked), name=f"measure {metric.name}")
            self._running[metric.name] = _Running(look.rollout.step, task)
            begun[metric.name] = now
        return begun


async def refuse_unmeasurable(request: DeploymentRequest, environ: Mapping[str, str]) -> None:
    """Raise InvalidInput for a metric that cannot be measured here, as far as that is known without asking anybody."""
    for metric in request.analysis.metrics:
        try:
            await check(metric, environ)
        except UnmeasurableError as error:
            raise InvalidInput(
                f"the metric {metric.name} could not be measured: {error}",
                subject=f"analysis.metrics.{metric.name}",
                hint="a running controller gets no new variables: start it anew with the variable set (tidegate down, "
                "then tidegate up)"
                if "environment" in str(error)
                else None,
            ) from None


async def _measured(metric: Metric, asked: Asked) -> Measurement | _Read:
    """Make one measurement, whatever it meets."""
    try:
        if metric.counted is not None:
            return await _read(metric, metric.counted, asked)
        if metric.compare is not None:
            return await _compared(metric, metric.compare, asked)
        return by_conditions(metric, await ask(metric, asked))
    except (UnmeasurableError, NoNumberError) as error:
        return Measurement("error", str(error))
    except Exception as error:  # an error of ours here must not keep other signals from taking a candidate back
        log.exception("%s: the metric %s could not be measured", asked.deployment, metric.name)
        return Measurement("error", f"the measurement failed ({type(error).__name__})")


async def _compared(metric: Metric, compared: Compared, asked: Asked) -> Measurement:
    candidate, stable = await asyncio.gather(ask(metric, asked), ask(metric, replace(asked, revision=asked.stable)))
    return beside_stable(compared, one_number(candidate), one_number(stable))


async def _read(metric: Metric, counted: Counted, asked: Asked) -> _Read:
    places = (counted.bad, counted.total)
    candidate, stable = await asyncio.gather(
        numbers_of(metric, asked, places), numbers_of(metric, replace(asked, revision=asked.stable), places)
    )
    return _Read(candidate, stable)
