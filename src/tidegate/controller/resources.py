"""Reads what the replicas of both revisions take of memory and processor, beside the loop: a source of measurements."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tidegate.contract.resources import WatchedResources
from tidegate.controller.sources import Found, Look
from tidegate.rollout import Phase
from tidegate.target.base import RevisionHealth
from tidegate.target.usage import Usage, usage
from tidegate.trial.counting import Totals
from tidegate.trial.measurements import Measurement
from tidegate.trial.resources import (
    CPU,
    MEMORY,
    CpuReadings,
    MemoryReadings,
    cpu_measurement,
    memory_measurement,
)

log = logging.getLogger(__name__)


class _Read(NamedTuple):
    """One reading of both revisions, or why there is none; stable may have no replicas left."""

    candidate: Usage
    stable: Usage


@dataclass(frozen=True)
class Memory:
    """What is remembered from look to look.

    Attributes:
        begun: when the last reading began, in seconds since 1970.
        requests: of candidate and stable, since the last reading.
    """

    begun: float | None = None
    requests: tuple[int, int] = (0, 0)
    memory: MemoryReadings = field(default_factory=MemoryReadings)
    cpu: CpuReadings = field(default_factory=CpuReadings)

    def for_storage(self) -> dict[str, Any]:
        return {
            "begun": self.begun,
            "requests": list(self.requests),
            "memory": self.memory.for_storage(),
            "cpu": self.cpu.for_storage(),
        }

    @classmethod
    def from_storage(cls, stored: Any) -> Memory:
        if not stored:
            return cls()
        candidate, stable = stored["requests"]
        readings = MemoryReadings.from_storage(stored["memory"]), CpuReadings.from_storage(stored["cpu"])
        return cls(stored["begun"], (candidate, stable), *readings)


class ResourceSource:
    """The resources of one deployment's rollouts; each in its turn."""

    name = "resources"

    def __init__(self) -> None:
        self._rollout: int | None = None
        self._reading: asyncio.Task[_Read | None] | None = None

    async def grown(self, look: Look) -> Found:
        """Take the reading that has ended since the last look, and begin the next one when it is due."""
        if self._rollout != look.rollout_id:
            self._rollout, self._reading = look.rollout_id, None
        watched, plan = look.request.analysis.resources, look.rollout.plan
        if plan.stable is None or (watched.memory is None and watched.cpu is None):
            return Found()
        memory, now = Memory.from_storage(look.memory), time.time()
        grown = [look.growth.get(revision, Totals()).requests for revision in (plan.candidate, plan.stable)]
        memory = replace(memory, requests=(memory.requests[0] + grown[0], memory.requests[1] + grown[1]))
        measurements: dict[str, tuple[Measurement, ...]] = {}
        if self._reading is not None and self._reading.done():
            read, self._reading = self._reading.result(), None
            memory, measurements = _taken(watched, memory, read, is_on_trial=_is_on_trial(look))
        due = memory.begun is None or not 0 <= now - memory.begun < watched.interval.seconds
        if self._reading is None and due:
            pids = [_pids(look.health.get(revision)) for revision in (plan.candidate, plan.stable)]
            self._reading = asyncio.create_task(_read(*pids), name="read resources")
            memory = replace(memory, begun=now)
        return Found(measurements=measurements, memory=memory.for_storage())


def _is_on_trial(look: Look) -> bool:
    return look.rollout.step >= 0 and look.rollout.phase is not Phase.BASELINE


def _taken(
    watched: WatchedResources, memory: Memory, read: _Read | None, *, is_on_trial: bool
) -> tuple[Memory, dict[str, tuple[Measurement, ...]]]:
    """Return what is remembered after a reading, and what it says of the candidate."""
    said: dict[str, Measurement | None] = {}
    if read is None or not read.candidate.roots:
        why = Measurement("error", "no replica of the candidate could be read")
        names = {MEMORY: watched.memory, CPU: watched.cpu} if is_on_trial else {}
        return memory, {name: (why,) for name, one in names.items() if one is not None}
    if watched.memory is not None and is_on_trial:
        stable = read.stable.memory_bytes // read.stable.roots if read.stable.roots else None
        memory = replace(
            memory, memory=memory.memory.after(read.candidate.memory_bytes // read.candidate.roots, stable)
        )
        said[MEMORY] = memory_measurement(watched.memory, memory.memory)
    if watched.cpu is not None:
        enough, (tried, kept) = watched.cpu.min_requests, memory.requests
        cpu = memory.cpu.with_stable(read.stable.processes, read.stable.cpu_seconds, kept, enough)
        cpu, ended = cpu.with_candidate(read.candidate.processes, read.candidate.cpu_seconds, tried, enough)
        memory = replace(memory, cpu=cpu)
        said[CPU] = cpu_measurement(watched.cpu, cpu) if ended and is_on_trial else None
    return replace(memory, requests=(0, 0)), {name: (one,) for name, one in said.items() if one is not None}


def _pids(health: RevisionHealth | None) -> list[int]:
    """Return the processes of the replicas that are ready: what is starting or leaving takes what it takes."""
    replicas = health.replicas if health is not None else ()
    return [replica.pid for replica in replicas if replica.pid is not None and replica.ready]


async def _read(candidate: list[int], stable: list[int]) -> _Read | None:
    try:
        return await asyncio.to_thread(lambda: _Read(usage(candidate), usage(stable)))
    except Exception:  # an error of ours here must not keep the other signals from taking a candidate back
        log.exception("memory and processor time could not be read")
        return None
