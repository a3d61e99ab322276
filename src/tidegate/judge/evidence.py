"""What the judge remembers of a rollout: immutable, plain numbers, stored as JSON without loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.judge.records import NOTHING, Tally
from tidegate.judge.wealth import Wealth

#: Of the stored form.
VERSION = 1


@dataclass(frozen=True)
class Memory:
    """A fading count of requests and bad events, from which the next block's alternatives are guessed."""

    requests: float = 0.0
    bad: float = 0.0

    def rate(self, prior: float, weight: float) -> float:
        """Return the estimated rate, drawn towards `prior` as if `weight` requests had shown it."""
        return (self.bad + weight * prior) / (self.requests + weight)


@dataclass(frozen=True)
class Clustering:
    """How much more stable's bad events vary than independent ones would: a fading mean over batches of requests.

    Attributes:
        batches: how many count.
        surprise: sum of their (seen - expected)² / variance of independent events; about `batches` without clusters.
        open: the batch that is not complete yet.
    """

    batches: float = 0.0
    surprise: float = 0.0
    open: Tally = NOTHING


@dataclass(frozen=True)
class SignalEvidence:
    """What is known of one signal.

    Attributes:
        baseline: stable's counts from before the rollout.
        candidate, stable: counts of the rollout so far.
        step_candidate, step_stable: counts of the current step.
        open_candidate, open_stable: counts of the block that is not complete yet; nothing was concluded from them.
        known_stable: all of stable that is in complete blocks, and the baseline.
        recent_candidate, recent_stable: fading memories of complete blocks.
        clustering: of stable's bad events, in complete blocks.
        worse: e-process against "the candidate is not worse than stable"; accumulates over the rollout.
        outside: e-process against "the candidate is inside the objective"; accumulates over the rollout.
        safe: e-process against "the candidate is worse than max(stable, objective) + margin"; of the current step.
    """

    worse: Wealth
    outside: Wealth
    safe: Wealth
    baseline: Tally = NOTHING
    candidate: Tally = NOTHING
    stable: Tally = NOTHING
    step_candidate: Tally = NOTHING
    step_stable: Tally = NOTHING
    open_candidate: Tally = NOTHING
    open_stable: Tally = NOTHING
    known_stable: Tally = NOTHING
    recent_candidate: Memory = field(default_factory=Memory)
    recent_stable: Memory = field(default_factory=Memory)
    clustering: Clustering = field(default_factory=Clustering)

    def for_storage(self) -> dict[str, Any]:
        """Return a list of plain numbers per field."""
        return {
            "worse": _plain_wealth(self.worse),
            "outside": _plain_wealth(self.outside),
            "safe": _plain_wealth(self.safe),
            "baseline": _plain_tally(self.baseline),
            "candidate": _plain_tally(self.candidate),
            "stable": _plain_tally(self.stable),
            "step_candidate": _plain_tally(self.step_candidate),
            "step_stable": _plain_tally(self.step_stable),
            "open_candidate": _plain_tally(self.open_candidate),
            "open_stable": _plain_tally(self.open_stable),
            "known_stable": _plain_tally(self.known_stable),
            "recent_candidate": _plain_memory(self.recent_candidate),
            "recent_stable": _plain_memory(self.recent_stable),
            "clustering": _plain_clustering(self.clustering),
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> SignalEvidence:
        return cls(
            worse=_wealth(stored["worse"]),
            outside=_wealth(stored["outside"]),
            safe=_wealth(stored["safe"]),
            baseline=Tally(*stored["baseline"]),
            candidate=Tally(*stored["candidate"]),
            stable=Tally(*stored["stable"]),
            step_candidate=Tally(*stored["step_candidate"]),
            step_stable=Tally(*stored["step_stable"]),
            open_candidate=Tally(*stored["open_candidate"]),
            open_stable=Tally(*stored["open_stable"]),
            known_stable=Tally(*stored["known_stable"]),
            recent_candidate=Memory(*stored["recent_candidate"]),
            recent_stable=Memory(*stored["recent_stable"]),
            clustering=_clustering(stored["clustering"]),
        )


@dataclass(frozen=True)
class Evidence:
    """What is known of all signals, by name."""

    signals: Mapping[str, SignalEvidence]

    def of(self, signal: str) -> SignalEvidence:
        """Raises ValueError if this evidence was begun with a policy that did not have the signal."""
        if signal not in self.signals:
            known = ", ".join(sorted(self.signals)) or "none"
            raise ValueError(f"no evidence on signal {signal!r}; this evidence has: {known}")
        return self.signals[signal]

    def for_storage(self) -> dict[str, Any]:
        """Return plain JSON values; `from_storage` gives back an equal object."""
        return {"version": VERSION, "signals": {name: known.for_storage() for name, known in self.signals.items()}}

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Evidence:
        """Raises ValueError on a form that another version of the judge wrote."""
        if stored.get("version") != VERSION:
            raise ValueError(f"evidence was stored as version {stored.get('version')!r}, expected {VERSION}")
        return cls({name: SignalEvidence.from_storage(known) for name, known in stored["signals"].items()})


def _plain_tally(tally: Tally) -> list[int]:
    return [tally.requests, tally.bad]


def _plain_memory(memory: Memory) -> list[float]:
    return [memory.requests, memory.bad]


def _plain_clustering(clustering: Clustering) -> list[float]:
    return [clustering.batches, clustering.surprise, clustering.open.requests, clustering.open.bad]


def _clustering(stored: list[float]) -> Clustering:
    batches, surprise, requests, bad = stored
    return Clustering(batches, surprise, Tally(int(requests), int(bad)))


def _plain_wealth(wealth: Wealth) -> list[float]:
    return [wealth.requests, wealth.reserve, *wealth.bets]


def _wealth(stored: list[float]) -> Wealth:
    requests, reserve, *bets = stored
    return Wealth(reserve=reserve, bets=tuple(bets), requests=int(requests))
