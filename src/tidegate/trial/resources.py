"""What readings of memory and processor time say of a candidate. Pure.

One reading says little: a batch, a collection of garbage, a cache that fills. What is held against a candidate is what
the lowest of three readings in a row shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tidegate import judge
from tidegate.contract.resources import MoreMemory, Watched, WatchedCpu, WatchedMemory, WatchedResources
from tidegate.trial.measurements import Measurement, number_text

MEMORY, CPU = "memory", "cpu"
#: Readings in a row that must agree.
SUSTAINED = 3


@dataclass(frozen=True)
class MemoryReadings:
    """Bytes per replica, candidate's and stable's.

    Attributes:
        first: the largest of the candidate's first readings under traffic, while it warms up.
        taken: under traffic.
        recent: the last few.
    """

    first: int = 0
    taken: int = 0
    recent: tuple[tuple[int, int], ...] = ()

    def after(self, candidate: int, stable: int | None) -> MemoryReadings:
        """Return what is known with one more reading; a stable without replicas is as it was last."""
        first = max(self.first, candidate) if self.taken < SUSTAINED else self.first
        if stable is None:
            stable = self.recent[-1][1] if self.recent else 0
        return MemoryReadings(first, self.taken + 1, (*self.recent, (candidate, stable))[-SUSTAINED:])

    def for_storage(self) -> list[Any]:
        return [self.first, self.taken, [list(pair) for pair in self.recent]]

    @classmethod
    def from_storage(cls, stored: Sequence[Any] | None) -> MemoryReadings:
        if not stored:
            return cls()
        first, taken, recent = stored
        return cls(first, taken, tuple((int(candidate), int(stable)) for candidate, stable in recent))


def memory_measurement(watched: WatchedMemory, seen: MemoryReadings) -> Measurement | None:
    """Return what the last readings say together; None before there are enough of them."""
    if len(seen.recent) < SUSTAINED:
        return None
    held = list(_bounds(watched, seen))
    told = f"{_mib(seen.recent[-1][0])} a replica, {_mib(seen.recent[-1][1])} on stable"
    for bounds, beyond in held:
        if all(candidate > bound for (candidate, _), bound in zip(seen.recent, bounds, strict=True)):
            return Measurement("failure", f"{told}: more than {beyond}, {SUSTAINED} readings in a row")
    return Measurement("success", told)


def _bounds(watched: WatchedMemory, seen: MemoryReadings) -> Sequence[tuple[list[float], str]]:
    """Return what the candidate's memory may be at each of the readings, and what that is."""
    found: list[tuple[list[float], str]] = []
    if watched.limit is not None:
        found.append(([float(watched.limit.bytes)] * len(seen.recent), f"the limit of {watched.limit}"))
    for more, own in ((watched.beside_stable, 0), (watched.growth, seen.first)):
        if more is None:
            continue
        reference = [max(stable, own) for _, stable in seen.recent]
        bounds = [at + _allowed(more, at) for at in reference]
        whose = f"its own {_mib(own)} at first" if own and own >= reference[-1] else "stable's"
        found.append((bounds, f"{_mib(_allowed(more, reference[-1]))} above {whose}"))
    return found


def _allowed(more: MoreMemory, reference: float) -> float:
    return max(more.absolute.bytes, more.relative * reference)


def _mib(size: float) -> str:
    return f"{number_text(size / (1 << 20))} MiB"


@dataclass(frozen=True)
class Window:
    """Processor time and requests of one revision, until there are enough requests to divide by.

    Attributes:
        processes: whose time it is; with others the window begins anew.
        seconds: that they had used when it began.
        requests: since then.
        ms: of processor time a request took in the last window that ended; None before one has.
    """

    processes: str = ""
    seconds: float = 0.0
    requests: int = 0
    ms: float | None = None

    def after(self, processes: str, seconds: float, requests: int, enough: int) -> tuple[Window, bool]:
        """Return the window with one more reading, and whether one has ended with it."""
        if processes != self.processes:
            return replace(self, processes=processes, seconds=seconds, requests=0), False
        together = self.requests + requests
        if together < enough:
            return replace(self, requests=together), False
        return Window(processes, seconds, 0, 1000 * max(0.0, seconds - self.seconds) / together), True


@dataclass(frozen=True)
class CpuReadings:
    """Windows of both revisions, and the milliseconds per request of the candidate's last ones beside stable's."""

    candidate: Window = field(default_factory=Window)
    stable: Window = field(default_factory=Window)
    recent: tuple[tuple[float, float], ...] = ()

    def with_stable(self, *reading: Any) -> CpuReadings:
        """Return what is known with one more reading of stable; takes what `Window.after` takes."""
        return replace(self, stable=self.stable.after(*reading)[0])

    def with_candidate(self, *reading: Any) -> tuple[CpuReadings, bool]:
        """Return the same for the candidate, and whether there is one more pair to judge by."""
        window, ended = self.candidate.after(*reading)
        if not ended or window.ms is None or self.stable.ms is None:
            return replace(self, candidate=window), False
        pairs = (*self.recent, (window.ms, self.stable.ms))[-SUSTAINED:]
        return replace(self, candidate=window, recent=pairs), True

    def for_storage(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any] | None) -> CpuReadings:
        if not stored:
            return cls()
        recent = tuple((candidate, stable) for candidate, stable in stored["recent"])
        return cls(Window(**stored["candidate"]), Window(**stored["stable"]), recent)


def cpu_measurement(watched: WatchedCpu, seen: CpuReadings) -> Measurement | None:
    """Return what the last windows say: one that is within bounds is good, and as many in a row as it takes are harm.

    None while there are too few to say either.
    """
    if not seen.recent:
        return None
    beyond = [tried > kept + _more_ms(watched, kept) for tried, kept in seen.recent]
    candidate, stable = seen.recent[-1]
    told = f"{number_text(candidate)} ms a request, {number_text(stable)} ms on stable"
    if not beyond[-1]:
        return Measurement("success", told)
    if len(beyond) < SUSTAINED or not all(beyond):
        return None
    allowed = number_text(_more_ms(watched, stable))
    return Measurement("failure", f"{told}: more than {allowed} ms above it, {SUSTAINED} measurements in a row")


def _more_ms(watched: WatchedCpu, stable: float) -> float:
    return max(watched.beside_stable.absolute.ms, watched.beside_stable.relative * stable)


def policy_of(name: str, watched: Watched) -> judge.MetricPolicy:
    """Return how a resource is judged: what three readings show is not waited for to show again."""
    return judge.MetricPolicy(name, weight=watched.weight, is_critical=watched.critical, is_dry_run=watched.dry_run)


def triggers(resources: WatchedResources) -> Mapping[str, str]:
    """Return when each resource takes a candidate back, in words; those that take none back are left out."""
    watched = {MEMORY: resources.memory, CPU: resources.cpu}
    critical = {name for name, one in watched.items() if one is not None and one.critical and not one.dry_run}
    return {name: told for name, told in conditions(resources).items() if name in critical}


def conditions(resources: WatchedResources) -> Mapping[str, str]:
    """Return when each resource that is watched is harm, in words, whatever follows from that."""
    memory, cpu = resources.memory, resources.cpu
    found: dict[str, str] = {}
    if memory is not None:
        parts = [f"above {memory.limit}"] if memory.limit is not None else []
        for more, beyond in ((memory.beside_stable, "stable's"), (memory.growth, "stable's and its own at first")):
            if more is not None:
                parts.append(f"{more.absolute} and {100 * more.relative:g} % above {beyond}")
        found[MEMORY] = f"a replica's own memory lies {' or '.join(parts)}, in {SUSTAINED} readings in a row"
    if cpu is not None:
        more_time = cpu.beside_stable
        found[CPU] = (
            f"a request's processor time lies {more_time.absolute} and {100 * more_time.relative:g} % above stable's, "
            f"in {SUSTAINED} measurements in a row"
        )
    return found
